// The same promise with the real ledger on the real disk: that it makes the spool's directories
// durable before its rows, for a whole group at once. (That SQLite itself keeps what it committed
// when the power goes is ledger_power_cut_test.cc.)
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>

#include "base/thread.h"
#include "model/layout.h"
#include "spool/admission.h"
#include "spool/spool.h"
#include "support/incoming.h"
#include "support/matchers.h"
#include "support/power_loss_files.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

using ::testing::IsEmpty;

class Gateway {
 public:
  explicit Gateway(std::uint64_t seed, bool segments = false)
      : segments_(segments), env_(seed, disk_) {
    boot();
  }

  // Every receiver sends `each` instances; those that were acknowledged are remembered.
  void receive(std::uint64_t receivers, std::uint64_t each) {
    std::vector<Thread> threads;
    for (std::uint64_t t = 0; t < receivers; ++t) {
      threads.emplace_back(env_, "receiver", [this, t, each] {
        for (std::uint64_t i = 0; i < each; ++i) {
          const std::uint64_t number = t * each + i;
          const auto receipt = send(*spool_, make_sent(number, 500 + 3000 * (number % 5)));
          if (!receipt.ok()) continue;
          const std::lock_guard lock(mutex_);
          acknowledged_[receipt->id] = number;
        }
      });
    }
  }

  void cut_and_restart(PowerCut cut) {
    disk_.cut_power(cut);
    spool_.reset();
    ledger_.reset();
    disk_.power_on();
    boot();
  }

  std::vector<std::string> violations() {
    EXPECT_THAT(spool_->catch_up(), IsOk());
    std::vector<std::string> found;
    for (const auto& [id, number] : acknowledged_) {
      const auto row = ledger_->instance(id).value();
      if (!row) {
        found.push_back(id.text() + " has no row");
      } else if (stored(*spool_, row->spool_ref) !=
                 make_sent(number, 500 + 3000 * (number % 5)).whole()) {
        found.push_back(id.text() + " has not its bytes");
      }
    }
    for (std::size_t i = 0; i < layout::kSpoolFolders; ++i) {
      for (const auto& name : disk_.list("/spool/" + layout::spool_folder(i)).value()) {
        const auto id = layout::instance_of_spool_name(name);
        if (!id || !ledger_->has_instance(*id).value()) found.push_back(name + " is nobody's");
      }
    }
    for (const std::string& finding : ledger_->check().value()) found.push_back(finding);
    return found;
  }

  PowerLossFiles& disk() { return disk_; }
  std::size_t acknowledged() const { return acknowledged_.size(); }

 private:
  void boot() {
    auto ledger = open_sqlite_ledger(
        env_, {.directory = env_.folder() / "ledger", .destinations = {"cloud"}});
    ASSERT_THAT(ledger, IsOk());
    ledger_ = std::move(ledger).value();
    admission_ = std::make_unique<Admission>(
        env_, AdmissionOptions{.directory = "/spool", .reserve_bytes = 0, .resume_bytes = 0});
    SegmentOptions options;
    options.segment_bytes = 512 * KiB;
    options.reserve_bytes = 0;
    auto spool = segments_ ? open_segment_spool(env_, "/spool", *ledger_, *admission_, options)
                           : open_file_spool(env_, "/spool", *ledger_, *admission_);
    ASSERT_THAT(spool, IsOk());
    spool_ = std::move(spool).value();
    ASSERT_THAT(spool_->recover(), IsOk());
  }

  const bool segments_;
  PowerLossFiles disk_;
  TestEnv env_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<Admission> admission_;
  std::unique_ptr<Spool> spool_;
  std::mutex mutex_;
  std::map<InstanceId, std::uint64_t> acknowledged_;
};

std::uint64_t first_seed() {
  return static_cast<std::uint64_t>(::testing::UnitTest::GetInstance()->random_seed()) + 1;
}

TEST(PowerCutWithLedger, WhatWasAcknowledgedSurvives) {
  for (std::uint64_t seed = first_seed(); seed < first_seed() + 20; ++seed) {
    Gateway gateway(seed);
    gateway.disk().cut_power_at(10 + seed * 37 % 250, {seed});

    gateway.receive(6, 15);
    gateway.cut_and_restart({seed});

    ASSERT_THAT(gateway.violations(), IsEmpty()) << "seed " << seed;
  }
}

TEST(PowerCutWithLedger, WhatWasAcknowledgedSurvivesInSegments) {
  for (std::uint64_t seed = first_seed(); seed < first_seed() + 20; ++seed) {
    Gateway gateway(seed, /*segments=*/true);
    gateway.disk().cut_power_at(10 + seed * 37 % 250, {seed});

    gateway.receive(6, 15);
    gateway.cut_and_restart({seed});

    ASSERT_THAT(gateway.violations(), IsEmpty()) << "seed " << seed;
  }
}

TEST(PowerCutWithLedger, TheSuiteSeesADirectoryThatWasNotSynced) {
  Gateway gateway(1);
  gateway.disk().ignore_directory_syncs(true);

  gateway.receive(2, 5);
  gateway.cut_and_restart({});

  EXPECT_EQ(gateway.acknowledged(), 10u);
  EXPECT_THAT(gateway.violations(), ::testing::SizeIs(10));
}

TEST(GroupCommit, ReceiversThatWaitTogetherShareOneDirectorySync) {
  Gateway gateway(1);
  gateway.disk().forget_operations();

  gateway.receive(16, 12);

  EXPECT_EQ(gateway.acknowledged(), 192u);
  EXPECT_EQ(gateway.disk().count(FileOperation::sync), 192u);
  EXPECT_LT(gateway.disk().count(FileOperation::sync_directory), 192u / 2);
}

}  // namespace
}  // namespace isthmus::test
