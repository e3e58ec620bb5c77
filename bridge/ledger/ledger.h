// The ledger: the one database that holds every promise and every state. Each call is one durable
// transaction; when it returns without error, its effect survives a power cut. State changes go
// only through model/transitions.h, and each writes a history row in the same transaction.
//
// Threads: every call from any thread. Writes are carried out by one committer thread; record()
// calls that wait at the same time share one sync and one commit. Reads use connections of their
// own and see what was committed before the call.
//
// Errors of all calls: "ledger.full" (transient: no disk space), "ledger.io" (fatal: the database
// can no longer be trusted), "ledger.no_transition" (permanent: the state table does not have it,
// or somebody else was first), "ledger.not_found" (permanent), "ledger.closed" (transient:
// stopping), "ledger.constraint" (permanent: a row that cannot be, such as an id that is taken),
// "ledger.read_only" (permanent: a change, of a ledger opened for reading). After a fatal error
// every change is refused with it: a restart reads what the disk really has.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "model/batch.h"
#include "model/delivery.h"
#include "model/import_job.h"
#include "model/instance.h"
#include "model/outcome.h"

namespace isthmus {

class Commitments;
class MetadataUpdates;  // ledger/updates.h
class SenderRows;       // ledger/sender_rows.h
class AccessRows;       // ledger/access_rows.h
class ReceiverRows;     // ledger/receiver_rows.h

// Something that must be on disk before the rows that speak of it: a spool directory, a segment. A
// group commit calls it once for all who wait with the same object, before COMMIT.
class Durable {
 public:
  virtual ~Durable() = default;
  virtual Result<void> make_durable() = 0;
};

// One line of an instance's, batch's or job's story.
struct HistoryEntry {
  WallTime at;
  std::string subject;  // "instance", "delivery", "batch", "import_job", "commitment",
                        // "metadata_update"
  std::string subject_id;
  std::string event;       // "received", "received_again", "opened", "intended", or a transition's
  std::string from_state;  // empty for the first four
  std::string to_state;
  std::string why;  // "code: message", or empty
};

// How many there are in a state, and since when the longest waiting one has been in it.
struct StateCount {
  std::string subject;      // "delivery", "batch", "import_job", "commitment", "metadata_update"
  std::string destination;  // empty for commitments
  std::string state;
  std::int64_t count = 0;
  std::optional<WallTime> oldest_since;
  bool asks_for_person = false;
};

// A delivery, batch, commitment or update of metadata that will not go on without a person.
struct Ask {
  std::string subject;  // "delivery", "batch", "commitment" or "metadata_update"
  std::string subject_id;
  std::string destination;  // of a commitment: the AE title that could not be told
  std::string state;
  std::string reason_code;
  std::string reason;
  WallTime since;
};

// A study as the gateway knows it, for one destination.
struct StudySummary {
  Uid study_instance_uid;
  std::string destination;
  std::int64_t received = 0;
  std::int64_t staged = 0;  // staged at least once: imported, rejected ones included
  std::int64_t imported = 0;
  std::int64_t rejected = 0;
  std::int64_t quarantined = 0;
  std::int64_t discarded = 0;
  std::int64_t unaccounted =
      0;  // neither done nor asking: still on the way after a job said nothing
  std::vector<std::string> import_job_ids;  // the service's ids
  std::vector<std::string> image_set_ids;
};

struct InstanceView {
  Instance instance;
  std::vector<Delivery> deliveries;
};

// What is to be done with one delivery after its job was read.
struct OutcomeRecord {
  Outcome outcome;
  // For unaccounted ones: when to try again; nothing means that its attempts are used up.
  std::optional<WallTime> next_attempt_at;
};

// What may be given back: an instance whose deliveries are all imported or discarded.
struct Sweepable {
  InstanceId instance;
  SpoolRef spool_ref;
};

class SpoolRows;  // ledger/spool_rows.h

class Ledger {
 public:
  virtual ~Ledger() = default;

