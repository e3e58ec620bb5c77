// The updater over a real ledger and a service in memory: which calls it makes, what it makes of
// their answers, of answers that are lost, and of what others do meanwhile.
#include <gmock/gmock.h>

#include "base/failpoint.h"
#include "contract/ledger/ledger_fixture.h"
#include "ledger/updates.h"
#include "pipeline/metadata.h"
#include "support/memory_metadata_service.h"

namespace isthmus::test {
namespace {

using namespace std::chrono_literals;
using Service = MemoryMetadataService;

constexpr const char* kOld = "\"Synthetic^Nobody\"";
constexpr const char* kNew = "\"Synthetic^Other\"";

AttributeChange change_of(std::string key, std::optional<std::string> value) {
  AttributeChange change;
  change.action = value ? AttributeAction::set : AttributeAction::remove;
  change.level = MetadataLevel::patient;
  change.key = std::move(key);
  change.value = std::move(value);
  return change;
}
const AttributeChange kName = change_of("PatientName", kNew);
const AttributeChange kComments = change_of("PatientComments", std::nullopt);

Service::Place place(std::string key) {
  return {MetadataLevel::patient, "", "", std::move(key)};
}

class UpdaterTest : public LedgerTest {
 protected:
  void SetUp() override {
    LedgerTest::SetUp();
    restart();
  }
  MetadataUpdates& updates() { return *ledger_->metadata_updates(); }
  void restart() { step_ = make_updater(env_, updates(), kCloud, service_, options_); }

  // Of study `n`: image sets of these names, imported; "other" ones are not primary.
  void import_study(int n, const std::vector<std::string>& sets) {
    std::vector<DeliveryId> deliveries;
    for (std::size_t i = 0; i < sets.size(); ++i) {
      deliveries.push_back(delivery(receive(n * 100 + static_cast<int>(i), n)).id);
    }
    const BatchId batch = ledger_->join(kCloud, std::nullopt, deliveries).value();
    ASSERT_THAT(ledger_->advance(batch, BatchEvent::seal, nullptr), IsOk());
    for (const DeliveryId& id : deliveries) ASSERT_THAT(ledger_->mark_staged(id, "etag"), IsOk());
    ASSERT_THAT(ledger_->conclude_staging(kCloud), IsOk());
    const ImportJobId job = ledger_->intend(batch, "p").value().id;
    ASSERT_THAT(ledger_->job_started(job, {"remote" + std::to_string(n), ""}, now()), IsOk());
    ASSERT_THAT(ledger_->job_ended(job, ImportJobEvent::ended_well, "", "out/", now()), IsOk());
    std::vector<OutcomeRecord> outcomes;
    for (std::size_t i = 0; i < sets.size(); ++i) {
      const bool primary = !sets[i].starts_with("other");
      outcomes.push_back(outcome(deliveries[i], OutcomeKind::imported));
      outcomes.back().outcome.image_set_id = sets[i];
      outcomes.back().outcome.primary = primary;
      service_.add(sets[i], "study" + std::to_string(n), primary,
                   {{place("PatientName"), kOld}, {place("PatientComments"), "\"c \""}});
    }
    ASSERT_THAT(ledger_->record_outcomes(batch, outcomes), IsOk());
  }
  MetadataUpdateId order(int study, std::vector<AttributeChange> changes) {
    MetadataUpdateRequest request;
    request.destination = kCloud;
    request.study_instance_uid = arrival(1, study).identity.study_instance_uid;
    request.change.attributes = std::move(changes);
    return updates().order({"change", "tester", {request}})->updates.at(0);
  }
  MetadataUpdateId revert(const MetadataUpdateId& id) {
    return updates().order_revert({id}, "tester")->updates.at(0);
  }
  NextRun run() {
    const auto next = step_->run_once();
    EXPECT_THAT(next, IsOk());
    return next.ok() ? *next : NextRun{kNever};
  }
  // Until nothing is left that goes on by itself, at most an hour of its time.
  void settle() {
    const WallTime end = now() + 1h;
    while (now() < end) {
      const NextRun next = run();
      if (next.in >= 30s && !updates().next_at(kCloud, WallTime{}).value()) return;
      env_.clock.advance(next.in);
    }
    FAIL() << "it does not come to rest";
  }
  MetadataUpdateState state(const MetadataUpdateId& id) { return (*updates().update(id))->state; }
  std::string error(const MetadataUpdateId& id) { return (*updates().update(id))->error_code; }
  std::optional<std::string> name_in(const std::string& set) {
    return service_.value(set, place("PatientName"));
  }

