#include <algorithm>
#include <array>

#include "base/failpoint.h"
#include "pipeline/commitment.h"
#include "pipeline/dates.h"

namespace isthmus {
namespace {

constexpr std::size_t kPeersPerRun = 50;
constexpr std::size_t kReportsPerAssociation = 200;
// While a requester is told elsewhere, or its own association is waited with.
constexpr Milliseconds kBusy{250};

// After the first, second … failure, as multiples; the last holds for all that follow: 1, 5, 15
// minutes, then hourly.
constexpr std::array<int, 4> kWaits{1, 5, 15, 60};

// Statuses at which the same report may succeed later: processing failure, duplicate invocation,
// resource limitation (PS3.7 C.5.20, C.5.9, C.5.23).
constexpr std::array<std::uint16_t, 3> kLater{0x0110, 0x0210, 0x0213};

WallTime next_attempt(const ReportDesk& desk, const Commitment& commitment, WallTime now) {
  const WallTime next = now + desk.wait_after(commitment.attempts + 1);
  // The last attempt is made when the time is over, not before.
  const WallTime end = commitment.report_until.value_or(next);
  return now < end ? std::min(next, end) : next;
}

bool is_over(const Commitment& commitment, WallTime now) {
  return commitment.report_until && now >= *commitment.report_until;
}

std::string hex_status(std::uint16_t status) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string text;
  for (int shift = 12; shift >= 0; shift -= 4) text.push_back(kDigits[(status >> shift) & 0xf]);
  return text + "H";
}

Counter& reports(Env& env, const char* result) {
  return env.metrics.counter("commitment_reports_total",
                             "Storage commitment reports sent or tried, by result",
                             {{"result", result}});
}

Result<void> tell_a_person(Env& env, Commitments& commitments, const Commitment& commitment,
                           CommitmentEvent event, const Error& why) {
  const Result<void> moved = commitments.advance(commitment.id, event, &why);
  TRY_ASSIGN(const bool ours, still_ours(env, moved, "commitment_reporter", commitment.id.text()));
  if (!ours) return {};
  const bool refused = event == CommitmentEvent::report_refused;
  reports(env, refused ? "refused" : "expired").add();
  env.log.error(refused ? "commitment.refused" : "commitment.expired",
                {{"commitment", commitment.id.text()},
                 {"transaction", commitment.transaction_uid.text()},
                 {"calling_ae_title", commitment.calling_ae_title},
                 {"attempts", commitment.attempts + 1},
                 {"error", describe(why)}});
  return {};
}

// All of them failed for one reason: the next dates, or the end of the time they had.
Result<void> try_later(Env& env, Commitments& commitments, const ReportDesk& desk,
                       const std::vector<Commitment>& failed, const Error& why) {
  if (why.code == "report.stopping") return {};  // it stays due
  const WallTime now = env.clock.wall_now();
  std::vector<CommitmentDate> postponed;
  for (const Commitment& commitment : failed) {
    if (is_over(commitment, now)) {
      TRY(tell_a_person(env, commitments, commitment, CommitmentEvent::deliveries_expired, why));
    } else {
      postponed.push_back({commitment.id, next_attempt(desk, commitment, now)});
    }
  }
  if (postponed.empty()) return {};
  reports(env, "postponed").add(static_cast<double>(postponed.size()));
  env.log.warn("commitment.postponed", {{"calling_ae_title", failed.front().calling_ae_title},
                                        {"reports", postponed.size()},
                                        {"first", postponed.front().id.text()},
                                        {"next", to_rfc3339(postponed.front().next)},
                                        {"error", describe(why)}});
  return commitments.postpone_reports(postponed, why);
}

class Reporter final : public Step {
 public:
  Reporter(Env& env, Commitments& commitments, ReportLine& line, ReportDesk& desk)
      : env_(env), commitments_(commitments), line_(line), desk_(desk) {}

  std::string_view name() const override { return "commitment_reporter"; }

  Result<NextRun> run_once() override {
    if (desk_.stopping()) return NextRun{kIdle};
    const WallTime now = env_.clock.wall_now();
    TRY_ASSIGN(const auto peers, commitments_.due_peers(now, kPeersPerRun));
    bool busy = false;
    for (const ReportPeer& peer : peers) {
      const auto turn = desk_.take_turn(peer.calling_ae_title);
      if (!turn) {
        busy = true;
        continue;
      }
      TRY_ASSIGN(const bool all, tell(peer, now));
      busy = busy || !all;
    }
    TRY_ASSIGN(const std::optional<WallTime> next, commitments_.next_report_at());
    const NextRun at = run_at(env_.clock.wall_now(), next);
    if (busy) return NextRun{std::max(at.in, kBusy)};
    return at;
  }

