// Memory that instances are gathered in before they are appended to a segment: chunks of one size,
// aligned for direct writes, used again and again, within one budget for the whole spool.
#pragma once

#include <condition_variable>
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

// Any thread. Instances are begun in half of the budget, so that those that were begun find room to
// become whole in the other half.
class BufferPool {
 public:
  // `patience`: how long an instance that begins waits for others to be whole. When nothing was
  // given back in all of it, the next ones do not wait until something is: senders that stopped in
  // mid-instance hold nobody up.
  BufferPool(Env& env, std::uint64_t budget_bytes, Milliseconds patience);
  // The first chunk of an instance; waits. Nothing when there is none in time.
  Chunk take_first();
  // The same, and does not wait.
  Chunk take_first_now();
  // Nothing when the budget is used up; does not wait.
  Chunk take();
  void give_back(Chunk chunk);

 private:
  bool has_room_to_begin() const { return taken_ < (limit_ + 1) / 2; }
  Chunk take_one();  // with the lock held, and some left

  const std::size_t limit_;
  const Milliseconds patience_;
  Gauge& gauge_;
  Counter& waits_;
  std::mutex mutex_;
  std::condition_variable given_back_;
  std::vector<Chunk> idle_;
  std::size_t taken_ = 0;
  std::uint64_t given_ = 0;  // back, ever
  bool is_stuck_ = false;
};

// What is gathered of one instance. The first `headroom` bytes are left for a header. One thread at
// a time.
class Gathered {
 public:
  Gathered(BufferPool& pool, std::size_t headroom) : pool_(pool), size_(headroom) {}
  ~Gathered() { clear(); }
  Gathered(const Gathered&) = delete;
  Gathered& operator=(const Gathered&) = delete;

  // False, and nothing is kept of these bytes, when the budget is used up. The first bytes wait for
  // it (BufferPool).
  bool append(ByteSpan bytes);
  // The same, and does not wait.
  bool append_now(ByteSpan bytes);
  void set_header(ByteSpan header);
  // Everything, header included, with zeros up to the next block: for File::write_pieces_at.
  std::vector<ByteSpan> blocks();
  // What was appended, in pieces.
  std::vector<ByteSpan> pieces(std::size_t headroom) const;
  void clear();
  std::size_t size() const { return size_; }  // headroom included

 private:
  void copy(ByteSpan bytes);

  BufferPool& pool_;
  std::vector<Chunk> chunks_;
  std::size_t size_;
};

}  // namespace isthmus::segments
