#include "dimse/commitment/action_operation.h"

#include "base/failpoint.h"
#include "dimse/commitment/event_report.h"

namespace isthmus::dimse {
namespace {

// PS3.7 annex C; which is given when: PS3.4 J.3.2.1.2, table 10.1-4 of PS3.7.
constexpr std::uint16_t kProcessingFailure = 0x0110;
constexpr std::uint16_t kNoSuchInstance = 0x0112;
constexpr std::uint16_t kNoSuchArgument = 0x0114;
constexpr std::uint16_t kInvalidArgument = 0x0115;
constexpr std::uint16_t kNoSuchSopClass = 0x0118;
constexpr std::uint16_t kClassInstanceConflict = 0x0119;
constexpr std::uint16_t kNoSuchAction = 0x0123;
constexpr std::uint16_t kNotAuthorized = 0x0124;
constexpr std::uint16_t kMistypedArgument = 0x0212;
constexpr std::uint16_t kResourceLimitation = 0x0213;

// So many lists of the largest size may be on their way at once; a list of 50,000 takes about 3 MB.
constexpr std::int64_t kLargestAtOnce = 4;

}  // namespace

ActionOperation::ActionOperation(Env& env, CommitmentMeans& means, const Origin& origin,
                                 const Command& command, std::string_view transfer_syntax_uid,
                                 bool has_dataset)
    : env_(env), means_(means), origin_(origin) {
  check(command, has_dataset);
  if (!refused_) information_.emplace(transfer_syntax_uid, means_.limits.max_references);
}

ActionOperation::~ActionOperation() {
  means_.references_in_flight.fetch_sub(counted_, std::memory_order_relaxed);
}

void ActionOperation::check(const Command& command, bool has_dataset) {
  const bool our_class = command.affected_sop_class_uid == kCommitmentClass;
  const bool our_instance = command.affected_sop_instance_uid == kCommitmentInstance;
  if (!our_class) {
    return refuse(our_instance ? kClassInstanceConflict : kNoSuchSopClass,
                  "Requested SOP Class is not Storage Commitment");
  }
  if (!our_instance) {
    return refuse(kNoSuchInstance, "Requested SOP Instance is not the well-known one");
  }
  if (command.action_type_id != kRequestStorageCommitment) {
    return refuse(kNoSuchAction, "Action Type ID is not 1");
  }
  if (!has_dataset) return refuse(kMistypedArgument, "No action information");
  // A result that cannot be delivered must not be promised.
  requester_ = means_.requesters.find(origin_.calling_ae_title);
  if (!requester_) refuse(kNotAuthorized, "No report address is known for this AE title");
}

void ActionOperation::refuse(std::uint16_t status, std::string comment) {
  if (refused_) return;
  refused_.emplace();
  refused_->status = status;
  refused_->error_comment = std::move(comment);
  information_.reset();
}

void ActionOperation::append(ByteSpan bytes) {
  if (!information_) return;
  information_->feed(bytes);
  const auto now = static_cast<std::int64_t>(information_->references());
  if (now == counted_) return;
  const std::int64_t all =
      means_.references_in_flight.fetch_add(now - counted_, std::memory_order_relaxed) + now -
      counted_;
  counted_ = now;
  const auto most = static_cast<std::int64_t>(means_.limits.max_references) * kLargestAtOnce;
  if (all > most) refuse(kResourceLimitation, "Too many long lists at once; ask again");
}

ActionOperation::Answer ActionOperation::finish() {
  if (!refused_) {
    Result<dicom::Action> action = information_->finish();
    information_.reset();
    if (action.ok()) return record(std::move(action).value());
    const bool missing = action.error().code == "commitment.missing_argument";
    refuse(missing ? kNoSuchArgument : kInvalidArgument, action.error().message.substr(0, 64));
  }
  return std::move(*refused_);
}

ActionOperation::Answer ActionOperation::record(dicom::Action action) {
  CommitmentRequest request;
  request.transaction_uid = action.transaction_uid;
  request.calling_ae_title = origin_.calling_ae_title;
  request.called_ae_title = origin_.called_ae_title;
  request.peer_address = origin_.peer_address;
  request.references = std::move(action.references);
  request.level = requester_->level;
  const WallTime now = env_.clock.wall_now();
  request.unknown_until = now + means_.limits.unknown_after;
  request.answer_until = now + means_.limits.answer_by;
  Answer answer;
  // Before the row is there: the reporter may find it at once.
  if (requester_->same_association.count() > 0) {
    answer.hold.emplace(means_.desk.hold(request.calling_ae_title, request.transaction_uid));
    answer.same_association = requester_->same_association;
  }
  const auto recorded = means_.commitments.request(request, means_.limits.max_active);
  if (!recorded.ok()) {
    const bool later = recorded.error().fate == Fate::transient;
    refuse(later ? kResourceLimitation : kProcessingFailure,
           later ? "Not now; ask again under a new Transaction UID" : "Internal error");
    env_.log.warn("commitment.not_recorded",
                  {{"association", origin_.association_id}, {"error", describe(recorded.error())}});
    return std::move(*refused_);
  }
  FAILPOINT(commitment_requested);
  constexpr const char* kReceipts[] = {"fresh", "repeated", "requested_again", "duplicate"};
  env_.log.info("commitment.requested",
                {{"association", origin_.association_id},
                 {"commitment", recorded->id.text()},
                 {"transaction", request.transaction_uid.text()},
                 {"calling_ae_title", request.calling_ae_title},
                 {"references", request.references.size()},
                 {"receipt", kReceipts[static_cast<std::size_t>(recorded->receipt)]}});
  answer.commitment = recorded->id;
  return answer;
}

}  // namespace isthmus::dimse
