// Memory that instances are gathered in before they are appended to a segment: chunks of one size,
// aligned for direct writes, used again and again, within one budget for the whole spool.
#pragma once

#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "base/env.h"

namespace isthmus::segments {

constexpr std::size_t kChunkBytes = 64 * KiB;

struct ChunkDelete {
  void operator()(std::byte* chunk) const {
    ::operator delete[](chunk, std::align_val_t(kDirectAlignment));
  }
};
using Chunk = std::unique_ptr<std::byte[], ChunkDelete>;
Chunk make_chunk();

// Any thread.
class BufferPool {
 public:
  BufferPool(Env& env, std::uint64_t budget_bytes);
  // Nothing when the budget is used up.
  Chunk take();
  void give_back(Chunk chunk);

 private:
  const std::size_t limit_;
  Gauge& gauge_;
  std::mutex mutex_;
  std::vector<Chunk> idle_;
  std::size_t taken_ = 0;
};

// What is gathered of one instance. The first `headroom` bytes are left for a header. One thread at
// a time.
class Gathered {
 public:
  Gathered(BufferPool& pool, std::size_t headroom) : pool_(pool), size_(headroom) {}
  ~Gathered() { clear(); }
  Gathered(const Gathered&) = delete;
  Gathered& operator=(const Gathered&) = delete;

  // False, and nothing is kept of these bytes, when the budget is used up.
  bool append(ByteSpan bytes);
  void set_header(ByteSpan header);
  // Everything, header included, with zeros up to the next block: for File::write_pieces_at.
  std::vector<ByteSpan> blocks();
  // What was appended, in pieces.
  std::vector<ByteSpan> pieces(std::size_t headroom) const;
  void clear();
  std::size_t size() const { return size_; }  // headroom included

 private:
  BufferPool& pool_;
  std::vector<Chunk> chunks_;
  std::size_t size_;
};

}  // namespace isthmus::segments
