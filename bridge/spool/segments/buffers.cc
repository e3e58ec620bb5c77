#include "spool/segments/buffers.h"

#include <algorithm>
#include <cstring>

namespace isthmus::segments {

Chunk make_chunk() {
  return Chunk(
      static_cast<std::byte*>(::operator new[](kChunkBytes, std::align_val_t(kDirectAlignment))));
}

BufferPool::BufferPool(Env& env, std::uint64_t budget_bytes)
    : limit_(static_cast<std::size_t>(budget_bytes / kChunkBytes)),
      gauge_(env.metrics.gauge("spool_buffered_bytes",
                               "Memory that holds instances before they are in a segment.")) {}

Chunk BufferPool::take() {
  const std::lock_guard lock(mutex_);
  if (taken_ == limit_) return nullptr;
  ++taken_;
  gauge_.set(static_cast<double>(taken_ * kChunkBytes));
  if (idle_.empty()) return make_chunk();
  Chunk chunk = std::move(idle_.back());
  idle_.pop_back();
  return chunk;
}

void BufferPool::give_back(Chunk chunk) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(chunk));
  --taken_;
  gauge_.set(static_cast<double>(taken_ * kChunkBytes));
}

bool Gathered::append(ByteSpan bytes) {
  // All of the memory first, so that a refusal leaves what was there.
  const std::size_t needed = (size_ + bytes.size() + kChunkBytes - 1) / kChunkBytes;
  while (chunks_.size() < needed) {
    Chunk chunk = pool_.take();
    if (!chunk) return false;
    chunks_.push_back(std::move(chunk));
  }
  while (!bytes.empty()) {
    const std::size_t at = size_ % kChunkBytes;
    const ByteSpan fits = bytes.first(std::min(bytes.size(), kChunkBytes - at));
    std::memcpy(chunks_[size_ / kChunkBytes].get() + at, fits.data(), fits.size());
    size_ += fits.size();
    bytes = bytes.subspan(fits.size());
  }
  return true;
}

void Gathered::set_header(ByteSpan header) {
  ASSERT(!chunks_.empty() && header.size() <= kChunkBytes);
  std::memcpy(chunks_.front().get(), header.data(), header.size());
}

std::vector<ByteSpan> Gathered::blocks() {
  std::vector<ByteSpan> all;
  std::size_t left = (size_ + kDirectAlignment - 1) / kDirectAlignment * kDirectAlignment;
  if (const std::size_t tail = left - size_; tail > 0) {
    std::memset(chunks_.back().get() + size_ % kChunkBytes, 0, tail);
  }
  for (const Chunk& chunk : chunks_) {
    const std::size_t length = std::min(left, kChunkBytes);
    if (length == 0) break;
    all.emplace_back(chunk.get(), length);
    left -= length;
  }
  return all;
}

std::vector<ByteSpan> Gathered::pieces(std::size_t headroom) const {
  std::vector<ByteSpan> all;
  for (std::size_t at = headroom; at < size_;) {
    const std::size_t within = at % kChunkBytes;
    const std::size_t length = std::min(size_ - at, kChunkBytes - within);
    all.emplace_back(chunks_[at / kChunkBytes].get() + within, length);
    at += length;
  }
  return all;
}

void Gathered::clear() {
  for (Chunk& chunk : chunks_) pool_.give_back(std::move(chunk));
  chunks_.clear();
}

}  // namespace isthmus::segments
