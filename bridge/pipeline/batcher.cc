// Gathers waiting deliveries of a study into open batches and seals them. What it decides is in the
// ledger at once: an open batch that a killed process left is gone on with.
//
// Deliveries that were tried before get batches of their own: one instance that makes a whole job
// fail must not take fresh ones along, and the failed subset alone is imported again.
//
// What cannot wait has a lane of its own, and with it batches of its own: they go first wherever
// something waits.
//
// A study has batches of its own, until starts are scarce: then studies that have none open yet
// share one, because a job of one image costs a start as much as a job of five thousand.
#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "base/failpoint.h"
#include "pipeline/dates.h"
#include "pipeline/scheduler.h"

namespace isthmus {
namespace {

constexpr std::size_t kDeliveriesPerRun = 1000;
constexpr std::size_t kOpenBatches = 100'000;  // a study each; those beyond are seen in a later run
constexpr std::size_t kCounted = 100;          // batches that wait for a start; more are as many

struct Kind {
  Uid study;
  bool retried = false;
  Lane lane = Lane::routine;
  auto operator<=>(const Kind&) const = default;
};

// What an open batch holds, while it is being filled.
struct Filling {
  std::optional<BatchId> id;  // nothing: the first join makes it
  std::int64_t members = 0;
  std::uint64_t size_bytes = 0;
  std::vector<DeliveryId> joining;
};

class Batcher final : public Step {
 public:
  Batcher(Env& env, Ledger& ledger, Destination& destination, BatcherOptions options)
      : env_(env),
        ledger_(ledger),
        destination_(destination),
        options_(std::move(options)),
        sealed_(env.metrics.counter("batches_sealed_total", "Batches that were closed.",
                                    {{"destination", destination.name}})) {}

  std::string_view name() const override { return "batcher"; }

