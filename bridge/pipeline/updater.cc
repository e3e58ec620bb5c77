// Carries updates of metadata out. What is known of a call is in its row before and after; what is
// not, the image set itself is asked (pipeline/metadata.h).
#include <algorithm>

#include "base/failpoint.h"
#include "pipeline/dates.h"
#include "pipeline/metadata.h"
#include "pipeline/metadata_values.h"
#include "pipeline/pace.h"

namespace isthmus {
namespace {

constexpr std::size_t kUpdatesPerRun = 500;

using Steps = std::vector<const MetadataStep*>;

Error conflict_error() {
  return permanent_error("metadata.conflict",
                         "Somebody else changed what was to be changed; look at both values, then "
                         "order a retry to have this one.");
}

class Updater final : public Step {
 public:
  Updater(Env& env, MetadataUpdates& updates, std::string destination, MetadataService& service,
          UpdaterOptions options)
      : env_(env),
        updates_(updates),
        destination_(std::move(destination)),
        service_(service),
        options_(options),
        calls_(service.limits().updates_per_second, service.limits().update_burst,
               env.clock.steady_now()),
        called_(env.metrics.counter("metadata_update_calls_total",
                                    "Calls that change the metadata of an image set.",
                                    {{"destination", destination_}})) {}

  std::string_view name() const override { return "updater"; }
  // Every commit of the gateway wakes; waiting for a study is a look at its deliveries.
  Milliseconds spacing() const override { return Milliseconds(250); }

  Result<NextRun> run_once() override {
    const WallTime now = env_.clock.wall_now();
    TRY_ASSIGN(const std::vector<MetadataUpdateRow> due,
               updates_.due(destination_, now, kUpdatesPerRun));
    quota_wait_.reset();
    bool moved = false;
    for (const MetadataUpdateRow& row : due) {
      TRY_ASSIGN(const bool one, advance(row));
      moved = moved || one;
    }
    if (moved) return NextRun{};
    const WallTime after = env_.clock.wall_now();
    TRY_ASSIGN(const std::optional<WallTime> next, updates_.next_at(destination_, after));
    NextRun run = run_at(after, next);
    if (quota_wait_) run.in = std::clamp(*quota_wait_, Milliseconds(1), run.in);
    return run;
  }

 private:
  // True when something of it changed in the ledger.
  Result<bool> advance(const MetadataUpdateRow& row) {
    TRY_ASSIGN(const MetadataUpdateDetails update, updates_.details(row.id));
    const Result<bool> done =
        row.state == MetadataUpdateState::pending ? plan(update) : go_on(update);
    if (done.ok() || !moved_meanwhile(done.error())) return done;
    env_.log.info("updater.moved_meanwhile", {{"update", row.id.text()}});
    return false;
  }

  Result<bool> plan(const MetadataUpdateDetails& update) {
    const auto plan = plan_metadata(updates_, service_, update);
    if (!plan.ok()) return trouble(update, plan.error(), {});
    TRY(updates_.plan(update.row.id, plan->steps, plan->event, plan->why ? &*plan->why : nullptr));
    FAILPOINT(updater_planned);
    if (plan->why) return ended(update, plan->event, &*plan->why);
    env_.log.info("metadata.planned", {{"update", update.row.id.text()},
                                       {"destination", destination_},
                                       {"image_sets", plan->steps.size()}});
    return true;
  }

  Result<bool> go_on(const MetadataUpdateDetails& update) {
    for (const MetadataStep& step : update.steps) {
      if (step.state == MetadataStepState::applied || step.carried_by != step.place) continue;
      if (step.state == MetadataStepState::planned) return send(update, step);
      return look_at(update, step);
    }
    // Carried steps whose carrier is done: they end together unless the service was late with them,
    // and then they are steps like others.
    for (const MetadataStep& step : update.steps) {
      if (step.state == MetadataStepState::applied) continue;
      if (step.state == MetadataStepState::planned) return send(update, step);
      return look_at(update, step);
    }
    return conclude(update, {});
  }

  // A step and those that its call does as well.
  static Steps group_of(const MetadataUpdateDetails& update, const MetadataStep& carrier) {
    Steps group{&carrier};
    for (const MetadataStep& step : update.steps) {
      const bool carried = step.carried_by == carrier.place && step.place != carrier.place;
      if (carried && step.state != MetadataStepState::applied) group.push_back(&step);
    }
    return group;
  }

