// Storage commitment requests in the ledger: what was asked, what became of it, and whether the
// requester was told. Threads, durability and errors are those of ledger.h; every change of state
// writes a line of history in the same transaction.
//
// A transaction is known by who asks and its Transaction UID. Its list may have tens of thousands
// of references: they live in rows, are evaluated where they are, by one statement, and are read
// one after the other.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "model/commitment.h"

namespace isthmus {

struct HistoryEntry;

// What a request turned out to be (standards of PS3.4 J.3.2.1: one event for one transaction).
enum class CommitmentReceipt {
  fresh,            // nobody asked this before
  repeated,         // the same list is being worked on: one event for both
  requested_again,  // it was reported before: it is evaluated and reported once more
  duplicate,        // another list is active under this Transaction UID: all of it fails (0131H)
};

struct RecordedCommitment {
  CommitmentId id;
  CommitmentReceipt receipt = CommitmentReceipt::fresh;
};

// The level that each destination has to reach; one that is not named here has to import.
using CommitmentLevels = std::map<std::string, CommitmentLevel, std::less<>>;

// How the references of a pending request stand.
struct CommitmentProgress {
  std::int64_t committed = 0;
  std::int64_t failed = 0;   // rejected, of another class, kept from every destination
  std::int64_t on_way = 0;   // received, and not where they have to be
  std::int64_t unknown = 0;  // never received
};

// Where reports are due: one association serves all that one requester is to be told by one title.
struct ReportPeer {
  std::string calling_ae_title;  // the requester
  std::string called_ae_title;   // ours
  auto operator<=>(const ReportPeer&) const = default;
};

struct CommitmentDate {
  CommitmentId id;
  WallTime next;
  // look_again(): only while this is its date still. Somebody may have had a reason to look at it
  // sooner meanwhile.
  std::optional<WallTime> seen = std::nullopt;
};

// A pending request is due at once when a batch of one of its instances is staged or reconciled.
class Commitments {
 public:
  virtual ~Commitments() = default;

  // --- requests -------------------------------------------------------------------------------
  // Makes a request known, with all its references; returns when they are durable. "ledger.busy"
  // (transient): `most_active` requests are pending or answered already, nothing was written.
  virtual Result<RecordedCommitment> request(const CommitmentRequest& request,
                                             std::int64_t most_active) = 0;

  // --- evaluation -----------------------------------------------------------------------------
  // Pending requests that are due, the longest due first.
  virtual Result<std::vector<Commitment>> due_pending(WallTime now, std::size_t limit) = 0;
  virtual Result<std::optional<WallTime>> next_pending_at() = 0;
  virtual Result<CommitmentProgress> progress(const CommitmentId& id,
                                              const CommitmentLevels& levels) = 0;
  // Keeps the result of every reference and moves pending → answered, if none is to be waited for
  // any more; else nothing happens. A duplicate fails as such. The answer says what it is now.
  virtual Result<Commitment> conclude(const CommitmentId& id, const CommitmentLevels& levels,
                                      WallTime report_until) = 0;
  // When to look again at each; of requests that are not pending any more nothing is changed.
  virtual Result<void> look_again(const std::vector<CommitmentDate>& dates) = 0;

  // --- reports --------------------------------------------------------------------------------
  // Who is to be told something now, whoever waits longest first.
  virtual Result<std::vector<ReportPeer>> due_peers(WallTime now, std::size_t limit) = 0;
  virtual Result<std::optional<WallTime>> next_report_at() = 0;
  // Answered requests of one requester, the oldest first; with no `now`, those that are not due as
  // well.
  virtual Result<std::vector<Commitment>> due_reports(const ReportPeer& peer,
                                                      std::optional<WallTime> now,
                                                      std::size_t limit) = 0;
  // Every reference with its result, in no order, exactly once, as it was when it was answered.
  virtual Result<void> each_result(const CommitmentId& id,
                                   const std::function<void(const CommitmentResult&)>& take) = 0;
  // answered → delivered, refused or expired. `why` is kept as the last error.
  virtual Result<void> advance(const CommitmentId& id, CommitmentEvent event, const Error* why) = 0;
  // Reports that nobody acknowledged: counts each, keeps the error, sets its next date. Those that
  // somebody else moved meanwhile are left alone.
  virtual Result<void> postpone_reports(const std::vector<CommitmentDate>& reports,
                                        const Error& error) = 0;

  // --- people ---------------------------------------------------------------------------------
  virtual Result<std::optional<Commitment>> commitment(const CommitmentId& id) = 0;
  // The newest first; empty text lists all, a Transaction UID those of it.
  virtual Result<std::vector<Commitment>> list(std::string_view transaction_uid,
                                               std::size_t limit) = 0;
  // Evaluates and reports once more what was delivered, refused or expired under this Transaction
  // UID, and at once what is still to be reported. Gives how many. "ledger.not_found".
  virtual Result<std::int64_t> order_resend(std::string_view transaction_uid) = 0;
  // The story of the requests with this Transaction UID, or of the one with this id.
  virtual Result<std::vector<HistoryEntry>> commitment_history(std::string_view uid_or_id,
                                                               std::size_t limit) = 0;
  // Forgets the references of requests that were delivered before then; the requests stay. Gives
  // how many were forgotten, at most `limit`.
  virtual Result<std::int64_t> forget_references(WallTime delivered_before, std::size_t limit) = 0;
};

}  // namespace isthmus
