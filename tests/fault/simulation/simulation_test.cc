#include "fault/simulation/simulation.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "fault/simulation/sqlite_house.h"

namespace isthmus::test {
namespace {

// Everything at once, each seed with a taste of its own.
Faults draw_faults(std::uint64_t seed) {
  Dice dice(seed * 7919);
  const auto some = [&](double most) {
    return dice.chance(0.6) ? most * dice.between(1, 10) / 10 : 0;
  };
  Faults faults;
  faults.refuse = some(0.3);
  faults.lose_answer = some(0.3);
  faults.repeat = some(0.3);
  faults.start_denied = some(0.05);
  faults.job_fails = some(0.3);
  faults.not_found_yet = some(0.3);
  faults.job_is_forgotten = some(0.1);
  faults.manifest_late = some(0.5);
  faults.manifest_never = some(0.1);
  faults.manifest_unreadable = some(0.05);
  faults.rejected = some(0.2);
  faults.unaccounted = some(0.3);
  faults.damaged = some(0.1);
  faults.death = some(0.3);
  faults.clock_set = some(0.05);
  faults.storm = some(0.02);
  faults.cut = some(0.3);
  faults.wrong_checksum = some(0.2);
  faults.stale_listing = some(0.5);
  return faults;
}

std::string lines_of(const std::vector<std::string>& wrong) {
  std::string text;
  for (const std::string& line : wrong) text += line + "\n";
  return text;
}

// True when all is well; else it tells the seed and what happened.
bool converges(const Simulation::Plan& plan, const MakeHouse& make_house, int* deaths = nullptr) {
  Simulation simulation(plan, make_house);
  const std::vector<std::string> wrong = simulation.run();
  if (deaths != nullptr) *deaths += simulation.deaths();
  EXPECT_TRUE(wrong.empty()) << "again with ISTHMUS_SEED=" << plan.seed << "\n" << lines_of(wrong);
  if (!wrong.empty() && std::getenv("ISTHMUS_SEED") != nullptr) std::cout << simulation.story();
  return wrong.empty();
}

void run_seeds(std::uint64_t count, const MakeHouse& make_house, int check_every) {
  std::uint64_t first = 1;
  if (const char* one = std::getenv("ISTHMUS_SEED")) {
    first = std::strtoull(one, nullptr, 10);
    count = 1;
  }
  if (const char* many = std::getenv("ISTHMUS_SEEDS")) count = std::strtoull(many, nullptr, 10);
  std::cout << "seeds " << first << " to " << first + count - 1 << "\n";
  int deaths = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    Simulation::Plan plan;
    plan.seed = seed;
    plan.faults = draw_faults(seed);
    plan.destinations = seed % 3 == 0 ? 2 + static_cast<int>(seed % 2) : 1;
    plan.check_every = check_every;
    if (!converges(plan, make_house, &deaths)) return;
  }
  std::cout << deaths << " deaths\n";
}

void die_everywhere(const MakeHouse& make_house, const std::vector<int>& nths, int check_every,
                    int destinations = 1) {
  for (const Failpoint point : pipeline_failpoints()) {
    for (const int nth : nths) {
      SCOPED_TRACE(std::string(to_string(point)) + ", time " + std::to_string(nth));
      Simulation::Plan plan;
      plan.seed = static_cast<std::uint64_t>(nth);
      plan.die_at = point;
      plan.die_nth = nth;
      plan.destinations = destinations;
      plan.check_every = check_every;
      int deaths = 0;

      if (!converges(plan, make_house, &deaths)) return;

      EXPECT_EQ(deaths, 1);
    }
  }
}

TEST(Simulation, WithoutFaultsEverythingIsImportedOnce) {
  EXPECT_TRUE(converges({}, memory_house));
}

TEST(Simulation, WhatComesAgainForOtherDestinationsGoesThereToo) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Simulation::Plan plan;
    plan.seed = seed;
    plan.destinations = 3;
    ASSERT_TRUE(converges(plan, memory_house));
  }
}

TEST(Simulation, EveryInstanceEndsImportedOnceOrWithAReason) {
  run_seeds(200, memory_house, 1);
}

// One kind of trouble at a time, so that each is seen to be survived by itself.
TEST(Simulation, SurvivesEachTroubleOfTheNetworkAlone) {
  const std::vector<std::pair<const char*, double Faults::*>> troubles{
      {"storm", &Faults::storm},
      {"cut", &Faults::cut},
      {"wrong checksum", &Faults::wrong_checksum},
      {"stale listing", &Faults::stale_listing},
      {"answers twice", &Faults::repeat},
      {"refused", &Faults::refuse},
      {"answer lost", &Faults::lose_answer}};
  for (const auto& [name, trouble] : troubles) {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      SCOPED_TRACE(name);
      Simulation::Plan plan;
      plan.seed = seed;
      plan.destinations = seed % 2 == 0 ? 2 : 1;
      plan.faults.*trouble = trouble == &Faults::storm ? 0.05 : 0.4;
      ASSERT_TRUE(converges(plan, memory_house));
    }
  }
}

TEST(Simulation, SurvivesDeathAtEveryFailpointOfThePipeline) {
  die_everywhere(memory_house, {1, 2, 3}, 1);
  die_everywhere(memory_house, {1, 2, 3}, 1, /*destinations=*/3);
}

TEST(SimulationOnSqlite, EveryInstanceEndsImportedOnceOrWithAReason) {
  run_seeds(10, sqlite_house, 10);
}

TEST(SimulationOnSqlite, SurvivesDeathAtEveryFailpointOfThePipeline) {
  die_everywhere(sqlite_house, {1}, 25);
}

}  // namespace
}  // namespace isthmus::test