  static constexpr Milliseconds kNever{3'600'000};
  UpdaterOptions options_{.attempts = 4, .poll = 1s, .busy = 5s, .backoff = {100ms, 1s}};
  MemoryMetadataService service_{{1000, 1000}};
  std::unique_ptr<Step> step_;
};

TEST_F(UpdaterTest, ChangesAllPrimaryImageSetsByOneCallAndTheOthersByTheirs) {
  import_study(1, {"a", "b", "other"});
  const MetadataUpdateId id = order(1, {kName, kComments});

  settle();

  EXPECT_EQ(state(id), MetadataUpdateState::applied);
  for (const char* set : {"a", "b", "other"}) {
    EXPECT_EQ(name_in(set), kNew) << set;
    EXPECT_EQ(service_.value(set, place("PatientComments")), std::nullopt) << set;
    EXPECT_EQ(service_.version(set), 2) << set;
  }
  EXPECT_EQ(service_.calls(Service::Call::update), 2);
  ASSERT_OK_AND_ASSIGN(const auto details, updates().details(id));
  ASSERT_EQ(details.steps.size(), 3U);
  EXPECT_EQ(details.steps[1].carried_by, details.steps[0].place);
  for (const MetadataStep& step : details.steps) {
    EXPECT_EQ(step.version, 2);
    EXPECT_EQ(step.values.at(0), (MetadataStepValue{kOld, kNew, std::nullopt}));
    EXPECT_EQ(step.values.at(1), (MetadataStepValue{"\"c \"", std::nullopt, std::nullopt}));
  }
}

TEST_F(UpdaterTest, WaitsUntilTheStudyIsImported) {
  receive(9, 1);
  const MetadataUpdateId id = order(1, {kName});
  run();
  EXPECT_EQ(state(id), MetadataUpdateState::pending);
  EXPECT_EQ(service_.calls(Service::Call::status), 0);

  import_study(2, {"b"});
  run();
  EXPECT_EQ(state(id), MetadataUpdateState::pending);
  ASSERT_THAT(ledger_->quarantine(
                  delivery(ledger_->instances(arrival(1, 1).identity.study_instance_uid.text(), 10)
                               ->front()
                               .instance.id)
                      .id,
                  DeliveryEvent::input_unusable, some_error()),
              IsOk());
  run();
  EXPECT_EQ(state(id), MetadataUpdateState::pending) << "nothing of it is imported";
  import_study(1, {"a"});
  settle();

  EXPECT_EQ(state(id), MetadataUpdateState::applied);
  EXPECT_EQ(name_in("a"), kNew);
  EXPECT_EQ(name_in("b"), kOld);
}

TEST_F(UpdaterTest, ChangesNothingThatIsAsWantedAlready) {
  import_study(1, {"a"});
  const MetadataUpdateId id = order(1, {change_of("PatientName", kOld)});

  settle();

  EXPECT_EQ(state(id), MetadataUpdateState::applied);
  EXPECT_EQ(service_.calls(Service::Call::update), 0);
  EXPECT_THAT(updates().order_revert({id}, "tester"), FailsWith("ledger.no_transition"));
}

TEST_F(UpdaterTest, QuotesWhatItRemovesWhereImageSetsDiffer) {
  import_study(1, {"a", "b"});
  service_.change_outside("b", place("PatientComments"), "\"d\"");
  const MetadataUpdateId id = order(1, {kName, kComments});

  settle();

  EXPECT_EQ(state(id), MetadataUpdateState::applied) << error(id);
  EXPECT_EQ(service_.calls(Service::Call::update), 2);
  EXPECT_EQ(service_.value("b", place("PatientComments")), std::nullopt);
}

TEST_F(UpdaterTest, GoesOnFromANewerVersionThatDidNotTouchTheAttributes) {
  import_study(1, {"a"});
  const MetadataUpdateId id = order(1, {kName});
  bool done = false;
  service_.set_hook([&](Service::Call call, const std::string& set) -> std::optional<Error> {
    if (call != Service::Call::update || done) return std::nullopt;
    done = true;
    service_.change_outside(set, place("PatientSex"), "\"O\"");
    return std::nullopt;
  });

  settle();

  EXPECT_EQ(state(id), MetadataUpdateState::applied);
  EXPECT_EQ(name_in("a"), kNew);
  EXPECT_EQ(service_.value("a", place("PatientSex")), "\"O\"");
  EXPECT_EQ(service_.version("a"), 3);
}

TEST_F(UpdaterTest, IsAConflictWithBothValuesWhenSomebodyElseTouchedThem) {
  import_study(1, {"a"});
  const MetadataUpdateId id = order(1, {kName});
  run();
  ASSERT_EQ(state(id), MetadataUpdateState::applying);
  service_.change_outside("a", place("PatientName"), "\"Synthetic^Third\"");

  settle();

  EXPECT_EQ(state(id), MetadataUpdateState::conflict);
  EXPECT_EQ(error(id), "metadata.conflict");
  EXPECT_EQ(updates().details(id)->steps.at(0).values.at(0),
            (MetadataStepValue{kOld, kNew, "\"Synthetic^Third\""}));
  EXPECT_EQ(name_in("a"), "\"Synthetic^Third\"");
  EXPECT_FALSE(env_.log.contains("Third"));
  ASSERT_THAT(updates().order_retry(id), IsOk());
  settle();
  EXPECT_EQ(state(id), MetadataUpdateState::applied);
  EXPECT_EQ(name_in("a"), kNew);
}

TEST_F(UpdaterTest, IsAConflictWhenTheValueIsNotTheExpectedOne) {
  import_study(1, {"a"});
  AttributeChange expecting = kName;
  expecting.expected = "\"Synthetic^Third\"";

  const MetadataUpdateId id = order(1, {expecting});
  settle();

  EXPECT_EQ(state(id), MetadataUpdateState::conflict);
  EXPECT_EQ(updates().details(id)->steps.at(0).values.at(0).found, kOld);
  EXPECT_EQ(service_.calls(Service::Call::update), 0);
}

TEST_F(UpdaterTest, ACallWhoseAnswerIsLostIsNotMadeTwice) {
  import_study(1, {"a", "b"});
  service_.lose_answers();
  const MetadataUpdateId id = order(1, {kName});

  settle();

  EXPECT_EQ(state(id), MetadataUpdateState::applied);
  EXPECT_EQ(service_.accepted("a"), 1);
  EXPECT_EQ(service_.accepted("b"), 1);
}

TEST_F(UpdaterTest, ACallThatDidNotArriveIsMadeAgain) {
  import_study(1, {"a"});
  service_.refuse(Service::Call::update, transient_error("metadata.unavailable", "No answer."), 2);

  const MetadataUpdateId id = order(1, {kName});
  settle();

  EXPECT_EQ(state(id), MetadataUpdateState::applied);
  EXPECT_EQ(service_.accepted("a"), 1);
}

struct Died {};

// Killed anywhere and started again, it makes each change once.
TEST_F(UpdaterTest, GoesOnAfterDeathAtEveryFailpoint) {
  int study = 0;
  for (const Failpoint point : all_failpoints()) {
    if (!to_string(point).starts_with("updater.")) continue;
    for (const int nth : {1, 2}) {
      SCOPED_TRACE(std::string(to_string(point)) + " " + std::to_string(nth));
      const std::string one = "one" + std::to_string(++study);
      import_study(study, {one, "two" + one, "other" + one});
      const MetadataUpdateId id = order(study, {kName, kComments});
      bool died = false;
      arm_failpoint(point, nth, [] { throw Died{}; });
      for (int i = 0; i < 100 && !died && state(id) != MetadataUpdateState::applied; ++i) {
        try {
          env_.clock.advance(run().in);
        } catch (const Died&) {
          died = true;
        }
      }
      disarm_failpoints();
      EXPECT_TRUE(died || (nth == 2 && point == Failpoint::updater_planned));
      step_.reset();
      close();
      open();
      restart();

      settle();

      EXPECT_EQ(state(id), MetadataUpdateState::applied) << error(id);
      for (const std::string& set : {one, "two" + one, "other" + one}) {
        EXPECT_EQ(name_in(set), kNew);
        EXPECT_EQ(service_.accepted(set), 1);
      }
    }
  }
  expect_sound();
}

TEST_F(UpdaterTest, KeepsToThePaceOfTheQuota) {
  MemoryMetadataService slow{{0.25, 1}};
  std::vector<SteadyTime> calls;
  slow.set_hook([&](Service::Call call, const std::string&) -> std::optional<Error> {
    if (call == Service::Call::update) calls.push_back(env_.clock.steady_now());
    return std::nullopt;
  });
  for (int n = 1; n <= 6; ++n) {
    import_study(n, {"set" + std::to_string(n)});
    slow.add("set" + std::to_string(n), "s", true, {{place("PatientName"), kOld}});
    order(n, {kName});
  }
  step_ = make_updater(env_, updates(), kCloud, slow, options_);

  settle();

  ASSERT_EQ(calls.size(), 6U);
  for (std::size_t i = 1; i < calls.size(); ++i) EXPECT_GE(calls[i] - calls[i - 1], 4s);
  EXPECT_LE(calls.back() - calls.front(), 22s);
}

TEST_F(UpdaterTest, SlowsDownWhenItIsThrottledAndCountsNothingAgainstTheUpdate) {
  import_study(1, {"a"});
  Error throttled = transient_error("metadata.throttled", "Slower.");
  throttled.retry_after = 2s;
  service_.refuse(Service::Call::update, throttled, 8);

  const MetadataUpdateId id = order(1, {kName});
  settle();

  EXPECT_EQ(state(id), MetadataUpdateState::applied);
}

TEST_F(UpdaterTest, WaitsForAnImageSetThatSomebodyElseHolds) {
  import_study(1, {"a"});
  service_.lock("a", true);
  const MetadataUpdateId id = order(1, {kName});
  for (int i = 0; i < 50; ++i) env_.clock.advance(std::max(run().in, Milliseconds(1)));
  EXPECT_EQ(state(id), MetadataUpdateState::pending);
  EXPECT_EQ(error(id), "metadata.busy");

  service_.lock("a", false);
  settle();

  EXPECT_EQ(state(id), MetadataUpdateState::applied);
}

TEST_F(UpdaterTest, HasFailedWhenTheServiceWillNotHaveIt) {
  import_study(1, {"a"});
  import_study(2, {"b"});
  import_study(3, {"c"});
  service_.refuse(Service::Call::update, permanent_error("metadata.invalid", "No."));
  const MetadataUpdateId invalid = order(1, {kName});
  settle();
  service_.fail_updates();
  const MetadataUpdateId not_done = order(2, {kName});
  settle();
  service_.refuse(Service::Call::status, transient_error("metadata.unavailable", "Away."), 50);
  const MetadataUpdateId away = order(3, {kName});
  settle();

  EXPECT_EQ(state(invalid), MetadataUpdateState::failed);
  EXPECT_EQ(error(invalid), "metadata.invalid");
  EXPECT_EQ(state(not_done), MetadataUpdateState::failed);
  EXPECT_EQ(error(not_done), "metadata.update_failed");
  EXPECT_EQ(state(away), MetadataUpdateState::failed);
  EXPECT_EQ(error(away), "metadata.unavailable");
  EXPECT_EQ(ledger_->asks(10)->size(), 3U);
  expect_sound();
}

TEST_F(UpdaterTest, HasFailedWhenNothingHoldsWhatWasToBeChanged) {
  import_study(1, {"a"});
  service_.remove("a");

  const MetadataUpdateId id = order(1, {kName});
  settle();

  EXPECT_EQ(state(id), MetadataUpdateState::failed);
  EXPECT_EQ(error(id), "metadata.no_image_set");
}

TEST_F(UpdaterTest, GoesBackImageSetByImageSet) {
  import_study(1, {"a", "b", "other"});
  const MetadataUpdateId id = order(1, {kName, kComments});
  settle();

  const MetadataUpdateId back = revert(id);
  settle();

  EXPECT_EQ(state(back), MetadataUpdateState::applied);
  EXPECT_EQ(state(id), MetadataUpdateState::reverted);
  for (const char* set : {"a", "b", "other"}) {
    EXPECT_EQ(name_in(set), kOld);
    EXPECT_EQ(service_.value(set, place("PatientComments")), "\"c \"");
    EXPECT_EQ(service_.version(set), 3);
  }
}

TEST_F(UpdaterTest, DoesNotGoBackOverWhatCameAfter) {
  import_study(1, {"a"});
  const MetadataUpdateId id = order(1, {kName});
  settle();
  service_.change_outside("a", place("PatientSex"), "\"O\"");

  const MetadataUpdateId back = revert(id);
  settle();

  EXPECT_EQ(state(back), MetadataUpdateState::conflict);
  EXPECT_EQ(state(id), MetadataUpdateState::applied);
  EXPECT_EQ(service_.value("a", place("PatientSex")), "\"O\"");
}

TEST_F(UpdaterTest, AnExactUpdateIsMadeOfItsVersionOrNotAtAll) {
  import_study(1, {"a"});
  MetadataUpdateRequest request;
  request.kind = MetadataUpdateKind::exact;
  request.destination = kCloud;
  request.study_instance_uid = arrival(1, 1).identity.study_instance_uid;
  request.image_set_id = "a";
  request.seen_version = 1;
  request.change.attributes = {kName};
  const auto first = updates().order({"change", "tester", {request}})->updates.at(0);
  settle();
  const auto stale = updates().order({"change", "tester", {request}})->updates.at(0);
  settle();
  request.change.attributes.clear();
  request.seen_version = 2;
  request.revert_to = 1;
  const auto back = updates().order({"change", "tester", {request}})->updates.at(0);
  settle();

  EXPECT_EQ(state(first), MetadataUpdateState::applied);
  EXPECT_EQ(state(stale), MetadataUpdateState::conflict);
  EXPECT_EQ(state(back), MetadataUpdateState::applied) << error(back);
  EXPECT_EQ(name_in("a"), kOld);
  EXPECT_EQ(service_.version("a"), 3);
}

TEST_F(UpdaterTest, UpdatesOfOneStudyFollowEachOther) {
  import_study(1, {"a"});
  order(1, {change_of("PatientName", "\"First\"")});
  order(1, {change_of("PatientName", "\"Second\"")});
  const MetadataUpdateId last = order(1, {change_of("PatientName", "\"Third\"")});

  settle();

  EXPECT_EQ(name_in("a"), "\"Third\"");
  EXPECT_EQ(service_.version("a"), 4);
  EXPECT_EQ(updates().details(last)->steps.at(0).values.at(0).before, "\"Second\"");
}

}  // namespace
}  // namespace isthmus::test
