// What the ledger's calls returned without error survives a power cut: rows, states, and the
// soundness of the database. SQLite stands on a disk that forgets (power_loss_vfs.h); lives of
// random calls end in a cut at a random write or sync, checkpoints and closings included.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <map>
#include <random>

#include "fault/power/power_loss_vfs.h"
#include "ledger/ledger.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

using ::testing::IsEmpty;

class LedgerLives {
 public:
  explicit LedgerLives(std::uint64_t seed) : random_(seed), env_(seed) {}

  PowerLossVfs& vfs() { return vfs_; }
  std::size_t promised() const { return instances_.size() + batches_.size(); }
  bool is_alive() const { return ledger_ != nullptr && env_.fatals().size() == fatals_seen_; }

  Result<void> open() {
    fatals_seen_ = env_.fatals().size();
    LedgerOptions options;
    options.directory = env_.folder() / "ledger";
    options.destinations = {"cloud", "archive"};
    TRY_ASSIGN(ledger_, open_sqlite_ledger(env_, options));
    return {};
  }
  void close() { ledger_.reset(); }

  void step() {
    env_.clock.advance(Milliseconds(100));
    const std::uint64_t what = random_() % 10;
    if (what < 6) return record();
    if (what < 8) return join();
    if (what < 9) return seal();
    close();  // in good order, with SQLite's checkpoint
    ignore(open(), "a cut may come in between; then this life is over");
  }

  // After power_on(): everything that was promised, against what is there.
  std::vector<std::string> violations() {
    if (const auto opened = open(); !opened.ok()) return {"open: " + describe(opened.error())};
    std::vector<std::string> found;
    for (const auto& [id, digest] : instances_) {
      const auto row = ledger_->instance(id);
      if (!row.ok()) {
        found.push_back(describe(row.error()));
      } else if (!*row || (*row)->dataset_digest != digest) {
        found.push_back("instance " + id.text() + " is lost");
      }
    }
    for (const auto& [id, state] : batches_) {
      const auto row = ledger_->batch(id);
      if (!row.ok() || !*row) {
        found.push_back("batch " + id.text() + " is lost");
      } else if ((*row)->state < state) {
        found.push_back("batch " + id.text() + " fell back");
      }
    }
    const auto findings = ledger_->check();
    if (!findings.ok()) return {describe(findings.error())};
    found.insert(found.end(), findings->begin(), findings->end());
    return found;
  }

 private:
  void record() {
    Arrival arrival;
    arrival.id = InstanceId::make(env_);
    const std::string number = std::to_string(next_number_++);
    arrival.identity.sop_class_uid = *Uid::parse("1.2.840.10008.5.1.4.1.1.2");
    arrival.identity.sop_instance_uid = *Uid::parse("1.2.826.9." + number);
    arrival.identity.series_instance_uid = *Uid::parse("1.2.826.8.1");
    arrival.identity.study_instance_uid = *Uid::parse("1.2.826.8");
    arrival.identity.patient_id = "SYNTHETIC";
    arrival.origin.receiver = "dimse";
    arrival.transfer_syntax_uid = "1.2.840.10008.1.2.1";
    arrival.size_bytes = 1000;
    arrival.dataset_offset_bytes = 400;
    arrival.dataset_digest = sha256(number);
    arrival.file_digest = sha256("file " + number);
    arrival.spool_ref = {"00/" + arrival.id.text() + ".dcm"};
    arrival.received_at = env_.clock.wall_now();
    if (ledger_->record(arrival, nullptr).ok()) instances_[arrival.id] = arrival.dataset_digest;
  }

  void join() {
    const auto waiting = ledger_->waiting_deliveries("cloud", env_.clock.wall_now(), 3);
    if (!waiting.ok() || waiting->empty()) return;
    std::vector<DeliveryId> ids;
    for (const WaitingDelivery& delivery : *waiting) ids.push_back(delivery.id);
    const auto batch = ledger_->join("cloud", std::nullopt, ids);
    if (batch.ok()) batches_[*batch] = BatchState::open;
  }

  void seal() {
    for (auto& [id, state] : batches_) {
      if (state != BatchState::open) continue;
      if (ledger_->advance(id, BatchEvent::seal, nullptr).ok()) state = BatchState::sealed;
      return;
    }
  }

  std::mt19937_64 random_;
  PowerLossVfs vfs_;  // before what opens files on it, and gone after
  TestEnv env_;
  std::unique_ptr<Ledger> ledger_;
  std::map<InstanceId, Digest> instances_;
  std::map<BatchId, BatchState> batches_;
  std::uint64_t next_number_ = 1;
  std::size_t fatals_seen_ = 0;
};

std::uint64_t first_seed() {
  return static_cast<std::uint64_t>(::testing::UnitTest::GetInstance()->random_seed()) + 1;
}

// Three lives, each cut somewhere in its first 1500 changes to the disk, the opening included.
std::vector<std::string> random_lives(std::uint64_t seed, bool ignore_log_syncs,
                                      std::size_t* promised = nullptr) {
  std::mt19937_64 random(seed);
  LedgerLives lives(seed);
  lives.vfs().ignore_log_syncs(ignore_log_syncs);
  for (int life = 0; life < 3; ++life) {
    const PowerCut cut{random() % 3 == 0 ? std::nullopt : std::optional(random())};
    lives.vfs().cut_power_at(1 + random() % 1500, cut);
    ignore(lives.open(), "the cut may come while it opens");
    for (int i = 0; i < 200 && lives.is_alive(); ++i) lives.step();
    lives.vfs().cut_power(cut);
    lives.close();
    lives.vfs().power_on();
    if (auto found = lives.violations(); !found.empty()) return found;
    lives.close();
  }
  if (promised) *promised += lives.promised();
  return {};
}

TEST(LedgerPowerCut, WhatWasReturnedSurvives) {
  constexpr std::uint64_t kSeeds = 40;
  std::size_t promised = 0;

  for (std::uint64_t seed = first_seed(); seed < first_seed() + kSeeds; ++seed) {
    ASSERT_THAT(random_lives(seed, false, &promised), IsEmpty()) << "seed " << seed;
  }

  std::cout << "seeds " << first_seed() << " to " << first_seed() + kSeeds - 1 << ", " << promised
            << " promises\n";
  EXPECT_GT(promised, 20 * kSeeds);
}

// What synchronous=NORMAL would leave out.
TEST(LedgerPowerCut, TheSuiteSeesALogThatIsNotSyncedAtCommit) {
  std::size_t seen = 0;

  for (std::uint64_t seed = first_seed(); seed < first_seed() + 10; ++seed) {
    if (!random_lives(seed, true).empty()) ++seen;
  }

  EXPECT_GT(seen, 7u);
}

}  // namespace
}  // namespace isthmus::test
