#include "datastore/engine/examined_ahead.h"

#include <algorithm>

namespace isthmus::datastore {

void ExaminedAhead::put(const Digest& blob, Examination examination) {
  constexpr std::size_t kBesides = 1 * KiB;  // what a row of small members takes
  const std::size_t bytes = kBesides + examination.document.size() + examination.attributes.size() +
                            examination.pixel_records.size();
  if (bytes > most_bytes_) return;
  const std::lock_guard lock(mutex_);
  entries_.push_back({blob, std::move(examination), bytes});
  bytes_ += bytes;
  while (bytes_ > most_bytes_) {
    bytes_ -= entries_.front().bytes;
    entries_.pop_front();
  }
}

std::optional<Examination> ExaminedAhead::take(const Digest& blob) {
  const std::lock_guard lock(mutex_);
  const auto found =
      std::ranges::find_if(entries_, [&](const Entry& entry) { return entry.blob == blob; });
  if (found == entries_.end()) return std::nullopt;
  std::optional<Examination> examination(std::move(found->examination));
  bytes_ -= found->bytes;
  entries_.erase(found);
  return examination;
}

}  // namespace isthmus::datastore
