// Reports on an association that its requester opened: DIMSE messages of both sides share it, so
// one is only begun when nothing is under way and nothing came for a moment; the answer comes
// between whatever else the requester sends (PS3.4 J.3.3.1.2, PS3.7 section 8).
#pragma once

#include <optional>
#include <vector>

#include "dimse/commitment.h"
#include "dimse/policy/negotiation.h"
#include "dimse/session/command.h"
#include "dimse/session/network.h"
#include "model/instance.h"

namespace isthmus::dimse {

// One thread. Destroyed, whatever it hoped to tell is left to an association of our own.
class SessionReports {
 public:
  // References outlive it. `context` is an accepted one of storage commitment.
  SessionReports(Env& env, CommitmentMeans& means, const Origin& origin, ContextDecision context);

  // A request that was accepted here and may be told here within the time.
  void expect(const CommitmentId& id, ReportDesk::Hold hold, Milliseconds within);
  // How long the association has to be silent before tick() is called; nothing: there is nothing to
  // tell or to wait for.
  std::optional<Milliseconds> quiet() const;
  // Nothing came for that long, and no message is under way: tells one result if one stands. An
  // error means that the association is of no use any more.
  Result<void> tick(Association& association);
  // Whether this response is to a report of ours, late ones included.
  bool take_response(const Command& command);

 private:
  struct Awaited {
    CommitmentId id;
    ReportDesk::Hold hold;
    SteadyTime until;
  };
  struct UnderWay {
    ReportDesk::Turn turn;
    Commitment commitment;
    SteadyTime until;
  };

  Result<std::optional<Commitment>> next_to_tell();
  Result<void> tell(Association& association, ReportDesk::Turn turn, const Commitment& commitment);

  Env& env_;
  CommitmentMeans& means_;
  const Origin& origin_;
  const ContextDecision context_;
  std::vector<Awaited> awaited_;
  bool tells_pending_ = false;  // whatever else this requester is to be told is told here, too
  std::optional<UnderWay> under_way_;
  std::uint16_t message_id_ = 0;
};

}  // namespace isthmus::dimse
