#include "plugin/intake_ahead.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "plugin/intake.h"

namespace isthmus::plugin {
namespace {

constexpr const char* kMetricHelp = "Instances whose taking began while Orthanc stored them";

}  // namespace

// `origin` and `intake` are the worker's until it is done, then the storing thread's.
struct IntakeAhead::Pending {
  const std::byte* place = nullptr;  // in Orthanc's memory: to know it again, never read
  std::size_t size_bytes = 0;
  SteadyTime begun{};
  Origin origin;
  std::unique_ptr<InstanceIntake> intake;
  std::optional<Error> error;
  bool done = false, is_withdrawn = false;
};

IntakeAhead::IntakeAhead(Env& env, Spool& spool, const Senders& senders, AheadOptions options)
    : env_(env),
      spool_(spool),
      senders_(senders),
      options_(options),
      taken_(env.metrics.counter("orthanc_ahead_total", kMetricHelp, {{"result", "taken"}})),
      withdrawn_(
          env.metrics.counter("orthanc_ahead_total", kMetricHelp, {{"result", "withdrawn"}})),
      workers_(env, "orthanc-ahead", options.workers, options.workers * 8) {
  keeper_ = Thread(env, "orthanc-overdue", [this] {
    while (!ending_.wait_for(options_.patience / 2)) withdraw_overdue();
  });
}

void IntakeAhead::forget() {
  withdraw_if([me = std::this_thread::get_id()](std::thread::id thread, const Pending&) {
    return thread == me;
  });
}

void IntakeAhead::begin(ByteSpan file, std::string calling_ae_title) {
  forget();
  // Which AE title was called is not known before the instance is stored.
  if (file.size() > options_.most_bytes ||
      senders_.routes_look_at(RouteAttribute::called_ae_title)) {
    return;
  }
  const auto pending = std::make_shared<Pending>();
  pending->place = file.data();
  pending->size_bytes = file.size();
  pending->begun = env_.clock.steady_now();
  pending->origin.receiver = "orthanc";
  pending->origin.calling_ae_title = std::move(calling_ae_title);
  pending->intake = std::make_unique<InstanceIntake>(spool_, pending->origin,
                                                     std::numeric_limits<std::uint64_t>::max());
  if (!pending->intake->gather_file(file)) return;
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return;
    pending_[std::this_thread::get_id()] = pending;
  }
  if (workers_.try_submit([this, pending] { secure(*pending); })) return;
  const std::lock_guard lock(mutex_);
  pending_.erase(std::this_thread::get_id());
}

void IntakeAhead::secure(Pending& pending) {
  bool is_wanted = false;
  {
    const std::lock_guard lock(mutex_);
    is_wanted = !pending.is_withdrawn;
  }
  const auto attempt = [&]() -> Result<void> {
    pending.intake->look();
    TRY(pending.intake->identify());
    return pending.intake->secure(route_of(senders_, pending.origin));
  };
  if (is_wanted) {
    if (auto secured = attempt(); !secured.ok()) pending.error = secured.error();
  }
  std::unique_ptr<InstanceIntake> unwanted;
  {
    const std::lock_guard lock(mutex_);
    pending.done = true;
    if (pending.is_withdrawn) unwanted = std::move(pending.intake);
  }
  done_.notify_all();
}

std::optional<Result<Receipt>> IntakeAhead::conclude(ByteSpan file, const Origin& origin) {
  PendingPtr pending;
  {
    std::unique_lock lock(mutex_);
    const auto found = pending_.find(std::this_thread::get_id());
    if (found == pending_.end()) return std::nullopt;
    pending = found->second;
    if (pending->place != file.data() || pending->size_bytes != file.size()) return std::nullopt;
    pending_.erase(found);
    if (!done_.wait_for(lock, options_.patience, [&] { return pending->done; })) {
      pending->is_withdrawn = true;
      withdrawn_.add();
      return Result<Receipt>(transient_error("orthanc.ahead_slow",
                                             "The spool's disk was too slow for an instance that "
                                             "Orthanc stored: it is fetched later."));
    }
  }
  if (pending->error) return Result<Receipt>(*pending->error);
  taken_.add();
  return pending->intake->commit(route_of(senders_, origin), origin);
}

// Outside of the lock: destroying an intake is work of the spool.
void IntakeAhead::withdraw(const PendingPtr& pending) {
  std::unique_ptr<InstanceIntake> unwanted;
  {
    const std::lock_guard lock(mutex_);
    pending->is_withdrawn = true;
    if (pending->done) unwanted = std::move(pending->intake);
  }
  withdrawn_.add();
}

template <typename Condition>
void IntakeAhead::withdraw_if(const Condition& condition) {
  std::vector<PendingPtr> found;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(pending_, [&](const auto& entry) {
      if (!condition(entry.first, *entry.second)) return false;
      found.push_back(entry.second);
      return true;
    });
  }
  for (const PendingPtr& pending : found) withdraw(pending);
}

void IntakeAhead::withdraw_overdue() {
  const SteadyTime now = env_.clock.steady_now();
  withdraw_if([&](std::thread::id, const Pending& pending) {
    return now - pending.begun > options_.patience;
  });
}

void IntakeAhead::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  ending_.notify();
  keeper_.join();
  withdraw_if([](std::thread::id, const Pending&) { return true; });
  workers_.stop();
}

}  // namespace isthmus::plugin
