#include "fault/simulation/simulation.h"

#include <algorithm>

#include "support/memory_ledger.h"

namespace isthmus::test {
namespace {

using namespace std::chrono_literals;

constexpr Milliseconds kRetention = 1h;
// Where instances come again for other destinations: some after their bytes were freed.
constexpr Milliseconds kShortRetention = 10s;
constexpr int kRoundsToRest = 5'000;
constexpr int kStudies = 3;

std::string study_uid(int number) {
  return "1.2." + std::to_string(number);
}

struct Died {};

// A ledger that refuses at times is asked until it answers.
template <typename Question>
auto insist(Question question) {
  auto answer = question();
  while (!answer.ok() && answer.error().fate == Fate::transient) answer = question();
  return answer;
}

class MemoryHouse : public LedgerHouse {
 public:
  MemoryHouse(Env& env, std::vector<std::string> destinations)
      : ledger_(env, std::move(destinations)) {}
  Ledger& ledger() override { return ledger_; }
  void reopen() override { ledger_.reopen(); }
  void draw_refusals(Dice& dice, const Faults& faults) override {
    ledger_.set_hook([&dice, &faults](std::string_view call) -> std::optional<Error> {
      // The simulation's own questions are answered.
      if (call == "check" || call == "instances" || call == "counts") return std::nullopt;
      if (!dice.chance(faults.refuse / 4)) return std::nullopt;
      return transient_error("ledger.full", "No space.");
    });
  }

 private:
  MemoryLedger ledger_;
};

ImportLimits draw_limits(Dice& dice) {
  ImportLimits limits;
  limits.files_per_job = dice.between(1, 6);
  limits.jobs_at_once = dice.between(1, 4);
  limits.starts_per_second = dice.chance(0.5) ? 0.2 : 5;
  limits.start_burst = dice.between(1, 3);
  return limits;
}

std::vector<std::string> names(int count) {
  std::vector<std::string> all{"cloud", "archive", "research"};
  all.resize(static_cast<std::size_t>(count));
  return all;
}

// The batch in "gw/<batch>/in/<instance>.dcm".
std::optional<BatchId> batch_of(const ObjectKey& key) {
  if (!key.text.starts_with("gw/") || key.text.size() < 35) return std::nullopt;
  return BatchId::parse(key.text.substr(3, 32));
}

}  // namespace

std::unique_ptr<LedgerHouse> memory_house(Env& env, std::vector<std::string> destinations) {
  return std::make_unique<MemoryHouse>(env, std::move(destinations));
}

std::vector<Failpoint> pipeline_failpoints() {
  std::vector<Failpoint> points;
  for (const Failpoint point : all_failpoints()) {
    for (const char* step :
         {"batcher.", "stager.", "submitter.", "watcher.", "reconciler.", "sweeper."}) {
      if (to_string(point).starts_with(step)) points.push_back(point);
    }
  }
  return points;
}

struct Simulation::Site {
  Site(Dice& dice, const Faults& faults, std::string name)
      : imports(draw_limits(dice), &bucket),
        store(dice, faults, bucket),
        service(dice, faults, imports),
        destination{std::move(name), "gw", store, service} {
    bucket.set_hook([this](MemoryObjectStore::Call call, const ObjectKey& key) {
      if (call == MemoryObjectStore::Call::put && judged.insert(key).second) {
        service.draw_verdict(key);
      }
      return std::optional<Error>();
    });
  }