  // --- intake ---------------------------------------------------------------------------------
  // Makes an instance known, with one waiting delivery per destination of the arrival, or of the
  // ledger when it names none: never without any. A name that is not configured (any more) gets its
  // delivery too, and that waits until it is: an arrival is a promise already. `bytes`, when given,
  // is
  // made durable before the rows; returns when both are. Same identity (SOP Instance UID) and same
  // data set digest as an instance known already: no new row, Receipt{that id, known}; destinations
  // of the arrival that it has no delivery to get one (I7), a delivery to one of them that was
  // discarded is in quarantine again ("discarded_before"), and if its bytes were freed or claimed
  // for that, the row names the arrival's bytes from now on (Receipt::bytes_taken). Same UID with
  // other bytes: a new instance that conflicts_with the first; its delivery waits for a person
  // ("conflict") at destinations that say so. With another study or patient besides it is flagged
  // as an identity conflict and all its deliveries go to quarantine ("identity_conflict"). An
  // instance whose spool bytes were freed is still known.
  virtual Result<Receipt> record(const Arrival& arrival, Durable* bytes) = 0;
  // True when an instance row with this id exists.
  virtual Result<bool> has_instance(const InstanceId& id) = 0;
  virtual Result<std::optional<Instance>> instance(const InstanceId& id) = 0;

  // --- batcher --------------------------------------------------------------------------------
  // Waiting deliveries that are in no batch and due, oldest first.
  virtual Result<std::vector<WaitingDelivery>> waiting_deliveries(std::string_view destination,
                                                                  WallTime now,
                                                                  std::size_t limit) = 0;
  // The earliest date of a waiting delivery in no batch, due or not.
  virtual Result<std::optional<WallTime>> next_waiting_at(std::string_view destination) = 0;
  virtual Result<std::vector<Batch>> batches(std::string_view destination, BatchState state,
                                             std::size_t limit) = 0;
  virtual Result<std::optional<Batch>> batch(const BatchId& id) = 0;
  // Adds deliveries (waiting, in no batch) to an open batch, or to a new one of this lane when
  // `batch` is empty.
  virtual Result<BatchId> join(std::string_view destination, const std::optional<BatchId>& batch,
                               const std::vector<DeliveryId>& deliveries, Lane lane) = 0;
  Result<BatchId> join(std::string_view destination, const std::optional<BatchId>& batch,
                       const std::vector<DeliveryId>& deliveries) {
    return join(destination, batch, deliveries, Lane::routine);
  }
  // One transition of a batch that has no other effect: seal, give_up; and retry_ordered, which
  // lets the members go back to waiting. `why` goes into history; for give_up it is the reason
  // shown.
  virtual Result<void> advance(const BatchId& batch, BatchEvent event, const Error* why) = 0;

  // --- stager ---------------------------------------------------------------------------------
  // Members of sealed batches that are waiting and due: those of the lane stat, then the oldest
  // batch first.
  virtual Result<std::vector<StagingItem>> staging_items(std::string_view destination, WallTime now,
                                                         std::size_t limit) = 0;
  virtual Result<std::optional<WallTime>> next_staging_at(std::string_view destination) = 0;
  // waiting → staged: the object is in the bucket and its checksum was confirmed.
  virtual Result<void> mark_staged(const DeliveryId& delivery, const std::string& etag) = 0;
  // Counts an attempt, keeps the error, sets the next date. State stays waiting, batch stays.
  virtual Result<void> postpone(const DeliveryId& delivery, const Error& error, WallTime next) = 0;
  // waiting or staged → quarantined (event attempts_exhausted or input_unusable); leaves its batch.
  virtual Result<void> quarantine(const DeliveryId& delivery, DeliveryEvent event,
                                  const Error& reason) = 0;
  // For each sealed batch without a waiting member: all_staged, or emptied when none is left.
  // Gives the batches that became staged.
  virtual Result<std::vector<BatchId>> conclude_staging(std::string_view destination) = 0;

