#include "senders/journal.h"

#include "senders/definition.h"

namespace isthmus {
namespace {

constexpr std::size_t kMostTitleBytes = 64;  // 16 characters, escaped
constexpr std::size_t kMostNameBytes = 256;
constexpr std::size_t kMostAskedBytes = 1000;

}  // namespace

SenderJournal::SenderJournal(Env& env, SenderRows& rows)
    : env_(env),
      rows_(rows),
      overlooked_(env.metrics.counter(
          "senders_overlooked_total",
          "Refused senders that are not remembered, because there were too many")),
      waiting_(env.metrics.gauge("senders_waiting_count",
                                 "Refused senders that wait for a person to admit them")) {}

void SenderJournal::note(const SenderRequest& request, SenderRefusal refusal,
                         std::string_view asked) {
  RefusedSender one;
  one.calling_ae_title = printable(request.calling_ae_title, kMostTitleBytes);
  one.called_ae_title = printable(request.called_ae_title, kMostTitleBytes);
  one.peer_address = printable(request.peer_address, kMostTitleBytes);
  if (request.tls) {
    one.certificate_fingerprint = printable(request.tls->fingerprint_sha256, kMostTitleBytes);
    one.certificate_name = printable(request.tls->common_name, kMostNameBytes);
  }
  one.reason = to_string(refusal);
  one.asked = printable(asked, kMostAskedBytes);
  one.times = 1;
  one.first_at = one.last_at = env_.clock.wall_now();
  const Key key{one.calling_ae_title, one.called_ae_title, one.peer_address,
                one.certificate_fingerprint};
  const std::lock_guard lock(mutex_);
  const auto known = notes_.find(key);
  if (known != notes_.end()) {
    one.times += known->second.times;
    one.first_at = known->second.first_at;
    known->second = std::move(one);
  } else if (notes_.size() < kMostNotes) {
    notes_.emplace(key, std::move(one));
  } else {
    overlooked_.add();
  }
}

Result<void> SenderJournal::flush() {
  std::map<Key, RefusedSender> notes;
  {
    const std::lock_guard lock(mutex_);
    notes.swap(notes_);
  }
  if (notes.empty()) return {};
  std::vector<RefusedSender> refused;
  for (auto& [key, one] : notes) refused.push_back(one);
  const auto forgotten = rows_.remember(refused);
  if (!forgotten.ok()) {
    const std::lock_guard lock(mutex_);
    notes_.merge(notes);  // what was noted meanwhile is newer, and stays
    return forgotten.error();
  }
  overlooked_.add(static_cast<double>(*forgotten));
  return {};
}

void SenderJournal::measure() {
  const auto waiting = rows_.refused();
  if (waiting.ok()) waiting_.set(static_cast<double>(waiting->size()));
}

}  // namespace isthmus