  static std::vector<MetadataStepChange> all_of(const Steps& group, MetadataStepEvent event) {
    std::vector<MetadataStepChange> changes;
    for (const MetadataStep* step : group) {
      MetadataStepChange change;
      change.place = step->place;
      change.event = event;
      changes.push_back(std::move(change));
    }
    return changes;
  }

  // --- the call
  // ----------------------------------------------------------------------------------

  Result<bool> send(const MetadataUpdateDetails& update, const MetadataStep& step) {
    const Milliseconds wait = turn();
    if (wait.count() > 0) {
      quota_wait_ = quota_wait_ ? std::min(*quota_wait_, wait) : wait;
      return false;
    }
    const Steps group = group_of(update, step);
    TRY_ASSIGN(const bool fresh, is_fresh(update, group));
    if (!fresh) return true;
    TRY(updates_.record(update.row.id,
                        {all_of(group, MetadataStepEvent::intended), {}, {}, {}, false}));
    FAILPOINT(updater_intended);
    calls_.take();
    called_.add();
    const Result<std::int64_t> version = call(update, group);
    if (!version.ok()) return refused(update, group, version.error());
    FAILPOINT(updater_called);
    MetadataProgress accepted;
    accepted.steps.push_back({step.place, {}, {}, *version});
    accepted.next = env_.clock.wall_now() + options_.poll;
    throttled_in_a_row_ = 0;
    calls_.succeeded();
    TRY(updates_.record(update.row.id, accepted));
    FAILPOINT(updater_accepted);
    env_.log.info("metadata.sent", {{"update", update.row.id.text()},
                                    {"image_set", step.image_set_id},
                                    {"version", *version},
                                    {"image_sets", group.size()}});
    return true;
  }

  Result<std::int64_t> call(const MetadataUpdateDetails& update, const Steps& group) {
    const MetadataStep& step = *group.front();
    if (step.revert_to > 0) {
      return service_.revert(step.image_set_id, step.revert_to, step.seen_version);
    }
    MetadataUpdate order;
    order.change.force = update.change.force;
    for (std::size_t i = 0; i < step.values.size(); ++i) {
      const AttributeChange& one = update.change.attributes[i];
      const bool there = same_value(step.values[i].before, step.values[i].wanted);
      // One call for several image sets sets what any of them does not have.
      const bool needed =
          update.row.kind == MetadataUpdateKind::exact || !there || group.size() > 1;
      if (!needed) continue;
      order.change.attributes.push_back(one);
      order.stored.push_back(step.values[i].before);
    }
    order.include_study_image_sets = update.row.kind == MetadataUpdateKind::exact
                                         ? update.row.include_study_image_sets
                                         : group.size() > 1;
    return service_.update(step.image_set_id, order, step.seen_version);
  }

  // Whether every image set of the call still is as it was planned. If not, what to do about it is
  // in the ledger when this returns.
  Result<bool> is_fresh(const MetadataUpdateDetails& update, const Steps& group) {
    for (const MetadataStep* step : group) {
      const auto status = service_.status(step->image_set_id);
      if (!status.ok()) {
        TRY(trouble(update, status.error(), {}));
        return false;
      }
      if (status->phase == ImageSetStatus::Phase::changing) {
        TRY(trouble(update, transient_error("metadata.busy", "An image set is being changed."),
                    {}));
        return false;
      }
      if (status->version == step->seen_version) continue;
      TRY(rebase(update, *step, *status));
      return false;
    }
    return true;
  }

  Result<bool> refused(const MetadataUpdateDetails& update, const Steps& group,
                       const Error& error) {
    if (error.fate == Fate::fatal) return error;
    if (error.code == "metadata.stale" || error.code == "metadata.busy" ||
        error.code == "metadata.throttled") {
      // Nothing happened: from the beginning, which looks at what is there now.
      return trouble(update, error, all_of(group, MetadataStepEvent::not_done));
    }
    if (error.fate == Fate::permanent) return fail(update, group, error, "");
    return trouble(update, error, {});  // it may have happened: it stays sent, and is looked at
  }

  // --- what became of it
  // ---------------------------------------------------------------------------

