#include "dimse/commitment/session_reports.h"

#include <algorithm>

#include "base/failpoint.h"
#include "dimse/commitment/event_report.h"

namespace isthmus::dimse {
namespace {

// Long enough that a sender between two C-STOREs is not interrupted, short enough for one that
// waits with its association open.
constexpr Milliseconds kQuiet{100};
// For the answer; after it, or when the requester releases, an association of our own is tried.
constexpr Milliseconds kAnswerTimeout{30'000};
// Beyond, results are told on associations of our own.
constexpr std::size_t kMostAwaited = 1'000;
constexpr std::size_t kPendingAtOnce = 20;

constexpr std::string_view kImplicitLittleEndian = "1.2.840.10008.1.2";

}  // namespace

SessionReports::SessionReports(Env& env, CommitmentMeans& means, const Origin& origin,
                               ContextDecision context)
    : env_(env), means_(means), origin_(origin), context_(std::move(context)) {
  const auto requester = means_.requesters.find(origin_.calling_ae_title);
  tells_pending_ = requester && requester->tell_on_its_associations;
}

void SessionReports::expect(const CommitmentId& id, ReportDesk::Hold hold, Milliseconds within) {
  if (awaited_.size() == kMostAwaited) return;
  awaited_.push_back({id, std::move(hold), env_.clock.steady_now() + within});
}

std::optional<Milliseconds> SessionReports::quiet() const {
  if (awaited_.empty() && !tells_pending_ && !under_way_) return std::nullopt;
  return kQuiet;
}

Result<void> SessionReports::tick(Association& association) {
  const SteadyTime now = env_.clock.steady_now();
  if (under_way_ && now < under_way_->until) return {};
  if (under_way_) {
    // It never answers here. Nothing more is told on this association.
    env_.log.warn("commitment.not_answered", {{"association", origin_.association_id},
                                              {"commitment", under_way_->commitment.id.text()}});
    under_way_.reset();
    awaited_.clear();
    tells_pending_ = false;
    return {};
  }
  std::erase_if(awaited_, [&](const Awaited& one) { return now >= one.until; });
  if (awaited_.empty() && !tells_pending_) return {};
  auto turn = means_.desk.take_turn(origin_.calling_ae_title);
  if (!turn) return {};
  TRY_ASSIGN(const std::optional<Commitment> commitment, next_to_tell());
  if (!commitment) return {};
  return tell(association, std::move(*turn), *commitment);
}

Result<std::optional<Commitment>> SessionReports::next_to_tell() {
  for (std::size_t i = 0; i < awaited_.size(); ++i) {
    TRY_ASSIGN(auto commitment, means_.commitments.commitment(awaited_[i].id));
    const bool told = commitment && commitment->state != CommitmentState::pending &&
                      commitment->state != CommitmentState::answered;
    if (told || !commitment) {
      awaited_.erase(awaited_.begin() + static_cast<std::ptrdiff_t>(i--));
    } else if (commitment->state == CommitmentState::answered) {
      return commitment;
    }
  }
  if (!tells_pending_) return std::optional<Commitment>();
  const ReportPeer peer{origin_.calling_ae_title, origin_.called_ae_title};
  TRY_ASSIGN(const auto due, means_.commitments.due_reports(peer, std::nullopt, kPendingAtOnce));
  for (const Commitment& one : due) {
    if (!means_.desk.is_held(one)) return std::optional(one);
  }
  return std::optional<Commitment>();
}

Result<void> SessionReports::tell(Association& association, ReportDesk::Turn turn,
                                  const Commitment& commitment) {
  TRY_ASSIGN(EventReport report,
             make_event_report(means_.commitments, commitment, ++message_id_,
                               context_.transfer_syntax == kImplicitLittleEndian));
  FAILPOINT(reporter_before_report);
  TRY(association.send_command(context_.id, report.command));
  TRY(association.send_dataset(context_.id, std::move(report.dataset)));
  under_way_.emplace(
      UnderWay{std::move(turn), commitment, env_.clock.steady_now() + kAnswerTimeout});
  return {};
}

bool SessionReports::take_response(const Command& command) {
  if (command.field != (kEventReportRequest | kResponseBit) || message_id_ == 0) return false;
  if (!under_way_ || command.message_id_responded_to != message_id_ || !command.status) return true;
  FAILPOINT(reporter_reported);
  const Commitment commitment = under_way_->commitment;
  const Result<bool> concluded =
      conclude_report(env_, means_.commitments, means_.desk, commitment, *command.status);
  if (!concluded.ok()) {
    // The row says that it is still to be told; whoever does it next may tell it twice.
    env_.log.warn("commitment.not_concluded", {{"association", origin_.association_id},
                                               {"commitment", commitment.id.text()},
                                               {"error", describe(concluded.error())}});
  }
  std::erase_if(awaited_, [&](const Awaited& one) { return one.id == commitment.id; });
  // Told "not now": here neither.
  if (*command.status != 0) tells_pending_ = false;
  under_way_.reset();
  return true;
}

}  // namespace isthmus::dimse
