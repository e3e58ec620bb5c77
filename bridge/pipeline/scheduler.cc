#include "pipeline/scheduler.h"

#include <algorithm>

#include "pipeline/pace.h"

namespace isthmus {
namespace {

constexpr double kNewest = 0.2;  // weight of the newest job in the mean of how long jobs take

bool is_throttling(const Error& error) {
  return error.code == "import.throttled" || error.code == "import.quota" ||
         error.code == "store.slow_down";
}

class DestinationScheduler final : public Scheduler {
 public:
  DestinationScheduler(Env& env, std::string destination, const ImportLimits& limits,
                       SchedulerOptions options)
      : env_(env),
        destination_(std::move(destination)),
        limits_(limits),
        options_(std::move(options)),
        starts_(limits.starts_per_second, limits.start_burst, env.clock.steady_now()),
        polls_(limits.polls_per_second, limits.poll_burst, env.clock.steady_now()),
        slots_(limits.jobs_at_once),
        uploads_(static_cast<std::int64_t>(options_.uploads)),
        bandwidth_(options_.upload_bytes_per_second, env.clock.steady_now()),
        imports_(options_.failures_to_open, options_.backoff),
        bucket_(options_.failures_to_open, options_.backoff),
        throttled_(env.metrics.counter("scheduler_throttled_total",
                                       "Calls that a destination asked to slow down.",
                                       {{"destination", destination_}})),
        opened_(env.metrics.counter("scheduler_circuit_opened_total",
                                    "Times a destination was found to be out.",
                                    {{"destination", destination_}})) {}

  // --- import jobs
  Milliseconds until_start() override {
    const std::lock_guard lock(mutex_);
    const SteadyTime now = env_.clock.steady_now();
    return std::max(starts_.wait(now), imports_.wait(now));
  }

  std::int64_t job_slots() const override {
    const std::lock_guard lock(mutex_);
    return slots_.now();
  }

  void start_called() override {
    const std::lock_guard lock(mutex_);
    starts_.take();
  }

  void start_answered() override {
    const std::lock_guard lock(mutex_);
    note_closed(imports_, "imports");
    imports_.succeeded();
    starts_.succeeded();
    slots_.succeeded();
    throttled_starts_ = 0;
  }

  bool start_failed(const std::string& batch, const Error& error,
                    std::int64_t jobs_in_flight) override {
    const std::lock_guard lock(mutex_);
    if (!is_throttling(error)) return note_failure(imports_, "imports", batch, error);
    const Milliseconds pause = pause_for(error, ++throttled_starts_);
    // Too many jobs at once: those that run are as many as there may be, and the pace is no fault.
    if (error.code == "import.quota") slots_.lower_to(jobs_in_flight);
    starts_.throttled(env_.clock.steady_now(), pause, error.code != "import.quota");
    note_throttled("imports", pause);
    return false;
  }

  Milliseconds until_poll() override {
    const std::lock_guard lock(mutex_);
    return polls_.wait(env_.clock.steady_now());
  }

  void poll_called() override {
    const std::lock_guard lock(mutex_);
    polls_.take();
  }

  void job_took(Milliseconds duration) override {
    const std::lock_guard lock(mutex_);
    const auto took = static_cast<double>(std::max(duration.count(), Milliseconds::rep{0}));
    job_ms_ = job_ms_ == 0 ? took : job_ms_ + (took - job_ms_) * kNewest;
  }

  Milliseconds start_interval() const override {
    const std::lock_guard lock(mutex_);
    return interval();
  }

  // --- uploads
  Milliseconds until_upload(bool urgent) override {
    const std::lock_guard lock(mutex_);
    const SteadyTime now = env_.clock.steady_now();
    const Milliseconds hours = urgent ? Milliseconds{0} : until_hours_open();
    const Milliseconds rest = rest_until_ > now ? rest_until_ - now : Milliseconds{0};
    return std::max({hours, rest, bucket_.wait(now), bandwidth_.wait(now)});
  }

  std::int64_t uploads() const override {
    const std::lock_guard lock(mutex_);
    const bool well = bucket_.state(env_.clock.steady_now()) == Circuit::closed;
    return well ? uploads_.now() : 1;
  }

  Milliseconds until_bytes() override {
    const std::lock_guard lock(mutex_);
    return bandwidth_.wait(env_.clock.steady_now());
  }

  void bytes_taken(std::uint64_t size_bytes) override {
    const std::lock_guard lock(mutex_);
    bandwidth_.take(size_bytes);
  }

  void upload_succeeded() override {
    const std::lock_guard lock(mutex_);
    note_closed(bucket_, "bucket");
    bucket_.succeeded();
    uploads_.succeeded();
    throttled_uploads_ = 0;
  }

  bool upload_failed(const std::string& delivery, const Error& error) override {
    const std::lock_guard lock(mutex_);
    if (!is_throttling(error)) return note_failure(bucket_, "bucket", delivery, error);
    const SteadyTime now = env_.clock.steady_now();
    // Those that were under way together were refused for one reason: it counts once.
    if (now < rest_until_) return false;
    uploads_.halve();
    const Milliseconds pause = pause_for(error, ++throttled_uploads_);
    rest_until_ = now + pause;
    note_throttled("bucket", pause);
    return false;
  }

