// What STOW-RS found out about the files of a request, for the job that imports them: an instance
// is parsed once. A hint: what is not here is examined again, and what nobody takes goes in the
// order it came.
#pragma once

#include <list>
#include <mutex>
#include <optional>

#include "datastore/engine/examination.h"

namespace isthmus::datastore {

// Any thread.
class ExaminedAhead {
 public:
  explicit ExaminedAhead(std::size_t most_bytes = 16 * MiB) : most_bytes_(most_bytes) {}

  void put(const Digest& blob, Examination examination);
  // Once for each put().
  std::optional<Examination> take(const Digest& blob);

 private:
  struct Entry {
    Digest blob;
    Examination examination;
    std::size_t bytes = 0;
  };

  const std::size_t most_bytes_;
  std::mutex mutex_;
  std::list<Entry> entries_;  // a request's files are taken in about the order they came
  std::size_t bytes_ = 0;
};

}  // namespace isthmus::datastore