  // --- submitter ------------------------------------------------------------------------------
  // Batches of a state that are due: those of the lane stat, then the oldest first.
  virtual Result<std::vector<Batch>> due_batches(std::string_view destination, BatchState state,
                                                 WallTime now, std::size_t limit) = 0;
  virtual Result<std::optional<WallTime>> next_batch_at(std::string_view destination,
                                                        BatchState state) = 0;
  // The intent of a staged batch: the one that is already intended, or a new row with a new token.
  virtual Result<ImportIntent> intend(const BatchId& batch, std::string_view object_prefix) = 0;
  // True when this intent was there before this process opened the ledger: it may have been
  // started.
  virtual Result<bool> intent_is_inherited(const ImportJobId& job) = 0;
  // Job intended → running, batch staged → submitted, in one transaction.
  virtual Result<void> job_started(const ImportJobId& job, const RemoteJob& remote,
                                   WallTime next_poll) = 0;
  // The call that is due for a batch failed: count it, keep the error, set the next date.
  virtual Result<void> postpone_batch(const BatchId& batch, const Error& error, WallTime next) = 0;
  // Jobs intended or running at a destination: what the job slots are counted by.
  virtual Result<std::int64_t> jobs_in_flight(std::string_view destination) = 0;

  // --- watcher --------------------------------------------------------------------------------
  virtual Result<std::vector<ImportJob>> due_jobs(std::string_view destination, WallTime now,
                                                  std::size_t limit) = 0;
  virtual Result<std::optional<WallTime>> next_poll_at(std::string_view destination) = 0;
  virtual Result<void> postpone_poll(const ImportJobId& job, WallTime next) = 0;
  // Job running → succeeded and batch → settled; or job → failed (or lost, for ended with
  // ImportJobEvent::not_found) and batch → staged with an attempt counted, due at `next`.
  virtual Result<void> job_ended(const ImportJobId& job, ImportJobEvent event,
                                 const std::string& message, const std::string& output_prefix,
                                 WallTime next) = 0;

  // --- reconciler -----------------------------------------------------------------------------
  // The job whose output settles this batch.
  virtual Result<ImportJob> settling_job(const BatchId& batch) = 0;
  // Every member of a batch, whatever the batch's state (the batcher asks of open ones, too).
  virtual Result<std::vector<Expected>> expected(const BatchId& batch,
                                                 std::string_view object_prefix) = 0;
  // All outcomes of a settled batch, exactly one for each member, in one transaction; the batch
  // becomes reconciled. "ledger.outcomes_incomplete" (permanent) when a member is missing or
  // doubled.
  virtual Result<void> record_outcomes(const BatchId& batch,
                                       const std::vector<OutcomeRecord>& outcomes) = 0;

  // --- sweeper --------------------------------------------------------------------------------
  // Final batches (reconciled, abandoned) whose staged objects were not removed yet, that came to
  // their end before `ended_before`.
  virtual Result<std::vector<Batch>> batches_with_objects(std::string_view destination,
                                                          WallTime ended_before,
                                                          std::size_t limit) = 0;
  virtual Result<void> note_objects_removed(const BatchId& batch) = 0;
  // Instances whose deliveries are all imported or discarded since before `imported_before`, bytes
  // not freed.
  virtual Result<std::vector<Sweepable>> sweepable(WallTime imported_before, std::size_t limit) = 0;
  // Claims: from now on the bytes may be missing. Then the spool frees, then note_freed concludes.
  // Gives where they lie now: they may have been moved since sweepable() told.
  virtual Result<SpoolRef> claim_freeing(const InstanceId& instance) = 0;
  // "ledger.no_transition" when it was received again meanwhile and holds other bytes now.
  virtual Result<void> note_freed(const InstanceId& instance) = 0;
  // Claimed and not concluded: what a restart has to go on with.
  virtual Result<std::vector<Sweepable>> being_freed() = 0;

