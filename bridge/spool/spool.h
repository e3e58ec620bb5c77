// Where received bytes live durably until every destination has them.
#pragma once

#include <memory>

#include "base/env.h"
#include "ledger/ledger.h"
#include "model/instance.h"

namespace isthmus {

class Admission;

// What is known of an instance when its bytes are complete; the spool adds size, digests and place.
struct Identified {
  Identity identity;
  std::string transfer_syntax_uid;
  std::uint64_t dataset_offset_bytes =
      0;  // length of preamble and file meta that were appended first
  // See Arrival::destinations: what the sender's policy and the routes say.
  std::optional<std::vector<std::string>> destinations = std::nullopt;
  // Who sent it, when begin() was not told all of it; nothing: as begin() was told.
  std::optional<Origin> origin = std::nullopt;
};

// An instance being received, not yet promised to anyone. Destroyed without commit(), it leaves
// nothing behind. One thread at a time.
class IncomingInstance {
 public:
  virtual ~IncomingInstance() = default;
  virtual const InstanceId& id() const = 0;
  // The next bytes of the Part 10 file: first preamble, "DICM" and file meta, then the data set.
  // dataset_begins() is called once between the two.
  // "spool.full" (transient) when the disk is full or nearly so, "spool.closed" (transient) after a
  // fatal error; "spool.io" (transient) when this file could not be written: it is given up, others
  // are not concerned. After an error every later call gives the same one.
  virtual Result<void> append(ByteSpan bytes) = 0;
  virtual void dataset_begins() = 0;
  // Before append(), by a receiver that may not look at the file now: the whole of it is copied and
  // not looked at. Never waits. False: there is no memory for it here, and nothing happened. Else
  // append() is given what gathered() says, piece by piece, and copies it no more.
  virtual bool gather(ByteSpan) { return false; }
  virtual std::vector<ByteSpan> gathered() const { return {}; }
  // Before commit(), by a receiver whose host may still refuse the instance: does what can be done
  // before that is known, so that commit() has less to wait for. No row is made before commit();
  // destroyed without it there is none, also after a restart, unless the process is killed before
  // the spool has noted that, and then the instance is there (decision 0017). commit() may say more
  // exactly who sent it and where it goes; all else is as here. At most once. Errors as commit().
  virtual Result<void> secure(const Identified&) { return {}; }
  // Returns when the instance would survive a power cut: its bytes, and its row or what the next
  // start makes the row of. Once. Same identity and digest known already: success, and these bytes
  // are dropped unless the row takes them (Receipt::bytes_taken); Receipt::known says so if the row
  // came first. Errors as append, those of
  // Ledger::record, "spool.dataset_offset" (permanent) when the data set does not begin where
  // `identified` says, "spool.directory_sync_failed" and "spool.segment_sync_failed" (fatal): the
  // instance was not promised.
  virtual Result<Receipt> commit(const Identified& identified) = 0;
};

// Any thread, many at once.
class Spool {
 public:
  virtual ~Spool() = default;
  // "spool.full" or "spool.closed" (transient) as Admission::check, before anything is written.
  virtual Result<std::unique_ptr<IncomingInstance>> begin(const Origin& origin) = 0;
  // The Part 10 file. "spool.not_found" (permanent) when the bytes are gone; "spool.io"
  // (transient).
  virtual Result<std::unique_ptr<ByteSource>> open(const SpoolRef& ref) = 0;
  // Gives the space back, durably. Freeing what is gone succeeds. "spool.io" (transient), or
  // "spool.directory_sync_failed" (fatal).
  virtual Result<void> free(const SpoolRef& ref) = 0;
  // Once, before begin(): makes the rows that were promised and not made, and discards part files
  // and files without a row, which nobody was promised. Never touches anything that has a row.
  // Gives how many were discarded. "spool.unclaimed"
  // (permanent), and nothing is touched, when more whole files are without a row than a crash can
  // leave: then this is not their ledger. Errors of the disk and the ledger as they are.
  virtual Result<std::size_t> recover() = 0;
  // Returns when everything that was promised before this call has its row. Errors of the ledger;
  // "spool.closed" (transient) when the spool ends before.
  virtual Result<void> catch_up() = 0;
  // Bytes of instances held.
  virtual Result<std::uint64_t> used_bytes() = 0;
};

// One file per instance under `directory`. `ledger` and `admission` must outlive it, and it must
// outlive its instances. Counts spool_instances_begun_total. When a directory cannot be synced it
// closes admission as failed and calls Env::on_fatal.
Result<std::unique_ptr<Spool>> open_file_spool(Env& env, FileSystem::Path directory, Ledger& ledger,
                                               Admission& admission);

struct SegmentOptions {
  // Of a new segment; smaller ones are made while there is little space. Old ones stay as they are.
  std::uint64_t segment_bytes = 64 * MiB;
  // Longer instances, head included, go to files of their own.
  std::uint64_t max_instance_bytes = 4 * MiB;
  // Of all instances that are buffered at once; beyond, an instance goes to a file of its own.
  std::uint64_t buffer_bytes = 16 * MiB;
  // Segments kept ready to be written, at least.
  std::size_t ahead = 1;
  // No segment is made when this much would not be left on the disk.
  std::uint64_t reserve_bytes = 2 * GiB;
  // Rows follow this long after the promise, or as soon as there are so many.
  Milliseconds rows_within{50};
  std::size_t rows_at_once = 256;
  // Promises without a row at most; beyond, receivers wait.
  std::size_t max_rows_behind = 8192;
  // A segment that is three quarters free is compacted when nothing was freed in it for so long.
  Milliseconds compact_after{600'000};
  // A segment that holds nothing for so long is removed, but for as many as are kept ready: after a
  // flood the space is others' again.
  Milliseconds remove_after{259'200'000};
  // False: rows and segments are only looked after when asked (unit tests).
  bool background = true;
};

// Instances are appended to segments, with one sync for all who wait; what is too large, and what
// the spool of files held before, is in files as with open_file_spool. Threads of its own make rows
// and segments; they end with it. What must outlive what, and fatal errors, as there. Metrics:
// spool_rows_behind, spool_segments{state}, spool_segment_held_bytes, spool_buffered_bytes,
// spool_to_file_total{reason}, spool_segment_syncs_total, spool_records_total,
// spool_compacted_total.
Result<std::unique_ptr<Spool>> open_segment_spool(Env& env, FileSystem::Path directory,
                                                  Ledger& ledger, Admission& admission,
                                                  SegmentOptions options);

}  // namespace isthmus
