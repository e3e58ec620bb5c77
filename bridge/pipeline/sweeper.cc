// Gives back what is no longer needed: staged objects of batches that came to their end, and spool
// bytes of instances that every destination has imported, after retention. By our own ids alone;
// never a path made of anything that came from outside.
#include <string>

#include "base/failpoint.h"
#include "pipeline/dates.h"

namespace isthmus {
namespace {

constexpr std::size_t kBatchesPerRun = 16;
constexpr std::size_t kInstancesPerRun = 500;
constexpr std::size_t kObjectsPerListing = 1000;

class Sweeper final : public Step {
 public:
  Sweeper(Env& env, Ledger& ledger, Spool& spool, std::vector<Destination*> destinations,
          SweeperOptions options)
      : env_(env),
        ledger_(ledger),
        spool_(spool),
        destinations_(std::move(destinations)),
        options_(options),
        objects_(env.metrics.counter("objects_removed_total", "Staged objects removed.")),
        freed_(env.metrics.counter("instances_freed_total",
                                   "Instances whose spool bytes were given back.")) {}

  std::string_view name() const override { return "sweeper"; }

  Result<NextRun> run_once() override {
    more_ = false;
    // What a killed process had claimed comes first: of those nobody knows whether bytes are left.
    TRY_ASSIGN(const std::vector<Sweepable> claimed, ledger_.being_freed());
    for (const Sweepable& instance : claimed) TRY(free(instance));
    for (Destination* destination : destinations_) TRY(sweep_objects(*destination));
    TRY(sweep_spool());
    return NextRun{more_ ? Milliseconds{0} : options_.interval};
  }

 private:
  Result<void> sweep_objects(Destination& destination) {
    const WallTime before = env_.clock.wall_now() - options_.object_retention;
    TRY_ASSIGN(const std::vector<Batch> batches,
               ledger_.batches_with_objects(destination.name, before, kBatchesPerRun));
    for (const Batch& batch : batches) {
      if (Result<void> removed = remove_objects(destination, batch); !removed.ok()) {
        if (removed.error().fate == Fate::fatal) return removed;
        // The bucket's trouble is not the spool's or another destination's: next time.
        env_.log.warn("batch.objects_not_removed", {{"batch", batch.id.text()},
                                                    {"destination", destination.name},
                                                    {"code", removed.error().code}});
        return {};
      }
      const Result<void> noted = ledger_.note_objects_removed(batch.id);
      TRY_ASSIGN(const bool ours, still_ours(env_, noted, name(), batch.id.text()));
      if (!ours) return {};
      FAILPOINT(sweeper_objects_noted);
    }
    more_ = more_ || batches.size() == kBatchesPerRun;
    return {};
  }

  // What jobs left under ".../out/" stays: the manifests are the evidence of what was imported.
  Result<void> remove_objects(Destination& destination, const Batch& batch) {
    const std::string prefix = layout::batch_prefix(destination.object_prefix, batch.id);
    std::size_t removed = 0;
    for (;;) {
      std::vector<ObjectKey> keys;
      std::size_t listed = 0;
      TRY(destination.store.list(prefix, [&](const StoredObject& object) {
        // Nothing but what the stager put there, whatever a store may list.
        if (object.key.text.starts_with(prefix) && layout::instance_of(object.key)) {
          keys.push_back(object.key);
        }
        return ++listed < kObjectsPerListing;
      }));
      for (const ObjectKey& key : keys) {
        TRY(destination.store.remove(key));
        FAILPOINT(sweeper_object_removed);
        objects_.add();
      }
      removed += keys.size();
      if (listed < kObjectsPerListing || keys.empty()) break;
    }
    env_.log.info(
        "batch.objects_removed",
        {{"batch", batch.id.text()}, {"destination", destination.name}, {"objects", removed}});
    return {};
  }

  Result<void> sweep_spool() {
    const WallTime before = env_.clock.wall_now() - options_.spool_retention;
    TRY_ASSIGN(const std::vector<Sweepable> instances, ledger_.sweepable(before, kInstancesPerRun));
    for (const Sweepable& instance : instances) {
      const Result<SpoolRef> claimed = ledger_.claim_freeing(instance.instance);
      const Result<void> claim = claimed.ok() ? Result<void>() : Result<void>(claimed.error());
      TRY_ASSIGN(const bool ours, still_ours(env_, claim, name(), instance.instance.text()));
      if (!ours) continue;
      FAILPOINT(sweeper_freeing);
      // Where they lie now: a spool may have moved them meanwhile.
      TRY(free({instance.instance, *claimed}));
    }
    more_ = more_ || instances.size() == kInstancesPerRun;
    return {};
  }

  Result<void> free(const Sweepable& instance) {
    if (const Result<void> freed = spool_.free(instance.spool_ref); !freed.ok()) {
      if (freed.error().fate == Fate::fatal) return freed;
      // It stays claimed: the next run goes on with it.
      env_.log.warn("instance.not_freed",
                    {{"instance", instance.instance.text()}, {"code", freed.error().code}});
      return {};
    }
    FAILPOINT(sweeper_bytes_removed);
    const Result<void> noted = ledger_.note_freed(instance.instance);
    TRY_ASSIGN(const bool ours, still_ours(env_, noted, name(), instance.instance.text()));
    if (!ours) return {};  // it was received again, and these were its old bytes
    freed_.add();
    env_.log.debug("instance.freed", {{"instance", instance.instance.text()}});
    return {};
  }

  Env& env_;
  Ledger& ledger_;
  Spool& spool_;
  const std::vector<Destination*> destinations_;
  const SweeperOptions options_;
  Counter& objects_;
  Counter& freed_;
  bool more_ = false;
};

}  // namespace

std::unique_ptr<Step> make_sweeper(Env& env, Ledger& ledger, Spool& spool,
                                   std::vector<Destination*> destinations, SweeperOptions options) {
  return std::make_unique<Sweeper>(env, ledger, spool, std::move(destinations), options);
}

}  // namespace isthmus
