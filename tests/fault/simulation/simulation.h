// The whole pipeline, in one thread, over a ledger and a faulty world, from one seed: arrivals,
// steps in any order, faults, deaths of the process. And the invariants of DESIGN section 5, looked
// at after every round and at the end.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/failpoint.h"
#include "fault/simulation/faulty_world.h"
#include "pipeline/step.h"
#include "support/memory_spool.h"
#include "support/test_env.h"

namespace isthmus::test {

// A ledger that outlives the process.
class LedgerHouse {
 public:
  virtual ~LedgerHouse() = default;
  virtual Ledger& ledger() = 0;
  // The process died: what only it knew is gone, what was committed is not.
  virtual void reopen() = 0;
  // For ledgers that can be told to fail.
  virtual void draw_refusals(Dice&, const Faults&) {}
};
using MakeHouse =
    std::function<std::unique_ptr<LedgerHouse>(Env& env, std::vector<std::string> destinations)>;

std::unique_ptr<LedgerHouse> memory_house(Env& env, std::vector<std::string> destinations);

// The failpoints that lie in the pipeline.
std::vector<Failpoint> pipeline_failpoints();

class Simulation {
 public:
  struct Plan {
    std::uint64_t seed = 1;
    int rounds = 150;    // with faults
    int instances = 20;  // that arrive in these
    int destinations = 1;
    Faults faults;
    // Besides drawn deaths: at this failpoint, the nth time.
    std::optional<Failpoint> die_at;
    int die_nth = 1;
    int check_every = 1;  // rounds; looking at a real database takes its time
  };

  Simulation(Plan plan, const MakeHouse& make_house);
  ~Simulation();

  // Arrivals and faults; then everything is mended and must come to rest; then a person orders a
  // retry of all that asks for one, and it must come to rest again, with everything imported but
  // what is damaged. What is wrong is given as lines: none when all is well.
  std::vector<std::string> run();
  int deaths() const { return deaths_; }
  // For the reader of a failure.
  std::string story() const;

 private:
  struct Site;  // a destination with its bucket and service

  void start_process();
  void die();
  void round();
  void mend();
  void settle_down(const std::string& when);
  void run_step(Step& step);
  void receive();
  void receive_again();
  Result<Receipt> send(int number);
  void recover_spool();
  bool at_rest();
  void look_at_invariants();
  void look_at_bytes();
  void look_at_destinations();
  void look_at_freed();
  void look_at_the_end();
  void look_at_intents();
  void look_at_site(Site& site);
  void look_at_delivery(const Instance& instance, const Delivery& delivery);
  int times_imported(Site& site, const InstanceId& instance);
  Site& site_of(const std::string& destination);
  void look_at_free(const SpoolRef& ref);
  void wrong(const std::string& what);
  std::vector<InstanceView> everything();

  const Plan plan_;
  Dice dice_;
  Faults faults_;  // those in force: the plan's, until everything is mended

  SettableClock clock_;
  SeededEntropy entropy_;
  RecordingLog log_;
  std::unique_ptr<Metrics> metrics_ = make_metrics();
  Env env_;

  std::vector<std::unique_ptr<Site>> sites_;
  std::unique_ptr<LedgerHouse> house_;
  MemorySpool spool_;
  std::vector<std::unique_ptr<Step>> steps_;

  int received_ = 0;
  int deaths_ = 0;
  std::set<InstanceId> damaged_;
  std::set<std::string> freed_;                   // references
  std::vector<std::string> study_of_;             // of each that was sent
  std::vector<std::set<std::string>> wanted_at_;  // by which its sender was told success
  std::vector<std::string> wrong_;
};

}  // namespace isthmus::test
