// Puts the instances of sealed batches into the bucket, N at a time, and notes each when the store
// has confirmed its checksum. Killed between the two, the same bytes are put under the same key
// again.
#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>
#include <string>

#include "base/failpoint.h"
#include "base/thread.h"
#include "pipeline/dates.h"
#include "pipeline/paced_source.h"
#include "pipeline/scheduler.h"

namespace isthmus {
namespace {

constexpr std::size_t kExaminedAtOnce = 256 * KiB;
// What is no larger is read once and held until the bucket has it.
constexpr std::uint64_t kHeldBytes = 1 * MiB;
constexpr std::size_t kStoryLines = 1000;
// How often a run looks whether something that cannot wait has come meanwhile.
constexpr Milliseconds kLookEvery{1'000};
constexpr std::size_t kRoundsPerRun = 16;  // uploads of each uploader before batches are concluded

// One run's work, shared by its uploaders.
struct Run {
  std::vector<StagingItem> items;
  std::atomic<std::size_t> taken{0};
  bool only_stat = false;  // the hours are closed to everything else
  SteadyTime look_at;      // with the mutex held
  std::atomic<bool> overtaken{false};
  std::mutex mutex;
  std::optional<Error> broken;  // the step's own means failed: nobody takes another item
};

class Stager final : public Step {
 public:
  Stager(Env& env, Ledger& ledger, Spool& spool, Destination& destination, StagerOptions options)
      : env_(env),
        ledger_(ledger),
        spool_(spool),
        destination_(destination),
        options_(options),
        own_scheduler_(options.scheduler == nullptr ? make_own(env, destination, options)
                                                    : nullptr),
        scheduler_(options.scheduler == nullptr ? *own_scheduler_ : *options.scheduler),
        staged_(env.metrics.counter("deliveries_staged_total", "Instances put into the bucket.",
                                    {{"destination", destination.name}})),
        staged_bytes_(env.metrics.counter("staged_bytes_total", "Bytes put into the bucket.",
                                          {{"destination", destination.name}})),
        failed_(env.metrics.counter("staging_failures_total", "Uploads that failed.",
                                    {{"destination", destination.name}})),
        quarantined_(env.metrics.counter("staging_quarantined_total",
                                         "Instances given up on while staging.",
                                         {{"destination", destination.name}})) {}

  std::string_view name() const override { return "stager"; }

  Result<NextRun> run_once() override {
    const std::size_t limit = std::max<std::size_t>(options_.uploads, 1) * kRoundsPerRun;
    Run run;
    run.only_stat = scheduler_.until_upload(false).count() > 0;
    forget_past_dates();
    run.look_at = env_.clock.steady_now() + kLookEvery;
    if (may_go_on(run)) {
      TRY_ASSIGN(run.items, ledger_.staging_items(destination_.name, env_.clock.wall_now(), limit));
      if (run.only_stat) std::erase_if(run.items, is_routine);
      upload_all(run);
      if (run.broken) return *run.broken;
    }
    TRY(conclude());
    const bool cut_short = run.taken < run.items.size();
    if (may_go_on(run) && (cut_short || run.items.size() == limit)) return NextRun{};
    const Milliseconds wait = scheduler_.until_upload(false);
    if (wait.count() > 0) return NextRun{std::min({wait, kIdle, until_stat()})};
    TRY_ASSIGN(const std::optional<WallTime> next, ledger_.next_staging_at(destination_.name));
    return run_at(env_.clock.wall_now(), next);
  }

 private:
  static std::unique_ptr<Scheduler> make_own(Env& env, const Destination& destination,
                                             const StagerOptions& options) {
    SchedulerOptions own;
    own.uploads = options.uploads;
    own.failures_to_open = std::max<std::size_t>(options.uploads, 2);
    own.backoff = options.backoff;
    return make_scheduler(env, destination.name, destination.service.limits(), own);
  }

  static bool is_routine(const StagingItem& item) { return item.lane == Lane::routine; }

  // What cannot wait is uploaded at any hour of the day.
  bool may_go_on(const Run& run) { return scheduler_.until_upload(run.only_stat).count() == 0; }

  // While routine instances have to wait: when what cannot is to be tried again, as far as this
  // process knows. What it does not know, the idle look finds.
  Milliseconds until_stat() {
    if (const Milliseconds urgent = scheduler_.until_upload(true); urgent.count() > 0) {
      return urgent;
    }
    const std::lock_guard lock(dates_mutex_);
    if (stat_dates_.empty()) return kIdle;
    return std::max(*stat_dates_.begin() - env_.clock.wall_now(), Milliseconds{0});
  }

  void forget_past_dates() {
    const std::lock_guard lock(dates_mutex_);
    stat_dates_.erase(stat_dates_.begin(), stat_dates_.upper_bound(env_.clock.wall_now()));
  }

  // Ends a run of routine instances behind which such of the lane stat wait: the next one begins
  // with them.
  void look_for_stat(Run& run) {
    {
      const std::lock_guard lock(run.mutex);
      const SteadyTime now = env_.clock.steady_now();
      if (now < run.look_at) return;
      run.look_at = now + kLookEvery;
    }
    if (run.items.empty() || !is_routine(run.items.front())) return;
    const auto first = ledger_.staging_items(destination_.name, env_.clock.wall_now(), 1);
    if (first.ok() && !first->empty() && !is_routine(first->front())) run.overtaken = true;
  }

  void upload_all(Run& run) {
    const auto allowed = static_cast<std::size_t>(scheduler_.uploads());
    const std::size_t wanted = std::min(allowed, run.items.size());
    std::vector<Thread> threads;
    for (std::size_t i = 1; i < wanted; ++i) {
      threads.emplace_back(env_, "uploader", [this, &run] { upload_some(run); });
    }
    upload_some(run);  // the step's own thread is one of them; ~Thread waits for the others
  }

  void upload_some(Run& run) {
    while (may_go_on(run)) {
      look_for_stat(run);
      if (run.overtaken) return;
      {
        const std::lock_guard lock(run.mutex);
        if (run.broken) return;
      }
      const std::size_t index = run.taken++;
      if (index >= run.items.size()) return;
      if (Result<void> done = stage(run.items[index]); !done.ok()) {
        const std::lock_guard lock(run.mutex);
        if (!run.broken || done.error().fate == Fate::fatal) run.broken = done.error();
      }
    }
  }

  // Errors are about our own means; what the bucket or the spool said is in the delivery's row.
  Result<void> stage(const StagingItem& item) {
    Result<std::shared_ptr<ByteSource>> bytes = open(item);
    if (bytes.ok()) {
      TRY_ASSIGN(const bool may_go, passes(item, **bytes));
      if (!may_go) return {};
    }
    const SteadyTime start = env_.clock.steady_now();
    const Result<StoredObject> stored =
        bytes.ok() ? put(item, *std::move(bytes)) : std::move(bytes).error();
    if (!stored.ok()) return refused(item, stored.error());
    FAILPOINT(stager_object_put);
    scheduler_.upload_succeeded();
    const Result<void> noted = ledger_.mark_staged(item.delivery, stored->etag);
    TRY_ASSIGN(const bool ours, still_ours(env_, noted, name(), item.delivery.text()));
    if (!ours) return {};
    FAILPOINT(stager_noted);
    staged_.add();
    staged_bytes_.add(static_cast<double>(item.size_bytes));
    env_.log.info("delivery.staged", {{"delivery", item.delivery.text()},
                                      {"instance", item.instance.text()},
                                      {"batch", item.batch.text()},
                                      {"destination", destination_.name},
                                      {"size_bytes", item.size_bytes},
                                      {"took_ms", took_ms(env_, start)}});
    return {};
  }

  // Whether it may be uploaded; else it is in quarantine. Bytes that cannot be read are no matter
  // of this: the upload says so.
  Result<bool> passes(const StagingItem& item, ByteSource& bytes) {
    const PreflightMode mode = options_.preflight_mode;
    if (options_.preflight == nullptr || mode == PreflightMode::off) return true;
    const auto findings = options_.preflight->examine(bytes);
    if (!findings.ok() || findings->empty()) return true;
    const Error& first = findings->front();
    const bool keeps = mode == PreflightMode::quarantine;
    bool ordered = false;
    if (keeps) {
      TRY_ASSIGN(ordered, was_sent_by_a_person(item.delivery));
    }
    env_.metrics
        .counter("preflight_findings_total", "Instances that something speaks against, by code.",
                 {{"destination", destination_.name}, {"code", first.code}})
        .add();
    if (keeps && !ordered) {
      TRY(quarantine(item, DeliveryEvent::input_unusable, first));
      return false;
    }
    env_.log.warn("delivery.preflight", {{"delivery", item.delivery.text()},
                                         {"instance", item.instance.text()},
                                         {"destination", destination_.name},
                                         {"code", first.code},
                                         {"findings", findings->size()},
                                         {"ordered", ordered}});
    return true;
  }

  // A retry that a person orders of what preflight kept is the order to send it all the same.
  Result<bool> was_sent_by_a_person(const DeliveryId& delivery) {
    TRY_ASSIGN(const auto history, ledger_.history(delivery.text(), kStoryLines));
    return std::ranges::any_of(history, [&](const HistoryEntry& entry) {
      return entry.subject_id == delivery.text() && entry.event == "retry_ordered";
    });
  }

  Result<StoredObject> put(const StagingItem& item, std::shared_ptr<ByteSource> bytes) {
    TRY(bytes->rewind());
    Digest expected = item.file_digest;
    if (expected.empty()) {
      TRY_ASSIGN(expected, examine(*bytes, item));
      TRY(bytes->rewind());
    }
    return destination_.store.put(key_of(item), paced(env_.clock, scheduler_, std::move(bytes)),
                                  expected);
  }

  // Looked at by the preflight, hashed and put: a small one is read from the spool once for all.
  Result<std::shared_ptr<ByteSource>> open(const StagingItem& item) {
    TRY_ASSIGN(std::unique_ptr<ByteSource> bytes, open_in_spool(item));
    if (bytes->size() > kHeldBytes) return std::shared_ptr(std::move(bytes));
    Bytes held(static_cast<std::size_t>(bytes->size()));
    for (std::size_t have = 0; have < held.size();) {
      TRY_ASSIGN(const std::size_t got, bytes->read(MutableByteSpan(held).subspan(have)));
      if (got == 0) {
        return permanent_error("spool.damaged",
                               "The spool's bytes end before the instance does: see whether its "
                               "disk is failing, and have the instance sent again.");
      }
      have += got;
    }
    return std::shared_ptr(source_of(std::move(held)));
  }

  // The spool may have moved the bytes since the item was read.
  Result<std::unique_ptr<ByteSource>> open_in_spool(const StagingItem& item) {
    auto bytes = spool_.open(item.spool_ref);
    if (bytes.ok() || bytes.error().code != "spool.not_found") return bytes;
    TRY_ASSIGN(const std::optional<Instance> now, ledger_.instance(item.instance));
    if (!now || now->spool_ref == item.spool_ref) return bytes;
    return spool_.open(now->spool_ref);
  }

  // The digest that the bucket must confirm, when none was taken at intake: of bytes whose data set
  // is still the one that was received.
  Result<Digest> examine(ByteSource& bytes, const StagingItem& item) {
    Sha256 whole, dataset;
    Bytes piece(kExaminedAtOnce);
    std::uint64_t at = 0;
    for (;;) {
      TRY_ASSIGN(const std::size_t got, bytes.read(piece));
      if (got == 0) break;
      const ByteSpan read = ByteSpan(piece).first(got);
      whole.update(read);
      const std::uint64_t head =
          item.dataset_offset_bytes > at ? item.dataset_offset_bytes - at : 0;
      if (head < got) dataset.update(read.subspan(static_cast<std::size_t>(head)));
      at += got;
    }
    if (dataset.finish() == item.dataset_digest) return whole.finish();
    return permanent_error("spool.damaged",
                           "The spool's bytes are not those that were received: see whether its "
                           "disk is failing, and have the instance sent again.");
  }

  ObjectKey key_of(const StagingItem& item) const {
    return layout::staged_object(destination_.object_prefix, item.batch, item.instance);
  }

  Result<void> refused(const StagingItem& item, const Error& error) {
    if (error.fate == Fate::fatal) return error;
    failed_.add();
    // These say that our own copy is damaged or gone: it will not get better. Everything else,
    // denied access too, is trouble of the destination, and ends when somebody mends it.
    if (error.code == "store.bad_digest" || error.code == "spool.not_found" ||
        error.code == "spool.damaged") {
      return quarantine(item, DeliveryEvent::input_unusable, error);
    }
    // What failed while the bucket was known to be out is left as it is: an outage of a day uses up
    // nobody's attempts.
    const bool counts = scheduler_.upload_failed(item.delivery.text(), error);
    const bool slow_down = error.code == "store.slow_down";
    if (!counts && !slow_down) return {};
    if (counts && item.attempts + 1 >= options_.attempts) {
      return quarantine(item, DeliveryEvent::attempts_exhausted, error);
    }
    return postpone(item, error);
  }

  Result<void> postpone(const StagingItem& item, const Error& error) {
    const std::int64_t attempt = item.attempts + 1;
    const WallTime next = retry_date(env_, options_.backoff, attempt, error);
    if (item.lane == Lane::stat) {
      const std::lock_guard lock(dates_mutex_);
      stat_dates_.insert(next);
    }
    env_.log.warn("delivery.staging_failed", {{"delivery", item.delivery.text()},
                                              {"instance", item.instance.text()},
                                              {"destination", destination_.name},
                                              {"attempt", attempt},
                                              {"code", error.code},
                                              {"next", to_rfc3339(next)}});
    const Result<void> postponed = ledger_.postpone(item.delivery, error, next);
    TRY(still_ours(env_, postponed, name(), item.delivery.text()));
    return {};
  }

  // A job imports whatever lies under its batch's prefix. A put whose answer was lost may have left
  // the object there: it goes first, or the instance would be imported with nobody knowing, and
  // once more when a person orders a retry.
  Result<void> quarantine(const StagingItem& item, DeliveryEvent event, const Error& error) {
    if (const Result<void> gone = destination_.store.remove(key_of(item)); !gone.ok()) {
      if (gone.error().fate == Fate::fatal) return gone;
      return postpone(item, gone.error());
    }
    const Result<void> moved = ledger_.quarantine(item.delivery, event, error);
    TRY_ASSIGN(const bool ours, still_ours(env_, moved, name(), item.delivery.text()));
    if (!ours) return {};
    quarantined_.add();
    env_.log.error("delivery.quarantined", {{"delivery", item.delivery.text()},
                                            {"instance", item.instance.text()},
                                            {"destination", destination_.name},
                                            {"event", to_string(event)},
                                            {"code", error.code},
                                            {"reason", error.message}});
    return {};
  }

  Result<void> conclude() {
    TRY_ASSIGN(const std::vector<BatchId> batches, ledger_.conclude_staging(destination_.name));
    for (const BatchId& batch : batches) {
      FAILPOINT(stager_batch_staged);
      env_.log.info("batch.staged", {{"batch", batch.text()}, {"destination", destination_.name}});
    }
    return {};
  }

  Env& env_;
  Ledger& ledger_;
  Spool& spool_;
  Destination& destination_;
  const StagerOptions options_;
  const std::unique_ptr<Scheduler> own_scheduler_;
  Scheduler& scheduler_;
  std::mutex dates_mutex_;
  std::set<WallTime> stat_dates_;  // of retries in the lane stat; the rows have them too
  Counter& staged_;
  Counter& staged_bytes_;
  Counter& failed_;
  Counter& quarantined_;
};

}  // namespace

std::unique_ptr<Step> make_stager(Env& env, Ledger& ledger, Spool& spool, Destination& destination,
                                  StagerOptions options) {
  return std::make_unique<Stager>(env, ledger, spool, destination, options);
}

}  // namespace isthmus
