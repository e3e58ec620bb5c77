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
  // Returns when bytes, directory entry and row would survive a power cut. Once. Same identity and
  // digest known already: success with Receipt::known, and these bytes are dropped. Errors as
  // append, those of Ledger::record, "spool.dataset_offset" (permanent) when the data set does not
  // begin where `identified` says, and "spool.directory_sync_failed" (fatal): the instance was not
  // promised.
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
  // Once, before begin(): discards part files and files without a row, which nobody was promised.
  // Never touches anything that has a row. Gives how many were discarded. "spool.unclaimed"
  // (permanent), and nothing is touched, when more whole files are without a row than a crash can
  // leave: then this is not their ledger. Errors of the disk and the ledger as they are.
  virtual Result<std::size_t> recover() = 0;
  // Bytes of instances held.
  virtual Result<std::uint64_t> used_bytes() = 0;
};

// One file per instance under `directory`. `ledger` and `admission` must outlive it, and it must
// outlive its instances. Counts spool_instances_begun_total. When a directory cannot be synced it
// closes admission as failed and calls Env::on_fatal.
Result<std::unique_ptr<Spool>> open_file_spool(Env& env, FileSystem::Path directory, Ledger& ledger,
                                               Admission& admission);

}  // namespace isthmus