  Result<bool> look_at(const MetadataUpdateDetails& update, const MetadataStep& step) {
    const auto status = service_.status(step.image_set_id);
    if (!status.ok()) return trouble(update, status.error(), {});
    if (status->phase == ImageSetStatus::Phase::changing) {
      MetadataProgress later;
      later.next = env_.clock.wall_now() + options_.poll;
      TRY(updates_.record(update.row.id, later));
      return true;
    }
    const Steps group = group_of(update, step);
    if (status->phase == ImageSetStatus::Phase::gone) {
      return fail(update, group,
                  permanent_error("metadata.not_found", "The image set is not there any more."),
                  "");
    }
    const bool is_next = status->version == step.seen_version + 1;
    const bool is_ours = step.version == status->version && is_next;
    if (status->update_failed && is_ours) {
      return fail(update, group,
                  permanent_error("metadata.update_failed",
                                  "The service took the update and could not carry it out."),
                  status->message);
    }
    if (status->version == step.seen_version) {
      return trouble(update, permanent_error("metadata.stale", "The call was not carried out."),
                     all_of(group, MetadataStepEvent::not_done));
    }
    const Result<bool> applied = has_it(update, step, *status, is_ours, is_next);
    if (!applied.ok()) return trouble(update, applied.error(), {});
    if (!*applied) return rebase(update, step, *status);
    return confirm(update, step, *status, group);
  }

  // A version that we were told of and that did not fail is ours. Otherwise what it holds decides;
  // of a change without attributes (a revert to a version) only its number is known.
  Result<bool> has_it(const MetadataUpdateDetails& update, const MetadataStep& step,
                      const ImageSetStatus& status, bool is_ours, bool is_next) {
    if (is_ours) return true;
    if (step.values.empty()) return is_next && !status.update_failed;
    const auto stored = service_.values(step.image_set_id, status.version, update.change);
    if (!stored.ok()) return stored.error();
    return has_what_is_wanted(step, *stored);
  }

  Result<bool> confirm(const MetadataUpdateDetails& update, const MetadataStep& step,
                       const ImageSetStatus& status, const Steps& group) {
    FAILPOINT(updater_confirmed);
    std::vector<MetadataStepChange> changes;
    changes.push_back({step.place, MetadataStepEvent::confirmed, {}, status.version});
    for (const MetadataStep* carried : group) {
      if (carried == &step) continue;
      const auto theirs = service_.status(carried->image_set_id);
      if (!theirs.ok()) return trouble(update, theirs.error(), {});
      if (theirs->phase != ImageSetStatus::Phase::settled) continue;
      const auto stored = service_.values(carried->image_set_id, theirs->version, update.change);
      if (!stored.ok()) return trouble(update, stored.error(), {});
      if (!has_what_is_wanted(*carried, *stored)) continue;  // looked at by itself
      changes.push_back({carried->place, MetadataStepEvent::confirmed, {}, theirs->version});
    }
    return conclude(update, std::move(changes));
  }

  // Keeps what was confirmed; the last one ends the update.
  Result<bool> conclude(const MetadataUpdateDetails& update,
                        std::vector<MetadataStepChange> confirmed) {
    const auto left = std::count_if(update.steps.begin(), update.steps.end(), [](const auto& one) {
      return one.state != MetadataStepState::applied;
    });
    MetadataProgress progress;
    if (left == static_cast<std::ptrdiff_t>(confirmed.size())) {
      progress.event = MetadataUpdateEvent::all_applied;
    }
    progress.steps = std::move(confirmed);
    const auto event = progress.event;
    TRY(updates_.record(update.row.id, progress));
    FAILPOINT(updater_concluded);
    if (!event) return true;
    return ended(update, *event, nullptr);
  }

  // Somebody else made a newer version: on from there if what is to be changed is untouched.
  Result<bool> rebase(const MetadataUpdateDetails& update, const MetadataStep& step,
                      const ImageSetStatus& status) {
    const auto stored = service_.values(step.image_set_id, status.version, update.change);
    if (!stored.ok()) return trouble(update, stored.error(), {});
    MetadataStepChange change;
    change.place = step.place;
    std::vector<MetadataStepValue> values = step.values;
    const bool touched = is_touched(values, *stored);
    if (touched || update.row.kind != MetadataUpdateKind::change) {
      if (!touched) {
        for (std::size_t i = 0; i < values.size(); ++i) values[i].found = stored->at(i);
      }
      change.event = MetadataStepEvent::values_differ;
      change.values = std::move(values);
      change.error_code = conflict_error().code;
      change.error = conflict_error().message;
      MetadataProgress progress;
      progress.steps = {std::move(change)};
      progress.event = MetadataUpdateEvent::values_differ;
      progress.why = conflict_error();
      TRY(updates_.record(update.row.id, progress));
      return ended(update, MetadataUpdateEvent::values_differ, &*progress.why);
    }
    if (step.state == MetadataStepState::sent) change.event = MetadataStepEvent::not_done;
    const bool nothing_left = has_what_is_wanted(step, *stored);
    if (nothing_left) change.event = MetadataStepEvent::confirmed;
    change.seen_version = status.version;
    change.version = nothing_left ? status.version : 0;
    change.values = based_on(std::move(values), *stored);
    MetadataProgress progress;
    progress.steps = {std::move(change)};
    for (const MetadataStep* carried : group_of(update, step)) {
      if (carried == &step || carried->state != MetadataStepState::sent) continue;
      progress.steps.push_back({carried->place, MetadataStepEvent::not_done});
    }
    TRY(updates_.record(update.row.id, progress));
    env_.log.info("metadata.rebased", {{"update", update.row.id.text()},
                                       {"image_set", step.image_set_id},
                                       {"version", status.version}});
    return true;
  }