  SchedulerState state() const override {
    const std::lock_guard lock(mutex_);
    const SteadyTime now = env_.clock.steady_now();
    SchedulerState state;
    state.bucket_circuit = to_string(bucket_.state(now));
    state.import_circuit = to_string(imports_.state(now));
    state.starts_per_second = starts_.per_second();
    state.allowed_starts_per_second = limits_.starts_per_second;
    state.start_tokens = std::max(starts_.tokens(now), 0.0);
    state.until_bucket_probe = bucket_.wait(now);
    state.until_import_probe = imports_.wait(now);
    state.job_slots = slots_.now();
    state.allowed_job_slots = limits_.jobs_at_once;
    state.uploads = uploads_.now();
    state.allowed_uploads = static_cast<std::int64_t>(options_.uploads);
    state.upload_bytes_per_second = bandwidth_.bytes_per_second();
    state.until_hours_open = until_hours_open();
    state.start_interval = interval();
    return state;
  }

 private:
  Milliseconds until_hours_open() const {
    if (options_.hours.is_always()) return Milliseconds{0};
    return options_.hours.until_open(local_time_of_day(env_.clock.wall_now()));
  }

  // Starts are as rare as their rate says, or as jobs give their slots back.
  Milliseconds interval() const {
    const double by_rate = 1000.0 / starts_.per_second();
    const double by_slots = job_ms_ / static_cast<double>(slots_.now());
    return Milliseconds{static_cast<std::int64_t>(std::max(by_rate, by_slots))};
  }

  Milliseconds pause_for(const Error& error, std::int64_t in_a_row) {
    return std::max(options_.backoff.delay(in_a_row, env_.entropy),
                    error.retry_after.value_or(Milliseconds{0}));
  }

  bool note_failure(CircuitBreaker& circuit, std::string_view api, const std::string& subject,
                    const Error& error) {
    const SteadyTime now = env_.clock.steady_now();
    const bool was_closed = circuit.state(now) == Circuit::closed;
    const bool counts = circuit.failed(subject, is_the_destinations(error), now, env_.entropy);
    if (circuit.state(now) != Circuit::open) return counts;
    if (was_closed) opened_.add();
    env_.log.event(was_closed ? LogLevel::warn : LogLevel::info, "destination.out",
                   {{"destination", destination_},
                    {"api", api},
                    {"code", error.code},
                    {"again_in_ms", circuit.wait(now).count()}});
    return counts;
  }

  void note_closed(const CircuitBreaker& circuit, std::string_view api) {
    if (circuit.state(env_.clock.steady_now()) == Circuit::closed) return;
    env_.log.info("destination.back", {{"destination", destination_}, {"api", api}});
  }

  void note_throttled(std::string_view api, Milliseconds pause) {
    throttled_.add();
    env_.log.warn("destination.throttled", {{"destination", destination_},
                                            {"api", api},
                                            {"for_ms", pause.count()},
                                            {"starts_per_second", starts_.per_second()},
                                            {"job_slots", slots_.now()},
                                            {"uploads", uploads_.now()}});
  }

  Env& env_;
  const std::string destination_;
  const ImportLimits limits_;
  const SchedulerOptions options_;
  mutable std::mutex mutex_;
  AdaptiveRate starts_;
  AdaptiveRate polls_;
  AdaptiveLimit slots_;
  AdaptiveLimit uploads_;
  Bandwidth bandwidth_;
  CircuitBreaker imports_;
  CircuitBreaker bucket_;
  double job_ms_ = 0;                  // mean; 0: none ended yet
  std::int64_t throttled_starts_ = 0;  // in a row
  std::int64_t throttled_uploads_ = 0;
  SteadyTime rest_until_{};
  Counter& throttled_;
  Counter& opened_;
};

}  // namespace

std::unique_ptr<Scheduler> make_scheduler(Env& env, const std::string& destination,
                                          const ImportLimits& limits, SchedulerOptions options) {
  return std::make_unique<DestinationScheduler>(env, destination, limits, std::move(options));
}

void show_scheduler(Env& env, const std::string& destination, const Scheduler& scheduler) {
  env.metrics.on_collect([&env, destination, &scheduler] {
    const SchedulerState state = scheduler.state();
    const MetricLabels labels{{"destination", destination}};
    const std::pair<std::string, std::string> circuits[] = {{"bucket", state.bucket_circuit},
                                                            {"imports", state.import_circuit}};
    for (const auto& [api, is] : circuits) {
      env.metrics
          .gauge("scheduler_circuit_open", "1 while calls are kept back: it is out.",
                 {{"destination", destination}, {"api", api}})
          .set(is == "closed" ? 0 : 1);
    }
    env.metrics
        .gauge("scheduler_starts_per_second", "Import jobs that may be started, as reduced.",
               labels)
        .set(state.starts_per_second);
    env.metrics
        .gauge("scheduler_job_slots", "Import jobs that may run at once, as reduced.", labels)
        .set(static_cast<double>(state.job_slots));
    env.metrics.gauge("scheduler_uploads", "Uploads at a time, as reduced.", labels)
        .set(static_cast<double>(state.uploads));
    env.metrics
        .gauge("scheduler_hours_closed_seconds", "Until uploads are within their hours.", labels)
        .set(static_cast<double>(state.until_hours_open.count()) / 1000.0);
  });
}

}  // namespace isthmus
