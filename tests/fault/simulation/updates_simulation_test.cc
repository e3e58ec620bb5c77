// Updates of metadata from a seed: orders, refusals, lost answers, locks, other people's changes
// and deaths of the process in any order, over the real ledger. However it went: every update is
// applied once, in the order in which they were ordered, or is a conflict that somebody else's
// change of the same attribute explains.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "base/failpoint.h"
#include "contract/ledger/ledger_fixture.h"
#include "fault/simulation/faulty_world.h"
#include "ledger/updates.h"
#include "pipeline/metadata.h"
#include "support/memory_metadata_service.h"

namespace isthmus::test {
namespace {

using Service = MemoryMetadataService;

struct Died {};

const Service::Place kName{MetadataLevel::patient, "", "", "PatientName"};
const Service::Place kSex{MetadataLevel::patient, "", "", "PatientSex"};

class UpdatesSimulation : public LedgerTest {
 protected:
  static constexpr int kStudies = 3;

  MetadataUpdates& updates() { return *ledger_->metadata_updates(); }
  void restart() { step_ = make_updater(env_, updates(), kCloud, *service_, options_); }

  void begin(std::uint64_t seed, bool others_touch) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    dice_.emplace(seed);
    others_touch_ = others_touch;
    service_.emplace(MetadataLimits{1000, 1000});
    first_study_ += kStudies;
    orders_.clear();
    touched_.clear();
    for (int n = 0; n < kStudies; ++n) import_study(first_study_ + n, dice_->between(1, 3));
    service_->set_hook([this](Service::Call, const std::string& set) { return fault(set); });
    mended_ = false;
    restart();
    for (int round = 0; round < 150; ++round) play();
    mended_ = true;
    disarm_failpoints();
    for (const auto& [set, study] : study_of_) {
      if (study >= first_study_) service_->lock(set, false);
    }
    for (int i = 0; i < 400; ++i) run();
    look_at_the_end();
    step_.reset();
  }

 private:
  void import_study(int n, int sets) {
    std::vector<DeliveryId> deliveries;
    for (int i = 1; i <= sets; ++i) deliveries.push_back(delivery(receive(n * 100 + i, n)).id);
    const BatchId batch = ledger_->join(kCloud, std::nullopt, deliveries).value();
    ASSERT_THAT(ledger_->advance(batch, BatchEvent::seal, nullptr), IsOk());
    for (const DeliveryId& id : deliveries) ASSERT_THAT(ledger_->mark_staged(id, "etag"), IsOk());
    ASSERT_THAT(ledger_->conclude_staging(kCloud), IsOk());
    const ImportJobId job = ledger_->intend(batch, "p").value().id;
    ASSERT_THAT(ledger_->job_started(job, {"remote" + std::to_string(n), ""}, now()), IsOk());
    ASSERT_THAT(ledger_->job_ended(job, ImportJobEvent::ended_well, "", "out/", now()), IsOk());
    std::vector<OutcomeRecord> outcomes;
    for (int i = 0; i < sets; ++i) {
      const std::string set = std::to_string(n) + "-" + std::to_string(i);
      const bool primary = i < 2;
      outcomes.push_back(outcome(deliveries[static_cast<std::size_t>(i)], OutcomeKind::imported));
      outcomes.back().outcome.image_set_id = set;
      outcomes.back().outcome.primary = primary;
      service_->add(set, std::to_string(n), primary, {{kName, "\"before\""}});
      study_of_[set] = n;
    }
    ASSERT_THAT(ledger_->record_outcomes(batch, outcomes), IsOk());
  }

  std::optional<Error> fault(const std::string& set) {
    if (mended_) return std::nullopt;
    if (dice_->chance(0.1)) {
      service_->change_outside(set, kSex, "\"" + std::to_string(++outside_) + "\"");
    }
    if (others_touch_ && dice_->chance(0.05)) touch(set);
    if (dice_->chance(0.1)) service_->lose_answers();
    if (dice_->chance(0.15)) return transient_error("metadata.unavailable", "Drawn.");
    if (dice_->chance(0.05)) return transient_error("metadata.throttled", "Drawn.");
    return std::nullopt;
  }
  void touch(const std::string& set) {
    service_->change_outside(set, kName, "\"other " + std::to_string(++outside_) + "\"");
    touched_.insert(study_of_.at(set));
  }

