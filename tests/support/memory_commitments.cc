#include "support/memory_commitments.h"

#include <algorithm>
#include <map>

namespace isthmus::test {
namespace {

Error no_transition() {
  return permanent_error("ledger.no_transition", "The state table does not have it.");
}
Error not_found() {
  return permanent_error("ledger.not_found", "There is no such commitment.");
}
bool is_active(const Commitment& row) {
  return !is_final(row.state) && !asks_for_person(row.state);
}

// 2 imported, 1 staged, 0 nothing more than bytes on our disk, -1 not even that before long.
int rank(DeliveryState state) {
  if (state == DeliveryState::discarded) return -1;
  return state == DeliveryState::imported ? 2 : state == DeliveryState::staged ? 1 : 0;
}

}  // namespace

MemoryCommitments::Row* MemoryCommitments::find(const CommitmentId& id) {
  const auto row =
      std::ranges::find_if(rows_, [&](const Row& one) { return one.commitment.id == id; });
  return row == rows_.end() ? nullptr : &*row;
}

std::int64_t MemoryCommitments::active() const {
  return std::ranges::count_if(rows_, [](const Row& row) { return is_active(row.commitment); });
}

void MemoryCommitments::write_history(const Row& row, std::string_view event, std::string_view from,
                                      std::string_view why) {
  history_.push_back({env_.clock.wall_now(), "commitment", row.commitment.id.text(),
                      std::string(event), std::string(from),
                      std::string(to_string(row.commitment.state)), std::string(why)});
}

bool MemoryCommitments::move(Row& row, CommitmentEvent event, const Error* why) {
  Commitment& c = row.commitment;
  const auto to = next(c.state, event);
  if (!to) return false;
  const CommitmentState from = c.state;
  c.state = *to;
  c.state_since = env_.clock.wall_now();
  c.next_attempt_at.reset();
  if (is_active(c)) c.next_attempt_at = env_.clock.wall_now();
  if (why != nullptr) {
    c.error_code = why->code;
    c.error = why->message;
  }
  write_history(row, to_string(event), to_string(from),
                why == nullptr ? "" : why->code + ": " + why->message);
  return true;
}

void MemoryCommitments::begin_again(Row& row, CommitmentEvent event) {
  Commitment& c = row.commitment;
  c.failed = 0;
  c.attempts = 0;
  c.error_code.clear();
  c.error.clear();
  c.report_until.reset();
  for (CommitmentResult& result : row.results) {
    result.reason = FailureReason::none;
    result.detail.clear();
  }
  move(row, event, nullptr);
}

Result<RecordedCommitment> MemoryCommitments::request(const CommitmentRequest& request,
                                                      std::int64_t most_active) {
  const std::lock_guard lock(mutex_);
  const Digest digest = request.references.digest();
  bool duplicate = false;
  Row* known = nullptr;
  for (Row& row : rows_) {
    const Commitment& c = row.commitment;
    if (c.transaction_uid != request.transaction_uid) continue;
    if (c.calling_ae_title != request.calling_ae_title) continue;
    if (row.digest == digest) {
      known = &row;
    } else {
      duplicate = duplicate || (is_active(c) && !c.duplicate);
    }
  }
  if (known != nullptr && is_active(known->commitment)) {
    return RecordedCommitment{known->commitment.id, CommitmentReceipt::repeated};
  }
  if (active() >= most_active) return transient_error("ledger.busy", "Too many wait.");
  const bool fresh = known == nullptr;
  if (fresh) {
    known = &rows_.emplace_back();
    known->digest = digest;
    known->commitment.id = CommitmentId::make(env_);
    known->commitment.transaction_uid = request.transaction_uid;
    known->commitment.calling_ae_title = request.calling_ae_title;
    known->commitment.references = static_cast<std::int64_t>(request.references.size());
    known->commitment.state_since = env_.clock.wall_now();
    known->commitment.next_attempt_at = env_.clock.wall_now();
    write_history(*known, "requested", "", "");
  }
  if (fresh || !known->references_kept) {
    known->references_kept = true;
    for (std::size_t i = 0; i < request.references.size(); ++i) {
      const auto one = request.references[i];
      known->results.push_back({std::string(one.sop_class_uid), std::string(one.sop_instance_uid),
                                FailureReason::none, ""});
    }
  }
  Commitment& c = known->commitment;
  c.called_ae_title = request.called_ae_title;
  c.peer_address = request.peer_address;
  c.level = request.level;
  c.duplicate = duplicate;
  c.requested_at = env_.clock.wall_now();
  c.unknown_until = request.unknown_until;
  c.answer_until = request.answer_until;
  if (!fresh) begin_again(*known, CommitmentEvent::requested_again);
  return RecordedCommitment{c.id, duplicate ? CommitmentReceipt::duplicate
                                  : fresh   ? CommitmentReceipt::fresh
                                            : CommitmentReceipt::requested_again};
}

// --- evaluation
// ----------------------------------------------------------------------------------

std::vector<Commitment> MemoryCommitments::due(CommitmentState state, WallTime until,
                                               std::size_t limit) const {
  std::vector<Commitment> found;
  for (const Row& row : rows_) {
    const Commitment& c = row.commitment;
    if (c.state == state && c.next_attempt_at && *c.next_attempt_at <= until) found.push_back(c);
  }
  std::ranges::stable_sort(found, {}, [](const Commitment& c) { return *c.next_attempt_at; });
  if (found.size() > limit) found.resize(limit);
  return found;
}

std::optional<WallTime> MemoryCommitments::next_at(CommitmentState state) const {
  const auto first = due(state, WallTime::max(), 1);
  return first.empty() ? std::nullopt : first.front().next_attempt_at;
}

Result<std::vector<Commitment>> MemoryCommitments::due_pending(WallTime now, std::size_t limit) {
  const std::lock_guard lock(mutex_);
  return due(CommitmentState::pending, now, limit);
}

Result<std::optional<WallTime>> MemoryCommitments::next_pending_at() {
  const std::lock_guard lock(mutex_);
  return next_at(CommitmentState::pending);
}

Result<MemoryCommitments::Found> MemoryCommitments::look_up(const Row& row,
                                                            const CommitmentResult& reference,
                                                            const CommitmentLevels& levels) {
  TRY_ASSIGN(const auto views, ledger_.instances(reference.sop_instance_uid, 1000));
  if (views.empty()) return Found{Standing::unknown, ""};
  Found found{Standing::other_class, ""};
  for (const InstanceView& view : views) {
    if (view.instance.sop_class_uid.text() != reference.sop_class_uid) continue;
    if (found.standing == Standing::other_class) found.standing = Standing::committed;
    const bool any = row.commitment.level == CommitmentLevel::spooled;
    if (view.deliveries.empty() && !any && found.standing == Standing::committed) {
      found.standing = Standing::homeless;
    }
    for (const Delivery& delivery : view.deliveries) {
      const auto of_destination = levels.find(delivery.destination);
      const CommitmentLevel level = row.commitment.level             ? *row.commitment.level
                                    : of_destination != levels.end() ? of_destination->second
                                                                     : CommitmentLevel::imported;
      if (rank(delivery.state) >= static_cast<int>(level)) continue;
      if (asks_for_person(delivery.state) || is_final(delivery.state)) {
        if (found.standing != Standing::on_way) found.standing = Standing::failed;
        found.words = std::max(found.words, delivery.destination + ": " + delivery.reason_code +
                                                ": " + delivery.reason);
      } else {
        found.standing = Standing::on_way;
      }
    }
  }
  return found;
}

Result<std::vector<MemoryCommitments::Found>> MemoryCommitments::look_up_all(
    const CommitmentId& id, const CommitmentLevels& levels) {
  Row copy;
  {
    const std::lock_guard lock(mutex_);
    const Row* row = find(id);
    if (row == nullptr) return not_found();
    copy = *row;
  }
  std::vector<Found> all;
  for (const CommitmentResult& reference : copy.results) {
    TRY_ASSIGN(Found found, look_up(copy, reference, levels));
    all.push_back(std::move(found));
  }
  return all;
}

Result<CommitmentProgress> MemoryCommitments::progress(const CommitmentId& id,
                                                       const CommitmentLevels& levels) {
  TRY_ASSIGN(const auto all, look_up_all(id, levels));
  CommitmentProgress progress;
  for (const Found& found : all) {
    switch (found.standing) {
      case Standing::committed:
        ++progress.committed;
        break;
      case Standing::unknown:
        ++progress.unknown;
        break;
      case Standing::on_way:
        ++progress.on_way;
        break;
      default:
        ++progress.failed;
    }
  }
  return progress;
}

Result<Commitment> MemoryCommitments::conclude(const CommitmentId& id,
                                               const CommitmentLevels& levels,
                                               WallTime report_until) {
  TRY_ASSIGN(const auto all, look_up_all(id, levels));
  TRY_ASSIGN(const CommitmentProgress standing, progress(id, levels));
  const std::lock_guard lock(mutex_);
  Row& row = *find(id);
  Commitment& c = row.commitment;
  const WallTime now = env_.clock.wall_now();
  const bool wait = !c.duplicate && ((standing.unknown > 0 && now < c.unknown_until) ||
                                     (standing.on_way > 0 && now < c.answer_until));
  if (c.state != CommitmentState::pending || wait) return c;
  constexpr FailureReason kReasons[] = {
      FailureReason::none,
      FailureReason::processing_failure,
      FailureReason::resource_limitation,
      FailureReason::class_instance_conflict,
      FailureReason::processing_failure,
      FailureReason::no_such_instance,
  };
  for (std::size_t i = 0; i < all.size(); ++i) {
    CommitmentResult& result = row.results[i];
    result.reason = c.duplicate ? FailureReason::duplicate_transaction
                                : kReasons[static_cast<std::size_t>(all[i].standing)];
    if (result.reason != FailureReason::none) ++c.failed;
    result.detail = all[i].standing == Standing::on_way ? "commitment.late" : all[i].words;
  }
  c.report_until = report_until;
  move(row, CommitmentEvent::evaluated, nullptr);
  return c;
}

Result<void> MemoryCommitments::look_again(const std::vector<CommitmentDate>& dates) {
  const std::lock_guard lock(mutex_);
  for (const CommitmentDate& date : dates) {
    Row* row = find(date.id);
    if (row == nullptr || row->commitment.state != CommitmentState::pending) continue;
    if (date.seen && row->commitment.next_attempt_at != date.seen) continue;
    row->commitment.next_attempt_at = date.next;
  }
  return {};
}

void MemoryCommitments::look_now(const std::set<std::string>& sop_instance_uids) {
  const std::lock_guard lock(mutex_);
  for (Row& row : rows_) {
    if (row.commitment.state != CommitmentState::pending) continue;
    for (const CommitmentResult& one : row.results) {
      if (!sop_instance_uids.contains(one.sop_instance_uid)) continue;
      row.commitment.next_attempt_at = env_.clock.wall_now();
      break;
    }
  }
}

// --- reports
// -------------------------------------------------------------------------------------

Result<std::vector<ReportPeer>> MemoryCommitments::due_peers(WallTime now, std::size_t limit) {
  const std::lock_guard lock(mutex_);
  std::vector<ReportPeer> peers;
  for (const Commitment& c : due(CommitmentState::answered, now, rows_.size())) {
    const ReportPeer peer{c.calling_ae_title, c.called_ae_title};
    if (std::ranges::find(peers, peer) == peers.end() && peers.size() < limit) {
      peers.push_back(peer);
    }
  }
  return peers;
}

Result<std::optional<WallTime>> MemoryCommitments::next_report_at() {
  const std::lock_guard lock(mutex_);
  return next_at(CommitmentState::answered);
}

Result<std::vector<Commitment>> MemoryCommitments::due_reports(const ReportPeer& peer,
                                                               std::optional<WallTime> now,
                                                               std::size_t limit) {
  const std::lock_guard lock(mutex_);
  auto found = due(CommitmentState::answered, now.value_or(WallTime::max()), rows_.size());
  std::erase_if(found, [&](const Commitment& c) {
    return ReportPeer{c.calling_ae_title, c.called_ae_title} != peer;
  });
  if (found.size() > limit) found.resize(limit);
  return found;
}

Result<void> MemoryCommitments::each_result(
    const CommitmentId& id, const std::function<void(const CommitmentResult&)>& take) {
  std::vector<CommitmentResult> results;
  {
    const std::lock_guard lock(mutex_);
    if (const Row* row = find(id)) results = row->results;
  }
  for (const CommitmentResult& result : results) take(result);
  return {};
}

Result<void> MemoryCommitments::advance(const CommitmentId& id, CommitmentEvent event,
                                        const Error* why) {
  const std::lock_guard lock(mutex_);
  Row* row = find(id);
  if (row == nullptr) return not_found();
  const bool about_a_report = event == CommitmentEvent::acknowledged ||
                              event == CommitmentEvent::report_refused ||
                              event == CommitmentEvent::deliveries_expired;
  if (!about_a_report || !next(row->commitment.state, event)) return no_transition();
  ++row->commitment.attempts;
  if (event == CommitmentEvent::acknowledged) {
    row->commitment.error_code.clear();
    row->commitment.error.clear();
  }
  move(*row, event, why);
  return {};
}

Result<void> MemoryCommitments::postpone_reports(const std::vector<CommitmentDate>& reports,
                                                 const Error& error) {
  const std::lock_guard lock(mutex_);
  for (const CommitmentDate& report : reports) {
    Row* row = find(report.id);
    if (row == nullptr) return not_found();
    if (row->commitment.state != CommitmentState::answered) continue;
    ++row->commitment.attempts;
    row->commitment.error_code = error.code;
    row->commitment.error = error.message;
    row->commitment.next_attempt_at = report.next;
  }
  return {};
}

// --- people
// --------------------------------------------------------------------------------------

Result<std::optional<Commitment>> MemoryCommitments::commitment(const CommitmentId& id) {
  const std::lock_guard lock(mutex_);
  const Row* row = find(id);
  return row == nullptr ? std::nullopt : std::optional(row->commitment);
}

Result<std::vector<Commitment>> MemoryCommitments::list(std::string_view transaction_uid,
                                                        std::size_t limit) {
  const std::lock_guard lock(mutex_);
  std::vector<Commitment> found;
  for (auto row = rows_.rbegin(); row != rows_.rend(); ++row) {
    if (!transaction_uid.empty() && row->commitment.transaction_uid.text() != transaction_uid) {
      continue;
    }
    found.push_back(row->commitment);
  }
  std::ranges::stable_sort(found, std::greater{}, &Commitment::requested_at);
  if (found.size() > limit) found.resize(limit);
  return found;
}

Result<std::int64_t> MemoryCommitments::order_resend(std::string_view transaction_uid) {
  const std::lock_guard lock(mutex_);
  bool known = false;
  std::int64_t ordered = 0;
  for (Row& row : rows_) {
    if (row.commitment.transaction_uid.text() != transaction_uid) continue;
    known = true;
    if (!row.references_kept) continue;
    ++ordered;
    if (!is_active(row.commitment)) {
      begin_again(row, CommitmentEvent::resend_ordered);
    } else if (row.commitment.state == CommitmentState::answered) {
      row.commitment.next_attempt_at = env_.clock.wall_now();
    }
  }
  if (!known) return not_found();
  return ordered;
}

Result<std::vector<HistoryEntry>> MemoryCommitments::commitment_history(std::string_view uid_or_id,
                                                                        std::size_t limit) {
  const std::lock_guard lock(mutex_);
  std::vector<HistoryEntry> story;
  for (const HistoryEntry& entry : history_) {
    const auto row = std::ranges::find_if(
        rows_, [&](const Row& one) { return one.commitment.id.text() == entry.subject_id; });
    const bool meant =
        entry.subject_id == uid_or_id || row->commitment.transaction_uid.text() == uid_or_id;
    if (meant && story.size() < limit) story.push_back(entry);
  }
  return story;
}

Result<std::int64_t> MemoryCommitments::forget_references(WallTime delivered_before,
                                                          std::size_t limit) {
  const std::lock_guard lock(mutex_);
  std::int64_t forgotten = 0;
  for (Row& row : rows_) {
    const Commitment& c = row.commitment;
    if (c.state != CommitmentState::delivered || !row.references_kept) continue;
    if (c.state_since >= delivered_before || forgotten == static_cast<std::int64_t>(limit)) {
      continue;
    }
    row.references_kept = false;
    row.results.clear();
    ++forgotten;
  }
  return forgotten;
}

}  // namespace isthmus::test