  MemoryObjectStore bucket;
  MemoryImportService imports;
  FaultyStore store;
  FaultyService service;
  Destination destination;
  std::set<ObjectKey> judged;  // their verdict was drawn
};

Simulation::Simulation(Plan plan, const MakeHouse& make_house)
    : plan_(plan),
      dice_(plan.seed),
      faults_(plan.faults),
      entropy_(plan.seed),
      env_{clock_,    posix_files(),
           entropy_,  log_,
           *metrics_, [this](const Error& error) { wrong("fatal: " + describe(error)); }},
      house_(make_house(env_, names(plan.destinations))),
      spool_(env_, house_->ledger()) {
  for (const std::string& name : names(plan_.destinations)) {
    sites_.push_back(std::make_unique<Site>(dice_, faults_, name));
  }
  spool_.set_hook([this](MemorySpool::Call call, const SpoolRef& ref) -> std::optional<Error> {
    if (dice_.chance(faults_.refuse)) return transient_error("spool.io", "Not now.");
    if (call == MemorySpool::Call::free) look_at_free(ref);
    return std::nullopt;
  });
}

Simulation::~Simulation() {
  disarm_failpoints();
}

// --- a process
// -------------------------------------------------------------------------------------

void Simulation::start_process() {
  Ledger& ledger = house_->ledger();
  spool_.use(ledger);
  house_->draw_refusals(dice_, faults_);
  BatcherOptions batcher{5s, 60s};
  StagerOptions stager;
  stager.uploads = 1;  // in this thread: a death is an exception
  stager.attempts = 8;
  stager.backoff = {500ms, 20s};
  SubmitterOptions submitter;
  submitter.attempts = 6;
  submitter.backoff = {500ms, 20s};
  WatcherOptions watcher;
  watcher.longest_poll = 20s;
  watcher.attempts = 4;
  watcher.backoff = {500ms, 20s};
  ReconcilerOptions reconciler;
  reconciler.attempts = 4;
  reconciler.backoff = {500ms, 20s};
  reconciler.output_patience = 30min;  // longer than late manifests and clock changes together
  SweeperOptions sweeper;
  sweeper.spool_retention = sites_.size() > 1 ? kShortRetention : kRetention;
  std::vector<Destination*> destinations;
  for (const auto& site : sites_) {
    Destination& destination = site->destination;
    destinations.push_back(&destination);
    steps_.push_back(make_batcher(env_, ledger, destination, batcher));
    steps_.push_back(make_stager(env_, ledger, spool_, destination, stager));
    steps_.push_back(make_submitter(env_, ledger, destination, submitter));
    steps_.push_back(make_watcher(env_, ledger, destination, watcher));
    steps_.push_back(make_reconciler(env_, ledger, destination, reconciler));
  }
  steps_.push_back(make_sweeper(env_, ledger, spool_, destinations, sweeper));
}

void Simulation::die() {
  ++deaths_;
  log_.warn("simulation.death", {{"number", deaths_}});
  steps_.clear();
  house_->reopen();
  start_process();
  recover_spool();
}

void Simulation::run_step(Step& step) {
  try {
    const Result<NextRun> result = step.run_once();
    if (result.ok() || result.error().fate == Fate::transient) return;
    wrong(std::string(step.name()) + ": " + describe(result.error()));
  } catch (const Died&) {
    die();
  }
}

void Simulation::recover_spool() {
  const auto recovered = insist([&] { return spool_.recover(); });
  if (!recovered.ok()) wrong("recover: " + describe(recovered.error()));
}

// To one or some of the destinations, if there are several.
Result<Receipt> Simulation::send(int number) {
  const auto index = static_cast<std::size_t>(number) - 1;
  const std::string& study = study_of_[index];
  std::optional<std::vector<std::string>> destinations;
  if (sites_.size() > 1) {
    destinations = names(plan_.destinations);
    std::erase_if(*destinations, [&](const std::string&) { return dice_.chance(0.5); });
    if (destinations->empty()) destinations->push_back(sites_.front()->destination.name);
  }
  Identity identity;
  identity.sop_class_uid = *Uid::parse("1.2.840.10008.5.1.4.1.1.2");
  identity.study_instance_uid = *Uid::parse(study);
  identity.series_instance_uid = *Uid::parse(study + ".1");
  identity.sop_instance_uid = *Uid::parse(study + ".1." + std::to_string(number));
  const Result<Receipt> receipt =
      spool_.receive(identity, "bytes of " + std::to_string(number), destinations);
  if (!receipt.ok()) return receipt;
  for (const std::string& name : destinations ? *destinations : names(plan_.destinations)) {
    wanted_at_[index].insert(name);
  }
  return receipt;
}

void Simulation::receive() {
  if (received_ == plan_.instances) return;
  study_of_.resize(static_cast<std::size_t>(received_));
  study_of_.push_back(study_uid(dice_.between(1, kStudies)));
  wanted_at_.resize(study_of_.size());
  const Result<Receipt> receipt = send(received_ + 1);
  if (!receipt.ok()) return;  // it was refused, and its sender sends it again
  ++received_;
  if (!dice_.chance(faults_.damaged)) return;
  damaged_.insert(receipt->id);
  dice_.chance(0.5) ? spool_.damage(receipt->id) : spool_.vanish(receipt->id);
}

// A sender that did not get its answer, or that archives everything twice, or by other rules now.
void Simulation::receive_again() {
  if (received_ == 0) return;
  const Result<Receipt> again = send(dice_.between(1, received_));
  if (again.ok() && !again->known) wrong("what is known was taken for new");
}

void Simulation::round() {
  for (int i = dice_.between(0, 2); i > 0; --i) receive();
  if (dice_.chance(faults_.death)) {
    const auto points = pipeline_failpoints();
    const auto last = static_cast<int>(points.size()) - 1;
    arm_failpoint(points[static_cast<std::size_t>(dice_.between(0, last))], dice_.between(1, 3),
                  [] { throw Died{}; });
  }
  if (dice_.chance(faults_.clock_set)) {
    clock_.set_by(std::chrono::seconds(dice_.between(-120, 120)));
  }
  if (dice_.chance(faults_.repeat)) receive_again();
  if (sites_.size() > 1 && dice_.chance(0.3)) receive_again();
  for (const auto& site : sites_) {
    if (dice_.chance(faults_.repeat)) site->service.replay_an_old_start();
  }
  const auto last = static_cast<int>(steps_.size()) - 1;
  for (int i = 0; i <= last; ++i) {
    run_step(*steps_[static_cast<std::size_t>(dice_.between(0, last))]);
  }
  clock_.sleep_for(Milliseconds(dice_.between(0, 3'000)));
}

// --- a run
// -----------------------------------------------------------------------------------------

std::vector<std::string> Simulation::run() {
  start_process();
  if (plan_.die_at) arm_failpoint(*plan_.die_at, plan_.die_nth, [] { throw Died{}; });
  for (int i = 0; i < plan_.rounds && wrong_.empty(); ++i) {
    round();
    if (i % plan_.check_every == 0) look_at_invariants();
  }
  mend();
  settle_down("after the faults");
  if (wrong_.empty()) {
    const auto moved = house_->ledger().order_retry("all");
    if (!moved.ok()) wrong("order_retry: " + describe(moved.error()));
    settle_down("after the retry");
  }
  if (wrong_.empty()) look_at_the_end();
  return wrong_;
}

// From here on the world works. The process is not spared: what is armed is still armed.
void Simulation::mend() {
  faults_ = Faults{};
  while (received_ < plan_.instances) receive();
}

// Nothing will happen any more without a person: every delivery is done, or asks, or waits with a
// stuck batch.
bool Simulation::at_rest() {
  const auto counts = house_->ledger().counts();
  if (!counts.ok()) return false;
  bool any_on_its_way = false;
  for (const StateCount& count : *counts) {
    if (count.subject == "batch") {
      const auto state = batch_state_from(count.state);
      if (!state || !(is_final(*state) || asks_for_person(*state))) return false;
    }
    if (count.subject == "delivery") {
      const auto state = delivery_state_from(count.state);
      any_on_its_way = any_on_its_way || !state || !(is_final(*state) || asks_for_person(*state));
    }
  }
  if (!any_on_its_way) return true;
  for (const InstanceView& view : everything()) {
    for (const Delivery& delivery : view.deliveries) {
      const bool moves = !is_final(delivery.state) && !asks_for_person(delivery.state);
      if (moves && !delivery.batch) return false;  // and no batch is anything but stuck or final
    }
  }
  return true;
}

void Simulation::settle_down(const std::string& when) {
  for (int i = 0; i < kRoundsToRest && wrong_.empty(); ++i) {
    // By position: a death replaces all steps.
    for (std::size_t step = 0; step < steps_.size(); ++step) run_step(*steps_[step]);
    clock_.sleep_for(5s);
    if (i % plan_.check_every == 0) look_at_invariants();
    if (at_rest()) return;
  }
  if (wrong_.empty()) wrong("it does not come to rest " + when);
}

// --- what must be so
// -------------------------------------------------------------------------------

void Simulation::wrong(const std::string& what) {
  wrong_.push_back("seed " + std::to_string(plan_.seed) + ": " + what);
}

std::vector<InstanceView> Simulation::everything() {
  std::vector<InstanceView> all;
  for (int study = 1; study <= kStudies; ++study) {
    auto views = house_->ledger().instances(study_uid(study), 100'000);
    if (!views.ok() && views.error().code == "ledger.not_found") continue;
    if (!views.ok()) {
      wrong("instances: " + describe(views.error()));
      return all;
    }
    for (InstanceView& view : *views) all.push_back(std::move(view));
  }
  return all;
}

void Simulation::look_at_invariants() {
  const auto findings = house_->ledger().check();  // I2, I4
  if (!findings.ok()) return wrong("check: " + describe(findings.error()));
  for (const std::string& finding : *findings) wrong(finding);
  look_at_bytes();
  for (const auto& site : sites_) look_at_site(*site);
}

void Simulation::look_at_bytes() {
  const std::vector<InstanceView> all = everything();
  if (static_cast<int>(all.size()) != received_) {
    wrong("I1: " + std::to_string(received_) + " were acknowledged, the ledger knows " +
          std::to_string(all.size()));
  }
  for (const InstanceView& view : all) {
    const std::string& ref = view.instance.spool_ref.text;
    const bool gone = freed_.contains(ref) || damaged_.contains(view.instance.id);
    if (!gone && !spool_.holds(*InstanceId::parse(ref))) {
      wrong("I1: no bytes of " + view.instance.id.text());
    }
  }
}

// I7: every destination that a sender was told success for has its delivery, and no other.
void Simulation::look_at_destinations() {
  for (const InstanceView& view : everything()) {
    const std::string& uid = view.instance.sop_instance_uid.text();
    const int number = std::stoi(uid.substr(uid.rfind('.') + 1));
    std::set<std::string> has;
    for (const Delivery& delivery : view.deliveries) has.insert(delivery.destination);
    if (has == wanted_at_[static_cast<std::size_t>(number) - 1]) continue;
    wrong("I7: instance " + view.instance.id.text() + " does not go where its senders said");
  }
}

void Simulation::look_at_site(Site& site) {
  Ledger& ledger = house_->ledger();
  std::map<BatchId, int> ended_well;
  for (const MemoryImportService::Job& job : site.imports.jobs()) {
    const auto known = insist([&] { return ledger.intent_is_inherited(job.intent.id); });
    if (!known.ok()) wrong("I3: job " + job.remote.id + " has no intent");
    if (job.ended && !job.failed && ++ended_well[job.intent.batch] > 1) {
      wrong("I6: batch " + job.intent.batch.text() + " was imported by two jobs");
    }
  }
  for (const ImportJobId& intent : site.service.started_unasked()) {
    wrong("I6: a start was repeated without asking, intent " + intent.text());
  }
  for (const ObjectKey& key : site.bucket.keys()) {
    const auto batch = batch_of(key);
    if (!batch) wrong("an object of nobody: " + key.text);
    const auto row = insist([&] { return ledger.batch(*batch); });
    if (!row.ok() || !row->has_value()) wrong("I3: no batch has the object " + key.text);
  }
}

// I5, at the moment when it counts.
void Simulation::look_at_free(const SpoolRef& ref) {
  for (const InstanceView& view : everything()) {
    if (view.instance.spool_ref != ref) continue;
    for (const Delivery& delivery : view.deliveries) {
      if (delivery.state != DeliveryState::imported) {
        wrong("I5: freed while " + std::string(to_string(delivery.state)));
      }
    }
  }
  freed_.insert(ref.text);
}

Simulation::Site& Simulation::site_of(const std::string& destination) {
  for (const auto& site : sites_) {
    if (site->destination.name == destination) return *site;
  }
  wrong("a delivery to " + destination);
  return *sites_.front();
}

// In jobs whose output could be read, however many batches it went through.
int Simulation::times_imported(Site& site, const InstanceId& instance) {
  const auto keys = site.store.keys_of().find(instance);
  if (keys == site.store.keys_of().end()) return 0;
  int times = 0;
  for (const ObjectKey& key : keys->second) {
    if (site.service.unread_batches().contains(*batch_of(key))) continue;
    times += site.imports.imported_times(key);
  }
  return times;
}

void Simulation::look_at_delivery(const Instance& instance, const Delivery& delivery) {
  const int imported = times_imported(site_of(delivery.destination), instance.id);
  const bool usable = !damaged_.contains(instance.id);
  const bool quarantined = delivery.state == DeliveryState::quarantined &&
                           !delivery.reason_code.empty() && imported == 0;
  const bool fine =
      delivery.state == DeliveryState::imported ? imported == 1 : !usable && quarantined;
  if (fine) return;
  wrong("instance " + instance.id.text() + " is " + std::string(to_string(delivery.state)) +
        " at " + delivery.destination + ", imported " + std::to_string(imported) + " times" +
        (usable ? "" : ", damaged") + ", reason " + delivery.reason_code);
}

void Simulation::look_at_intents() {
  std::size_t intents = 0;
  const auto counts = house_->ledger().counts();
  for (const StateCount& count : *counts) {
    if (count.subject == "import_job") intents += static_cast<std::size_t>(count.count);
  }
  std::size_t asked = 0;
  std::size_t jobs = 0;
  for (const auto& site : sites_) {
    asked += site->service.asked().size();
    jobs += site->imports.jobs().size();
  }
  // An intent whose every call was refused has no job; there is no other without one.
  const bool refused = plan_.faults.refuse > 0 || plan_.faults.start_denied > 0;
  if (intents == asked && (refused ? jobs <= intents : jobs == intents)) return;
  wrong("I3: " + std::to_string(intents) + " intents, " + std::to_string(asked) +
        " were asked for, " + std::to_string(jobs) + " jobs");
}

void Simulation::look_at_the_end() {
  look_at_invariants();
  look_at_destinations();
  for (const InstanceView& view : everything()) {
    for (const Delivery& delivery : view.deliveries) look_at_delivery(view.instance, delivery);
  }
  look_at_intents();
  look_at_freed();
}

void Simulation::look_at_freed() {
  // All that was promised to be given back is, also what a clock that was set back dates in the
  // future.
  clock_.sleep_for(kRetention + 24h);
  for (int i = 0; i < 20; ++i) run_step(*steps_.back());
  recover_spool();
  for (const auto& site : sites_) {
    if (site->bucket.size() != 0) wrong("left in the bucket: " + site->bucket.keys()[0].text);
  }
  for (const InstanceView& view : everything()) {
    const bool done = std::ranges::all_of(view.deliveries, [](const Delivery& delivery) {
      return delivery.state == DeliveryState::imported;
    });
    if (done && spool_.holds(*InstanceId::parse(view.instance.spool_ref.text))) {
      wrong("bytes are left in the spool");
    }
    if (done && !view.instance.freed_at) wrong("freed bytes are not noted");
  }
}

std::string Simulation::story() const {
  std::string lines;
  for (const std::string& line : log_.lines()) lines += line + "\n";
  return lines;
}

}  // namespace isthmus::test