  // Each join is a commit that arrivals wait behind, and nothing is sealed before it was quiet
  // anyway.
  Milliseconds spacing() const override {
    return std::clamp(options_.quiet / 10, Step::spacing(), Milliseconds(1'000));
  }

  Result<NextRun> run_once() override {
    const WallTime now = env_.clock.wall_now();
    TRY_ASSIGN(const std::vector<WaitingDelivery> due,
               ledger_.waiting_deliveries(destination_.name, now, kDeliveriesPerRun));
    if (!due.empty()) TRY(gather(due));
    TRY_ASSIGN(const std::optional<WallTime> ripe_at, seal_what_is_ripe());
    if (due.size() == kDeliveriesPerRun) return NextRun{};
    TRY_ASSIGN(const std::optional<WallTime> due_at, ledger_.next_waiting_at(destination_.name));
    return run_at(now, earlier(ripe_at, due_at));
  }

 private:
  Result<void> gather(const std::vector<WaitingDelivery>& due) {
    TRY_ASSIGN(auto open, open_batches());
    TRY_ASSIGN(const bool scarce, starts_are_scarce());
    std::map<Kind, std::vector<const WaitingDelivery*>> groups;
    for (const WaitingDelivery& delivery : due) {
      groups[{delivery.study_instance_uid, delivery.attempts > 0, lane_of(delivery)}].push_back(
          &delivery);
    }
    for (const auto& [kind, group] : groups) {
      const auto own = open.find(kind);
      Filling* shared = scarce && own == open.end() ? with_room(open, kind) : nullptr;
      TRY(fill(kind, shared != nullptr ? *shared : open[kind], group));
    }
    return {};
  }

  Lane lane_of(const WaitingDelivery& delivery) const {
    return options_.lane_of ? options_.lane_of(delivery) : Lane::routine;
  }

  // Whether batches that wait would have to wait longer for their starts than for their studies.
  Result<bool> starts_are_scarce() {
    if (options_.scheduler == nullptr) return false;
    TRY_ASSIGN(const std::size_t queued, queued_batches());
    const auto waiting = static_cast<Milliseconds::rep>(queued + retried_.size());
    return waiting > 1 && waiting * options_.scheduler->start_interval() > options_.quiet;
  }

  // Sealed, and not started yet.
  Result<std::size_t> queued_batches() {
    TRY_ASSIGN(const auto sealed, ledger_.batches(destination_.name, BatchState::sealed, kCounted));
    TRY_ASSIGN(const auto staged, ledger_.batches(destination_.name, BatchState::staged, kCounted));
    return sealed.size() + staged.size();
  }

  // The emptiest of the open batches that others may join.
  static Filling* with_room(std::map<Kind, Filling>& open, const Kind& wanted) {
    Filling* found = nullptr;
    for (auto& [kind, filling] : open) {
      if (kind.retried != wanted.retried || kind.lane != wanted.lane || !filling.id) continue;
      if (found == nullptr || filling.members < found->members) found = &filling;
    }
    return found;
  }

  // The youngest open batch of each kind.
  Result<std::map<Kind, Filling>> open_batches() {
    TRY_ASSIGN(const std::vector<Batch> batches,
               ledger_.batches(destination_.name, BatchState::open, kOpenBatches));
    std::map<BatchId, bool> known;
    std::map<Kind, Filling> open;
    for (const Batch& batch : batches) {
      TRY_ASSIGN(const bool retried, holds_retried(batch.id));
      known[batch.id] = retried;
      open[{batch.study_instance_uid, retried, batch.lane}] = {
          batch.id, batch.members, batch.size_bytes, {}};
    }
    retried_ = std::move(known);
    return open;
  }

  // Batches are never mixed, so that one member says it for all; asked once per batch and process.
  Result<bool> holds_retried(const BatchId& batch) {
    const auto known = retried_.find(batch);
    if (known != retried_.end()) return known->second;
    TRY_ASSIGN(const std::vector<Expected> members,
               ledger_.expected(batch, destination_.object_prefix));
    return !members.empty() && members.front().attempts > 0;
  }

  Result<void> fill(const Kind& kind, Filling& filling,
                    const std::vector<const WaitingDelivery*>& group) {
    const ImportLimits limits = destination_.service.limits();
    for (const WaitingDelivery* delivery : group) {
      const bool fits = filling.members < limits.files_per_job &&
                        filling.size_bytes + delivery->size_bytes <= limits.bytes_per_job;
      // One that is larger than a whole job gets a batch alone: the service says what it thinks of
      // it.
      if (!fits && filling.members > 0) {
        TRY(join(kind, filling));
        TRY(seal(*filling.id, filling.members, filling.size_bytes));
        filling = {};
      }
      filling.joining.push_back(delivery->id);
      ++filling.members;
      filling.size_bytes += delivery->size_bytes;
    }
    return join(kind, filling);
  }

  Result<void> join(const Kind& kind, Filling& filling) {
    if (filling.joining.empty()) return {};
    TRY_ASSIGN(const BatchId id,
               ledger_.join(destination_.name, filling.id, filling.joining, kind.lane));
    FAILPOINT(batcher_joined);
    if (!filling.id) retried_[id] = kind.retried;
    env_.log.debug("batch.joined", {{"batch", id.text()},
                                    {"destination", destination_.name},
                                    {"lane", to_string(kind.lane)},
                                    {"deliveries", filling.joining.size()}});
    filling.id = id;
    filling.joining.clear();
    return {};
  }

  // Gives the date when the next one will be ripe.
  Result<std::optional<WallTime>> seal_what_is_ripe() {
    TRY_ASSIGN(const std::vector<Batch> batches,
               ledger_.batches(destination_.name, BatchState::open, kOpenBatches));
    // Read after them: what this run joined is not from the future.
    const WallTime now = env_.clock.wall_now();
    TRY_ASSIGN(const bool start_is_free, nothing_is_queued(batches));
    std::optional<WallTime> next;
    for (const Batch& batch : batches) {
      WallTime ripe_at =
          std::min(batch.last_joined_at + options_.quiet, batch.opened_at + options_.max_age);
      // A batch of several studies is never quiet while studies come; it goes when its turn is.
      if (start_is_free && is_shared(batch)) {
        ripe_at = std::min(ripe_at, batch.opened_at + options_.quiet);
      }
      // A clock that was set back would leave the batch open for as long as it was set back.
      const bool from_the_future = batch.last_joined_at > now;
      if (is_full(batch) || from_the_future || ripe_at <= now) {
        TRY(seal(batch.id, batch.members, batch.size_bytes));
      } else {
        next = earlier(next, ripe_at);
      }
    }
    return next;
  }

  static bool is_shared(const Batch& batch) { return batch.study_instance_uid.empty(); }

  Result<bool> nothing_is_queued(const std::vector<Batch>& open) {
    if (std::ranges::none_of(open, is_shared)) return false;  // nobody needs to know
    TRY_ASSIGN(const std::size_t queued, queued_batches());
    return queued == 0;
  }

  bool is_full(const Batch& batch) const {
    const ImportLimits limits = destination_.service.limits();
    return batch.members >= limits.files_per_job || batch.size_bytes >= limits.bytes_per_job;
  }

  Result<void> seal(const BatchId& batch, std::int64_t members, std::uint64_t size_bytes) {
    TRY_ASSIGN(const bool ours, still_ours(env_, ledger_.advance(batch, BatchEvent::seal, nullptr),
                                           name(), batch.text()));
    if (!ours) return {};
    FAILPOINT(batcher_sealed);
    sealed_.add();
    env_.log.info("batch.sealed", {{"batch", batch.text()},
                                   {"destination", destination_.name},
                                   {"members", members},
                                   {"size_bytes", size_bytes}});
    return {};
  }

  Env& env_;
  Ledger& ledger_;
  Destination& destination_;
  const BatcherOptions options_;
  Counter& sealed_;
  std::map<BatchId, bool> retried_;  // of open batches: what is known of their kind
};

}  // namespace

std::unique_ptr<Step> make_batcher(Env& env, Ledger& ledger, Destination& destination,
                                   BatcherOptions options) {
  return std::make_unique<Batcher>(env, ledger, destination, std::move(options));
}

}  // namespace isthmus
