// The bytes of a file, as they are and as a power cut would leave them: the model that the fake
// disks share (PowerLossFiles, the SQLite one of the power suite). No locks.
#pragma once

#include <algorithm>
#include <cstring>
#include <random>
#include <set>

#include "base/bytes.h"

namespace isthmus::test {

class DurableBytes {
 public:
  std::size_t size() const { return current_.size(); }

  std::size_t read(std::size_t offset, MutableByteSpan into) const {
    if (offset >= current_.size()) return 0;
    const std::size_t length = std::min(into.size(), current_.size() - offset);
    if (length > 0) std::memcpy(into.data(), current_.data() + offset, length);
    return length;
  }
  void write(std::size_t offset, ByteSpan bytes) {
    const std::size_t end = offset + bytes.size();
    const std::size_t from = std::min(offset, current_.size());  // a gap is zeros, and new as well
    if (end > current_.size()) current_.resize(end);
    if (!bytes.empty()) std::memcpy(current_.data() + offset, bytes.data(), bytes.size());
    for (std::size_t page = from / kPageBytes; page * kPageBytes < end; ++page) dirty_.insert(page);
  }
  void truncate(std::size_t size) {
    current_.resize(size);
    is_truncated_ = true;
  }
  // Everything written so far survives.
  void sync() {
    durable_.resize(current_.size());
    for (const std::size_t page : dirty_) keep(page);
    forget_unsynced();
  }
  // A sync failed: what it should have written is clean in memory and never comes to the disk.
  void forget_unsynced() {
    dirty_.clear();
    is_truncated_ = false;
  }
  // The power is cut and nothing unsynced is left.
  void fall_back() {
    current_ = durable_;
    forget_unsynced();
  }
  // The power is cut while pages were on their way: the new length, the old, or one between, and
  // each page old, new, or, where there was none before, zeros.
  void tear(std::mt19937_64& random) {
    if (!dirty_.empty() || is_truncated_) {
      const std::size_t shortest = std::min(durable_.size(), current_.size());
      const std::size_t longest = std::max(durable_.size(), current_.size());
      const bool whole = random() % 3 == 0;
      durable_.resize(whole ? current_.size() : shortest + random() % (longest - shortest + 1));
      for (const std::size_t page : dirty_) {
        if (random() % 2 == 0) keep(page);
      }
    }
    fall_back();
  }

 private:
  static constexpr std::size_t kPageBytes = 4096;

  // Copies one page to the disk, as far as the file on the disk is long.
  void keep(std::size_t page) {
    const std::size_t start = page * kPageBytes;
    const std::size_t end = std::min({start + kPageBytes, current_.size(), durable_.size()});
    if (start < end) std::memcpy(durable_.data() + start, current_.data() + start, end - start);
  }

  Bytes current_, durable_;
  std::set<std::size_t> dirty_;  // pages that are not as durable as they will ever be
  bool is_truncated_ = false;
};

}  // namespace isthmus::test
