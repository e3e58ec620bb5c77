#include "spool/segments/buffers.h"

#include <algorithm>
#include <cstring>

namespace isthmus::segments {

Chunk make_chunk() {
  return Chunk(
      static_cast<std::byte*>(::operator new[](kChunkBytes, std::align_val_t(kDirectAlignment))));
}

BufferPool::BufferPool(Env& env, std::uint64_t budget_bytes, Milliseconds patience)
    : limit_(static_cast<std::size_t>(budget_bytes / kChunkBytes)),
      patience_(patience),
      gauge_(env.metrics.gauge("spool_buffered_bytes",
                               "Memory that holds instances before they are in a segment.")),
      waits_(env.metrics.counter("spool_buffer_waits_total",
                                 "Instances that waited for memory before they were begun.")) {}

Chunk BufferPool::take_first() {
  std::unique_lock lock(mutex_);
  if (!has_room_to_begin() && !is_stuck_) {
    waits_.add();
    const std::uint64_t before = given_;
    given_back_.wait_for(lock, patience_, [&] { return has_room_to_begin() || is_stuck_; });
    if (given_ == before) is_stuck_ = true;
    if (is_stuck_) given_back_.notify_all();
  }
  return has_room_to_begin() ? take_one() : nullptr;
}

Chunk BufferPool::take_first_now() {
  const std::lock_guard lock(mutex_);
  return has_room_to_begin() ? take_one() : nullptr;
}

Chunk BufferPool::take() {
  const std::lock_guard lock(mutex_);
  return taken_ < limit_ ? take_one() : nullptr;
}

Chunk BufferPool::take_one() {
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
  ++given_;
  is_stuck_ = false;
  gauge_.set(static_cast<double>(taken_ * kChunkBytes));
  if (has_room_to_begin()) given_back_.notify_one();
}

bool Gathered::append(ByteSpan bytes) {
  if (bytes.empty()) return true;
  if (chunks_.empty()) {
    Chunk first = pool_.take_first();
    if (!first) return false;
    chunks_.push_back(std::move(first));
  }
  return append_now(bytes);
}

bool Gathered::append_now(ByteSpan bytes) {
  // All of the memory first, so that a refusal leaves what was there.
  const std::size_t needed = (size_ + bytes.size() + kChunkBytes - 1) / kChunkBytes;
  while (chunks_.size() < needed) {
    Chunk chunk = chunks_.empty() ? pool_.take_first_now() : pool_.take();
    if (!chunk) return false;
    chunks_.push_back(std::move(chunk));
  }
  copy(bytes);
  return true;
}

void Gathered::copy(ByteSpan bytes) {
  while (!bytes.empty()) {
    const std::size_t at = size_ % kChunkBytes;
    const ByteSpan fits = bytes.first(std::min(bytes.size(), kChunkBytes - at));
    std::memcpy(chunks_[size_ / kChunkBytes].get() + at, fits.data(), fits.size());
    size_ += fits.size();
    bytes = bytes.subspan(fits.size());
  }
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