  void play() {
    if (dice_->chance(0.08)) order();
    if (dice_->chance(0.05)) {
      const auto set = any_set();
      service_->lock(set, dice_->chance(0.5));
    }
    if (dice_->chance(0.15)) arm_any();
    run();
  }
  std::string any_set() {
    std::vector<std::string> sets;
    for (const auto& [set, study] : study_of_) {
      if (study >= first_study_) sets.push_back(set);
    }
    return sets[static_cast<std::size_t>(dice_->between(0, static_cast<int>(sets.size()) - 1))];
  }
  void order() {
    const int study = first_study_ + dice_->between(0, kStudies - 1);
    MetadataUpdateRequest request;
    request.destination = kCloud;
    request.study_instance_uid = arrival(1, study).identity.study_instance_uid;
    AttributeChange change;
    change.level = MetadataLevel::patient;
    change.key = "PatientName";
    change.value = "\"value " + std::to_string(++values_) + "\"";
    request.change.attributes = {change};
    const auto ordered = updates().order({"change", "simulation", {request}});
    ASSERT_THAT(ordered, IsOk());
    orders_.push_back({ordered->updates.at(0), study, *change.value});
  }
  void arm_any() {
    std::vector<Failpoint> points;
    for (const Failpoint point : all_failpoints()) {
      if (to_string(point).starts_with("updater.")) points.push_back(point);
    }
    const auto last = static_cast<int>(points.size()) - 1;
    arm_failpoint(points[static_cast<std::size_t>(dice_->between(0, last))], dice_->between(1, 2),
                  [] { throw Died{}; });
  }
  void run() {
    try {
      const auto next = step_->run_once();
      ASSERT_THAT(next, IsOk());
      env_.clock.advance(std::min(next->in, Milliseconds(2'000)));
    } catch (const Died&) {
      step_.reset();
      close();
      open();
      restart();
    }
  }

  void look_at_the_end() {
    std::map<int, std::string> last;
    std::map<int, int> applied;
    for (const Order& one : orders_) {
      const auto details = updates().details(one.id);
      ASSERT_THAT(details, IsOk());
      const MetadataUpdateState state = details->row.state;
      if (state == MetadataUpdateState::applied) {
        last[one.study] = one.value;
        ++applied[one.study];
        continue;
      }
      EXPECT_EQ(state, MetadataUpdateState::conflict) << details->row.error_code;
      EXPECT_TRUE(touched_.contains(one.study)) << "a conflict that nobody made";
    }
    for (const auto& [set, study] : study_of_) {
      if (study < first_study_ || touched_.contains(study)) continue;
      const std::string wanted = last.contains(study) ? last[study] : "\"before\"";
      EXPECT_EQ(service_->value(set, kName), wanted) << set;
      EXPECT_EQ(service_->accepted(set), applied[study]) << set << ": a change that was made twice";
    }
    expect_sound();
  }

  struct Order {
    MetadataUpdateId id;
    int study;
    std::string value;
  };
  UpdaterOptions options_{.attempts = 100'000,
                          .poll = Milliseconds(200),
                          .busy = Milliseconds(500),
                          .backoff = {Milliseconds(50), Milliseconds(500)}};
  std::optional<Dice> dice_;
  std::optional<MemoryMetadataService> service_;
  std::unique_ptr<Step> step_;
  std::vector<Order> orders_;
  std::map<std::string, int> study_of_;
  std::set<int> touched_;
  bool mended_ = false;
  bool others_touch_ = false;
  int first_study_ = 1;
  int values_ = 0;
  int outside_ = 0;
};

std::uint64_t seeds(std::uint64_t usual) {
  const char* many = std::getenv("ISTHMUS_SEEDS");
  return many == nullptr ? usual : std::strtoull(many, nullptr, 10);
}

TEST_F(UpdatesSimulation, EveryUpdateIsAppliedOnceAndInOrder) {
  for (std::uint64_t seed = 1; seed <= seeds(25) && !HasFailure(); ++seed) begin(seed, false);
}

TEST_F(UpdatesSimulation, OnlyOtherPeoplesChangesMakeConflicts) {
  for (std::uint64_t seed = 1; seed <= seeds(25) && !HasFailure(); ++seed) begin(seed, true);
}

}  // namespace
}  // namespace isthmus::test
