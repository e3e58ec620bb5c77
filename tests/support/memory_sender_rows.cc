#include "support/memory_sender_rows.h"

#include <algorithm>
#include <tuple>

namespace isthmus::test {
namespace {

auto identity_of(const RefusedSender& one) {
  return std::tie(one.calling_ae_title, one.called_ae_title, one.peer_address,
                  one.certificate_fingerprint);
}

}  // namespace

void MemorySenderRows::refuse(std::optional<Error> error) {
  const std::lock_guard lock(mutex_);
  error_ = std::move(error);
}

Result<std::vector<SenderRow>> MemorySenderRows::senders() {
  const std::lock_guard lock(mutex_);
  if (error_) return *error_;
  std::vector<SenderRow> rows;
  for (const auto& [name, row] : senders_) rows.push_back(row);
  return rows;
}

Result<void> MemorySenderRows::put(const SenderRow& row) {
  const std::lock_guard lock(mutex_);
  if (error_) return *error_;
  if (row.name.empty() || row.name.size() > 32) {
    return permanent_error("ledger.constraint", "A row that cannot be.");
  }
  senders_[row.name] = row;
  return {};
}

Result<bool> MemorySenderRows::remove(std::string_view name) {
  const std::lock_guard lock(mutex_);
  if (error_) return *error_;
  return senders_.erase(std::string(name)) > 0;
}

std::int64_t MemorySenderRows::forget_oldest_beyond(std::int64_t limit,
                                                    const std::string* address) {
  const auto counts = [&](const RefusedSender& one) {
    return address == nullptr || one.peer_address == *address;
  };
  std::int64_t forgotten = 0;
  while (std::ranges::count_if(refused_, counts) > limit) {
    auto oldest = refused_.end();
    for (auto one = refused_.begin(); one != refused_.end(); ++one) {
      if (counts(*one) && (oldest == refused_.end() || one->last_at < oldest->last_at)) {
        oldest = one;
      }
    }
    refused_.erase(oldest);
    ++forgotten;
  }
  return forgotten;
}

Result<std::int64_t> MemorySenderRows::remember(const std::vector<RefusedSender>& refused) {
  const std::lock_guard lock(mutex_);
  if (error_) return *error_;
  std::int64_t forgotten = 0;
  for (const RefusedSender& one : refused) {
    const auto known = std::ranges::find_if(refused_, [&](const RefusedSender& other) {
      return identity_of(other) == identity_of(one);
    });
    if (known == refused_.end()) {
      refused_.push_back(one);
    } else {
      RefusedSender merged = one;
      merged.times += known->times;
      merged.first_at = known->first_at;
      *known = std::move(merged);
    }
    forgotten += forget_oldest_beyond(kMostRefusedOfAddress, &one.peer_address);
    forgotten += forget_oldest_beyond(kMostRefused, nullptr);
  }
  return forgotten;
}

Result<std::vector<RefusedSender>> MemorySenderRows::refused() {
  const std::lock_guard lock(mutex_);
  if (error_) return *error_;
  std::vector<RefusedSender> rows(refused_.rbegin(), refused_.rend());
  std::ranges::stable_sort(
      rows, [](const RefusedSender& a, const RefusedSender& b) { return a.last_at > b.last_at; });
  return rows;
}

Result<std::int64_t> MemorySenderRows::forget(std::string_view calling_ae_title,
                                              std::string_view peer_address) {
  const std::lock_guard lock(mutex_);
  if (error_) return *error_;
  return static_cast<std::int64_t>(std::erase_if(refused_, [&](const RefusedSender& one) {
    return one.calling_ae_title == calling_ae_title &&
           (peer_address.empty() || one.peer_address == peer_address);
  }));
}

}  // namespace isthmus::test