  // --- trouble
  // -----------------------------------------------------------------------------------

  Result<bool> fail(const MetadataUpdateDetails& update, const Steps& group, const Error& error,
                    const std::string& detail) {
    MetadataProgress progress;
    progress.steps = all_of(group, MetadataStepEvent::refused);
    for (MetadataStepChange& change : progress.steps) {
      change.error_code = error.code;
      change.error = error.message;
      change.detail = detail;
    }
    progress.event = MetadataUpdateEvent::refused;
    progress.why = error;
    TRY(updates_.record(update.row.id, progress));
    return ended(update, MetadataUpdateEvent::refused, &error);
  }

  // Later again. What waits for others is not counted; what fails for too long has failed.
  Result<bool> trouble(const MetadataUpdateDetails& update, const Error& error,
                       std::vector<MetadataStepChange> steps) {
    if (error.fate == Fate::fatal || moved_meanwhile(error)) return error;
    MetadataProgress progress;
    progress.steps = std::move(steps);
    progress.why = error;
    const WallTime now = env_.clock.wall_now();
    if (error.code == "metadata.busy") {
      progress.next = now + options_.busy;
    } else if (error.code == "metadata.throttled") {
      slow_down(error);
    } else if (error.fate == Fate::permanent && error.code != "metadata.stale") {
      progress.event = MetadataUpdateEvent::refused;
    } else {
      progress.counts_as_failure = true;
      if (update.row.attempts + 1 >= options_.attempts) {
        progress.event = MetadataUpdateEvent::refused;
      } else if (error.code != "metadata.stale") {
        progress.next = retry_date(env_, options_.backoff, update.row.attempts + 1, error);
      }
    }
    TRY(updates_.record(update.row.id, progress));
    if (progress.event) return ended(update, *progress.event, &error);
    env_.log.warn("metadata.postponed", {{"update", update.row.id.text()},
                                         {"destination", destination_},
                                         {"attempt", update.row.attempts + 1},
                                         {"code", error.code}});
    return true;
  }

  Milliseconds turn() { return calls_.wait(env_.clock.steady_now()); }

  void slow_down(const Error& error) {
    const Milliseconds pause = std::max(options_.backoff.delay(++throttled_in_a_row_, env_.entropy),
                                        error.retry_after.value_or(Milliseconds{0}));
    calls_.throttled(env_.clock.steady_now(), pause);
  }

  Result<bool> ended(const MetadataUpdateDetails& update, MetadataUpdateEvent event,
                     const Error* why) {
    const bool well = event == MetadataUpdateEvent::all_applied;
    env_.metrics
        .counter("metadata_updates_total", "Updates of metadata that came to an end, by how.",
                 {{"destination", destination_}, {"event", std::string(to_string(event))}})
        .add();
    env_.log.event(well ? LogLevel::info : LogLevel::error,
                   well ? "metadata.applied" : "metadata.stopped",
                   {{"update", update.row.id.text()},
                    {"destination", destination_},
                    {"event", to_string(event)},
                    {"code", why == nullptr ? std::string() : why->code}});
    return true;
  }

  Env& env_;
  MetadataUpdates& updates_;
  const std::string destination_;
  MetadataService& service_;
  const UpdaterOptions options_;
  AdaptiveRate calls_;
  Counter& called_;
  std::optional<Milliseconds> quota_wait_;  // of this run
  std::int64_t throttled_in_a_row_ = 0;
};

}  // namespace

std::unique_ptr<Step> make_updater(Env& env, MetadataUpdates& updates, std::string destination,
                                   MetadataService& service, UpdaterOptions options) {
  return std::make_unique<Updater>(env, updates, std::move(destination), service, options);
}

}  // namespace isthmus
