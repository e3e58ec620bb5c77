// The world around the bridge, and what can go wrong in it: a bucket and an import service that
// refuse, slow down, lose answers and get calls twice; a clock that is set forward and back.
// Everything is drawn from one seed.
#pragma once

#include <atomic>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "support/memory_import_service.h"
#include "support/memory_object_store.h"

namespace isthmus::test {

// Dice. One thread.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  bool chance(double probability) {
    return std::uniform_real_distribution<double>(0, 1)(engine_) < probability;
  }
  // From `low` to `high`, both included.
  int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine_); }

 private:
  std::mt19937_64 engine_;
};

// Wall time can be set; steady time only goes on. Any thread.
class SettableClock : public Clock {
 public:
  WallTime wall_now() const override {
    return *from_rfc3339("2026-01-31T09:30:00Z") + Milliseconds(elapsed_ + set_by_);
  }
  SteadyTime steady_now() const override { return SteadyTime(Milliseconds(1'000'000 + elapsed_)); }
  void sleep_for(Milliseconds duration) override { elapsed_ += duration.count(); }
  void set_by(Milliseconds difference) { set_by_ += difference.count(); }

 private:
  std::atomic<std::int64_t> elapsed_{0};
  std::atomic<std::int64_t> set_by_{0};
};

// How likely what is, per call or per object. Nothing by default.
struct Faults {
  double refuse = 0;       // a call to bucket, service, spool or ledger fails and does nothing
  double lose_answer = 0;  // it happens, and the answer does not come
  double repeat = 0;       // it arrives twice
  double storm = 0;        // per call: from here on, many calls in a row are answered 500, 503, 429
  double cut = 0;          // an upload is cut off in the middle of its body
  double wrong_checksum = 0;  // the bucket holds the object, and tells of another checksum
  double stale_listing = 0;   // a listing is the one of the time before
  double start_denied = 0;    // a start is refused for good
  double job_fails = 0;
  double not_found_yet = 0;     // a job is asked for and not known, though it runs
  double job_is_forgotten = 0;  // a running job is not known any more, and never imported anything
  double manifest_late = 0;
  double manifest_never = 0;
  double manifest_unreadable = 0;
  double rejected = 0;     // per object
  double unaccounted = 0;  // per object: named as failed, or in no file
  double damaged = 0;      // per instance: its spool bytes are damaged or gone before staging
  double death = 0;        // per round: the process will die at some failpoint
  double clock_set = 0;    // per round
};

// Many calls in a row that are refused, as a cloud in trouble does.
class Storm {
 public:
  // Which of the three answers this call gets: 0, 1 or 2; nothing in calm weather.
  std::optional<int> strikes(Dice& dice, double chance);

 private:
  int left_ = 0;
};

// The fake bucket, with calls that arrive twice, whose answer is lost or not true.
class FaultyStore : public ObjectStore {
 public:
  FaultyStore(Dice& dice, const Faults& faults, MemoryObjectStore& inner)
      : dice_(dice), faults_(faults), inner_(inner) {}
  Result<StoredObject> put(const ObjectKey& key, std::shared_ptr<ByteSource> bytes,
                           const Digest& expected) override;
  Result<StoredObject> head(const ObjectKey& key) override { return inner_.head(key); }
  Result<std::unique_ptr<ByteSource>> get(const ObjectKey& key) override { return inner_.get(key); }
  Result<void> list(std::string_view prefix,
                    const std::function<bool(const StoredObject&)>& each) override;
  Result<void> remove(const ObjectKey& key) override;
  Result<void> check() override { return inner_.check(); }

  // Every key that was ever put, by instance.
  const std::map<InstanceId, std::set<ObjectKey>>& keys_of() const { return keys_of_; }

 private:
  std::optional<Error> refusal();

  Dice& dice_;
  const Faults& faults_;
  MemoryObjectStore& inner_;
  Storm storm_;
  std::map<InstanceId, std::set<ObjectKey>> keys_of_;
  std::map<std::string, std::vector<StoredObject>, std::less<>> listings_;  // the last, by prefix
};

// The fake service, likewise; it also draws what becomes of each job and each object.
class FaultyService : public ImportService {
 public:
  FaultyService(Dice& dice, const Faults& faults, MemoryImportService& inner)
      : dice_(dice), faults_(faults), inner_(inner) {}
  ImportLimits limits() const override { return inner_.limits(); }
  Result<RemoteJob> start(const ImportIntent& intent) override;
  Result<std::optional<RemoteJob>> find(const ImportIntent& intent) override;
  Result<RemoteStatus> status(const RemoteJob& job) override;
  Result<std::vector<Outcome>> outcomes(const RemoteJob& job,
                                        std::span<const Expected> expected) override;

  // A request of long ago arrives once more.
  void replay_an_old_start();
  // What the service says of this object, in every job.
  void draw_verdict(const ObjectKey& key);
  // Batches whose job ended well, and whose output nobody ever could read: nobody can know that
  // their instances were imported.
  const std::set<BatchId>& unread_batches() const { return unread_; }
  // Starts of an intent whose job was there already: nobody asked before calling again. That the
  // token makes it the same job here is luck: tokens are not kept for ever.
  const std::vector<ImportJobId>& started_unasked() const { return started_unasked_; }
  // Intents that a start was asked for, whatever the answer.
  const std::set<ImportJobId>& asked() const { return asked_; }

 private:
  enum class Output { readable, never, unreadable };
  std::optional<Error> refusal();

  Dice& dice_;
  const Faults& faults_;
  MemoryImportService& inner_;
  Storm storm_;
  std::vector<ImportIntent> seen_;
  std::set<ImportJobId> asked_;
  std::set<ImportJobId> known_;  // have a job that the service knows
  std::vector<ImportJobId> started_unasked_;
  std::map<std::string, Output> output_of_;  // by remote job
  std::map<std::string, BatchId> batch_of_;
  std::set<BatchId> unread_;
};

}  // namespace isthmus::test
