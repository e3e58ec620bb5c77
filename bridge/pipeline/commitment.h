// Storage commitment after it was asked for: requests are evaluated until nothing is to be waited
// for, then their requesters are told, again and again until one acknowledges (PS3.4 annex J). The
// standard defines no retry; ours is at least once before the acknowledgement, never after it.
//
// What goes over the network is behind two ports, implemented in dimse/commitment.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/env.h"
#include "ledger/commitments.h"
#include "pipeline/step.h"

namespace isthmus {

// How one requester wants to be told.
struct Requester {
  std::string host;
  std::uint16_t port = 0;
  bool tls = false;
  std::string tls_name = {};             // that its certificate must be for; empty: host
  std::string tls_pin_sha256 = {};       // its certificate must be this one; empty: a trusted one
  std::optional<CommitmentLevel> level;  // nothing: as each destination says
  // Some devices accept the presentation context and say nothing of roles; strictly they must not
  // be sent an event (PS3.7 D.3.3.4), and they wait for it all the same.
  bool send_without_role_confirmation = true;
  // How long after its request its own association is used, when it stays open; 0: never.
  Milliseconds same_association{0};
  // Some devices open an association now and then only to be told.
  bool tell_on_its_associations = false;
};

// Any thread.
class Requesters {
 public:
  virtual ~Requesters() = default;
  // Nothing when nobody wrote down where this title wants to be told: it may not ask.
  virtual std::optional<Requester> find(const std::string& calling_ae_title) const = 0;
};

// An association on which a requester can be told. One thread. Destroyed, it ends the association.
class ReportAssociation {
 public:
  virtual ~ReportAssociation() = default;
  // Sends the whole result of one request and gives the status of the answer. Errors (all
  // transient) end the association: "report.timeout", "report.aborted", "report.closed",
  // "report.protocol", "report.stopping".
  virtual Result<std::uint16_t> report(const Commitment& commitment) = 0;
};

// Opens associations to requesters. Any thread.
class ReportLine {
 public:
  virtual ~ReportLine() = default;
  // Errors (all transient, a person may mend them): "report.no_address", "report.unreachable",
  // "report.timeout", "report.rejected", "report.not_accepted" (no presentation context, or no role
  // and we are strict), "report.tls".
  virtual Result<std::unique_ptr<ReportAssociation>> connect(const ReportPeer& peer) = 0;
};

// Who is being told right now. Requesters refuse a second report association beside the first, and
// one event must not be sent on two ways at once. In memory: after a restart nobody is being told.
// Any thread.
class ReportDesk {
 public:
  // After a report that nobody acknowledged: the first wait; 5, 15 and 60 times as long follow.
  // Before reporters run.
  void set_first_wait(Milliseconds first) { first_wait_ = first; }
  Milliseconds wait_after(std::int64_t failures) const;

  // Whoever waits for a requester gives up at once ("report.stopping"): the process ends. Nothing
  // is counted against the requester, and after the restart it is told.
  void stop() { stopping_.store(true, std::memory_order_release); }
  bool stopping() const { return stopping_.load(std::memory_order_acquire); }

  // While it lives, nobody else tells this requester anything.
  class Turn {
   public:
    Turn(Turn&& other) noexcept;
    Turn& operator=(Turn&&) = delete;
    ~Turn();

   private:
    friend class ReportDesk;
    Turn(ReportDesk* desk, std::string title) : desk_(desk), title_(std::move(title)) {}
    ReportDesk* desk_;
    std::string title_;
  };
  std::optional<Turn> take_turn(const std::string& calling_ae_title);

  // While it lives, an association of the requester's own hopes to tell this transaction's result,
  // and no new one is opened for it.
  class Hold {
   public:
    Hold(Hold&& other) noexcept;
    Hold& operator=(Hold&& other) noexcept;
    ~Hold();

   private:
    friend class ReportDesk;
    using Key = std::pair<std::string, std::string>;
    Hold(ReportDesk* desk, Key key) : desk_(desk), key_(std::move(key)) {}
    ReportDesk* desk_;
    Key key_;
  };
  Hold hold(const std::string& calling_ae_title, const Uid& transaction_uid);
  bool is_held(const Commitment& commitment) const;

 private:
  Milliseconds first_wait_{60'000};
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  std::set<std::string> taken_;
  std::multiset<Hold::Key> held_;
};

// What the answer to a report means (PS3.7 annex C): 0000H delivered; 0110H, 0210H, 0213H and every
// error: once more, later, until the request's report_until; anything else: refused, a person is
// asked. The row says it durably when this returns. Gives whether the association is of use for
// further reports.
Result<bool> conclude_report(Env& env, Commitments& commitments, const ReportDesk& desk,
                             const Commitment& commitment, const Result<std::uint16_t>& answer);

struct EvaluatorOptions {
  CommitmentLevels levels;                        // of the destinations
  Milliseconds retry_for{72 * 3'600'000};         // from when a result stands
  Milliseconds retention{30LL * 24 * 3'600'000};  // of lists, after they were delivered
};
// pending → answered. One for all. What it finds is not looked at before everything that `spool`
// promised until then has its row: else an instance that was received would be unknown, and one of
// two with other bytes would answer for both.
std::unique_ptr<Step> make_commitment_evaluator(Env& env, Commitments& commitments, Spool& spool,
                                                EvaluatorOptions options);
// answered → delivered, refused or expired. Several may run: each tells one requester at a time.
std::unique_ptr<Step> make_commitment_reporter(Env& env, Commitments& commitments, ReportLine& line,
                                               ReportDesk& desk);

}  // namespace isthmus