 private:
  // False when some are left to associations of the requester's own.
  Result<bool> tell(const ReportPeer& peer, WallTime now) {
    TRY_ASSIGN(auto due, commitments_.due_reports(peer, now, kReportsPerAssociation));
    const auto held = std::erase_if(due, [&](const Commitment& c) { return desk_.is_held(c); });
    if (due.empty()) return held == 0;
    auto association = line_.connect(peer);
    if (!association.ok()) {
      // Nobody there: whatever else it is to be told can wait as well.
      while (!due.empty()) {
        TRY(try_later(env_, commitments_, desk_, due, association.error()));
        if (due.size() < kReportsPerAssociation || desk_.stopping()) break;
        TRY_ASSIGN(due, commitments_.due_reports(peer, now, kReportsPerAssociation));
        std::erase_if(due, [&](const Commitment& c) { return desk_.is_held(c); });
      }
      return held == 0;
    }
    for (std::size_t i = 0; i < due.size(); ++i) {
      FAILPOINT(reporter_before_report);
      const Result<std::uint16_t> answer = (*association)->report(due[i]);
      FAILPOINT(reporter_reported);
      TRY_ASSIGN(const bool usable, conclude_report(env_, commitments_, desk_, due[i], answer));
      if (usable) continue;
      // One that does not even answer the first would make each of the others wait as long.
      due.erase(due.begin(), due.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      if (i == 0 && !due.empty()) TRY(try_later(env_, commitments_, desk_, due, answer.error()));
      break;
    }
    return held == 0;
  }

  Env& env_;
  Commitments& commitments_;
  ReportLine& line_;
  ReportDesk& desk_;
};

}  // namespace

Result<bool> conclude_report(Env& env, Commitments& commitments, const ReportDesk& desk,
                             const Commitment& commitment, const Result<std::uint16_t>& answer) {
  if (!answer.ok()) {
    TRY(try_later(env, commitments, desk, {commitment}, answer.error()));
    return false;
  }
  if (*answer == 0) {
    const Result<void> moved =
        commitments.advance(commitment.id, CommitmentEvent::acknowledged, nullptr);
    TRY_ASSIGN(const bool ours,
               still_ours(env, moved, "commitment_reporter", commitment.id.text()));
    if (!ours) return true;
    FAILPOINT(reporter_delivered);
    reports(env, "delivered").add();
    env.log.info("commitment.delivered", {{"commitment", commitment.id.text()},
                                          {"transaction", commitment.transaction_uid.text()},
                                          {"calling_ae_title", commitment.calling_ae_title},
                                          {"references", commitment.references},
                                          {"failed", commitment.failed},
                                          {"attempts", commitment.attempts + 1}});
    return true;
  }
  if (std::find(kLater.begin(), kLater.end(), *answer) != kLater.end()) {
    const Error later = transient_error(
        "report.not_now", "The requester answered " + hex_status(*answer) + " to its report.");
    TRY(try_later(env, commitments, desk, {commitment}, later));
    return true;
  }
  const Error refused = permanent_error(
      "report.refused",
      "The requester answered " + hex_status(*answer) +
          " to its report; look at what it expects, then: isthmus commitments resend.");
  TRY(tell_a_person(env, commitments, commitment, CommitmentEvent::report_refused, refused));
  return true;
}

// --- who is being told
// -----------------------------------------------------------------------------------

Milliseconds ReportDesk::wait_after(std::int64_t failures) const {
  const auto last = static_cast<std::int64_t>(kWaits.size());
  return first_wait_ *
         kWaits[static_cast<std::size_t>(std::clamp<std::int64_t>(failures, 1, last) - 1)];
}

std::optional<ReportDesk::Turn> ReportDesk::take_turn(const std::string& calling_ae_title) {
  const std::lock_guard lock(mutex_);
  if (!taken_.insert(calling_ae_title).second) return std::nullopt;
  return Turn(this, calling_ae_title);
}

ReportDesk::Turn::Turn(Turn&& other) noexcept
    : desk_(std::exchange(other.desk_, nullptr)), title_(std::move(other.title_)) {}

ReportDesk::Turn::~Turn() {
  if (desk_ == nullptr) return;
  const std::lock_guard lock(desk_->mutex_);
  desk_->taken_.erase(title_);
}

ReportDesk::Hold ReportDesk::hold(const std::string& calling_ae_title, const Uid& transaction_uid) {
  const std::lock_guard lock(mutex_);
  Hold::Key key{calling_ae_title, transaction_uid.text()};
  held_.insert(key);
  return Hold(this, std::move(key));
}

ReportDesk::Hold::Hold(Hold&& other) noexcept
    : desk_(std::exchange(other.desk_, nullptr)), key_(std::move(other.key_)) {}

ReportDesk::Hold& ReportDesk::Hold::operator=(Hold&& other) noexcept {
  std::swap(desk_, other.desk_);
  std::swap(key_, other.key_);
  return *this;
}

ReportDesk::Hold::~Hold() {
  if (desk_ == nullptr) return;
  const std::lock_guard lock(desk_->mutex_);
  desk_->held_.erase(desk_->held_.find(key_));
}

bool ReportDesk::is_held(const Commitment& commitment) const {
  const std::lock_guard lock(mutex_);
  return held_.contains({commitment.calling_ae_title, commitment.transaction_uid.text()});
}

std::unique_ptr<Step> make_commitment_reporter(Env& env, Commitments& commitments, ReportLine& line,
                                               ReportDesk& desk) {
  return std::make_unique<Reporter>(env, commitments, line, desk);
}

}  // namespace isthmus
