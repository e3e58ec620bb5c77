// One association, from the examined request to the closed socket, in a thread of its own.
#pragma once

#include <string>
#include <variant>

#include "base/env.h"
#include "dimse/commitment.h"
#include "dimse/commitment/action_operation.h"
#include "dimse/commitment/session_reports.h"
#include "dimse/guard/connection.h"
#include "dimse/policy/negotiation.h"
#include "dimse/session/command.h"
#include "dimse/session/network.h"
#include "dimse/session/sender_labels.h"
#include "dimse/store/store_operation.h"
#include "senders/shares.h"
#include "spool/spool.h"

namespace isthmus::dimse {

struct SessionOptions {
  Policy policy;
  ConnectionOptions connection;
  Milliseconds idle_timeout{600'000};
  // From the first byte of a message to its last, and from the first of an association to its end:
  // whoever always sends just enough is never idle. An association that is too old ends between two
  // messages, so that nothing under way is lost.
  Milliseconds message_timeout{14'400'000};
  Milliseconds association_timeout{86'400'000};
  std::uint64_t max_instance_bytes = 4 * GiB;
  CommitmentMeans* commitment = nullptr;  // null: the class is not accepted
};

// A connection whose A-ASSOCIATE-RQ was read whole and found acceptable.
struct Admitted {
  Channel channel;
  AssociateRequest request;
  std::string peer_address;
  SenderRequest asked;
  std::uint64_t policy_version = 0;  // that let it in
  Sender sender;
  SenderShares::Place place;  // among the associations that there may be
};

class Session {
 public:
  Session(Env& env, Spool& spool, const Senders& senders, Network& network,
          const SessionOptions& options, const StopSignal& stop, SenderLabels& sender_labels,
          std::function<void(Descriptor)> hand_back);

  // Returns when the association is over and its socket was handed back.
  void run(Admitted admitted);

 private:
  // Why an association ended; a refusal is sent as A-ABORT.
  using End = std::variant<const char*, Refusal>;

  std::optional<Association> open(Admitted admitted);
  // TLS version, suite and the peer's certificate, when there are any.
  void note_protection(const Channel& channel) const;
  End serve(Association& association);
  // Nothing: go on.
  std::optional<End> on_fragment(Association& association, const Fragment& fragment);
  std::optional<End> on_command(Association& association);
  void begin_store();
  std::optional<End> on_data(ByteSpan bytes);
  std::optional<End> on_message_end(Association& association);
  std::optional<End> answer_store(Association& association);
  std::optional<End> answer_action(Association& association);
  // The next arrival, reports told meanwhile; an end when one cannot be sent, or when the sender is
  // not welcome any more.
  std::variant<GuardedConnection::Arrival, End> await(Association& association, bool idle);
  void refuse_store(const Error& error, Response& response);
  void count_store(std::uint16_t status);
  std::optional<End> answer(Association& association, Response response);
  std::uint16_t status_without_storing() const;
  SteadyTime deadline() const;
  const char* past_deadline() const;  // null: it is not over
  // Why a peer that is not silent loses its thread all the same; null: it does not.
  const char* overdue() const;
  // Why its sender may not be here any more: a person blocked or removed it meanwhile. Null: it
  // may.
  const char* shut_out();
  // Reads nothing until the sender's limits allow it: the peer's window fills, and it slows down.
  void pace();
  const ContextDecision& context() const;

  Env& env_;
  Spool& spool_;
  const Senders& senders_;
  Network& network_;
  const SessionOptions& options_;
  const StopSignal& stop_;
  std::function<void(Descriptor)> hand_back_;

  Origin origin_;
  SenderRequest asked_;
  std::uint64_t policy_version_ = 0;
  Sender sender_;
  SenderShares::Place place_;
  Milliseconds to_wait_{0};  // before more is read, by the sender's limits
  std::vector<ContextDecision> contexts_;
  MessageAssembler messages_;
  Command command_;
  std::optional<StoreOperation> store_;
  std::optional<ActionOperation> action_;
  std::optional<SessionReports> reports_;
  std::uint64_t drained_bytes_ = 0;  // data set bytes of messages that store nothing
  SteadyTime began_{};
  SteadyTime message_began_{};
  std::uint64_t message_bytes_ = 0;
  std::uint64_t stored_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t dataset_bytes_ = 0;
  SenderLabels& sender_labels_;
  // Looked up at the first instance, then used for all that go well.
  Counter* stored_well_ = nullptr;
  Histogram* store_seconds_ = nullptr;
};

}  // namespace isthmus::dimse