  // --- storage commitment (ledger/commitments.h) ----------------------------------------------
  virtual Commitments& commitments() = 0;
  // --- updates of metadata (ledger/updates.h) -------------------------------------------------
  // Lives as long as the ledger. None: this one keeps none.
  virtual MetadataUpdates* metadata_updates() { return nullptr; }
  // --- areas with ports of their own ----------------------------------------------------------
  virtual SpoolRows& spool_rows() = 0;

  // --- people ---------------------------------------------------------------------------------
  virtual Result<std::vector<StateCount>> counts() = 0;
  virtual Result<std::vector<Ask>> asks(std::size_t limit) = 0;
  // The story of every instance with this SOP, series or study UID, or of the row with this id.
  virtual Result<std::vector<HistoryEntry>> history(std::string_view uid_or_id,
                                                    std::size_t limit) = 0;
  virtual Result<std::vector<StudySummary>> studies(std::size_t limit) = 0;
  virtual Result<std::vector<InstanceView>> instances(std::string_view uid_or_id,
                                                      std::size_t limit) = 0;
  // retry_ordered for rejected and quarantined deliveries and stuck batches: those of a UID or id,
  // or all of them for "all". Attempts start over. Gives how many rows were moved. Large orders are
  // carried out in portions, each durable: one that is cut short can be given again.
  // "ledger.not_found" when nothing has this UID or id.
  virtual Result<std::int64_t> order_retry(std::string_view uid_or_id_or_all) = 0;
  // discard_ordered for the rejected and quarantined deliveries of a UID or id: they will not be
  // imported, and `reason` (1 to kMostReason bytes, shown to whoever may read; no patient data) is
  // kept in the row and in history. Their bytes stay for the retention after that. Gives how many
  // rows were moved; large orders go in portions, like retries. Sent again by its sender, a
  // discarded one is in quarantine once more. "ledger.not_found"; "ledger.bad_reason": none, too
  // long, or with control characters in it.
  static constexpr std::size_t kMostReason = 500;
  virtual Result<std::int64_t> order_discard(std::string_view uid_or_id,
                                             const std::string& reason) = 0;
  // PRAGMA integrity_check, foreign keys, and the invariants I2 and I4 as queries; each finding a
  // line.
  virtual Result<std::vector<std::string>> check() = 0;

  // --- areas of their own ---------------------------------------------------------------------
  // Senders that a person admitted or blocked, and refused ones. Lives as long as the ledger.
  virtual SenderRows& sender_rows() = 0;
  // API tokens and the audit log. Likewise.
  virtual AccessRows& access_rows() = 0;
  // Of a receiver that stands inside another archive. Likewise.
  virtual ReceiverRows& receiver_rows() = 0;

  // --- life -----------------------------------------------------------------------------------
  // Called (from the committer thread, must not block) after something was committed that a step
  // may wait for.
  virtual void on_change(std::function<void()> notify) = 0;
  // Finishes what is queued, then refuses with "ledger.closed". Synchronous, safe twice.
  virtual void stop() = 0;
};

struct LedgerOptions {
  FileSystem::Path directory;             // ledger.sqlite, its WAL and ledger.lock live here
  std::vector<std::string> destinations;  // names; deliveries are made for each
  // Those at which an instance whose UID is known with other bytes waits for a person
  // (on_conflict).
  std::vector<std::string> quarantine_conflicts_at = {};
  std::size_t group_limit = 64;  // arrivals in one commit at most
  bool read_only = false;        // status and history commands beside a running daemon
};

// Opens, locks ("ledger.locked", permanent, when another process has it), and migrates to the
// newest schema ("ledger.newer_schema", permanent, when the file was made by a newer version). Read
// only, it neither locks nor migrates ("ledger.older_schema", permanent).
Result<std::unique_ptr<Ledger>> open_sqlite_ledger(Env& env, LedgerOptions options);

}  // namespace isthmus
