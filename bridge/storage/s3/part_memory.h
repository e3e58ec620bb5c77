// Memory for the parts of uploads: so many at once, of all uploads of a store. It is used again as
// long as any of them goes on, for fresh memory of this size costs as much as a digest of it.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace isthmus::s3 {

// Whoever drops it last gives its memory to the next part.
using Part = std::shared_ptr<const Bytes>;

// Any thread.
class PartMemory : public std::enable_shared_from_this<PartMemory> {
 public:
  // At least one part.
  explicit PartMemory(std::size_t parts) : left_(parts > 0 ? parts : 1) {}
  // Waits until there is memory, then takes the next `length` bytes. "store.bad_digest" (permanent)
  // when the source ends before; errors of the source.
  Result<Part> read(ByteSource& source, std::uint64_t length);

 private:
  struct Held;
  Bytes take();
  void give_back(Bytes bytes);

  std::mutex mutex_;
  std::condition_variable given_back_;
  std::size_t left_;
  std::size_t taken_ = 0;
  std::vector<Bytes> idle_;
};

std::unique_ptr<ByteSource> source_of(Part part);

}  // namespace isthmus::s3
