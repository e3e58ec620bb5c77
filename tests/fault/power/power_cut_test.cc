// I1: what was acknowledged has its bytes and its row, and the digests agree, whenever the power
// goes.
//
// Lives of a gateway's intake on a disk that loses what was not synced (PowerLossFiles), with a
// ledger whose rows are durable when record() returns (IntakeLedger; the real one is proved by the
// crash suite). Each life ends by a cut at an operation chosen at random; the next one recovers and
// everything is looked at. The last tests make the disk lie about one kind of sync: a suite that
// does not notice proves nothing.
//
// A failure names its seed. --gtest_random_seed=N starts at another one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <map>
#include <random>
#include <set>

#include "base/thread.h"
#include "model/layout.h"
#include "spool/admission.h"
#include "spool/segments/segment_spool.h"
#include "spool/spool.h"
#include "support/incoming.h"
#include "support/intake_ledger.h"
#include "support/matchers.h"
#include "support/power_loss_files.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

// A ledger that writes the row without making the bytes durable first: what the suite must see.
class HastyLedger : public IntakeLedger {
 public:
  using IntakeLedger::IntakeLedger;
  Result<Receipt> record(const Arrival& arrival, Durable*) override {
    return IntakeLedger::record(arrival, nullptr);
  }
};

enum class Kind { files, segments };

// Small, so that a life sees several segments come and go. What is larger than max_instance_bytes
// goes the way of files.
SegmentOptions small_segments(bool background) {
  SegmentOptions options;
  options.segment_bytes = 640 * KiB;
  options.max_instance_bytes = 250'000;
  options.buffer_bytes = 2 * MiB;
  options.reserve_bytes = 0;
  options.rows_at_once = 4;
  options.compact_after = Milliseconds(2000);
  options.background = background;
  return options;
}

struct Mutation {
  Kind kind = Kind::files;
  bool background = false;
  bool no_file_sync = false;
  bool no_directory_sync = false;
  bool hasty_ledger = false;
};

// Several lives on one disk with one ledger. `violations` is empty as long as the promise is kept.
class Intake {
 public:
  explicit Intake(std::uint64_t seed, Mutation mutation = {})
      : mutation_(mutation),
        random_(seed),
        env_(seed, files_),
        ledger_(mutation.hasty_ledger ? std::make_unique<HastyLedger>(env_)
                                      : std::make_unique<IntakeLedger>(env_)) {
    files_.ignore_file_syncs(mutation.no_file_sync);
    files_.ignore_directory_syncs(mutation.no_directory_sync);
    boot();
  }

  PowerLossFiles& files() { return files_; }
  IntakeLedger& ledger() { return *ledger_; }
  Spool& spool() { return *spool_; }
  TestEnv& env() { return env_; }
  const std::vector<std::string>& violations() const { return violations_; }
  std::size_t acknowledged() const { return acknowledged_.size(); }

  void acknowledge(const Receipt& receipt, std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    acknowledged_[receipt.id] = number;
  }

  // One life of random work until the power goes, or at most `steps`.
  void live(int steps) {
    for (int i = 0; i < steps && files_.is_on() && env_.fatals().size() == fatals_seen_; ++i) {
      step();
    }
    end_life(PowerCut{maybe(3) ? std::nullopt : std::optional(random_())});
  }

  // The process is gone with its power; then a new one looks at what is left.
  void end_life(PowerCut cut) {
    files_.cut_power(cut);
    receiving_.clear();
    spool_.reset();
    files_.power_on();
    fatals_seen_ = env_.fatals().size();
    ledger_->before_row = {};
    ledger_->after_row = {};
    boot();
    verify();
  }

  void look_after_everything() {
    if (mutation_.kind == Kind::segments) look_after_segments();
  }

  // The workload's steps, also used by the exhaustive test.
  void begin(std::uint64_t number, std::size_t size) {
    auto incoming = spool_->begin({});
    if (!incoming.ok()) return;
    receiving_.push_back({std::move(incoming).value(), make_sent(number, size), number, 0});
  }
  void append(std::size_t which, std::size_t piece_bytes) {
    if (which >= receiving_.size()) return;  // the power went before it was begun
    Receiving& it = receiving_[which];
    const std::string whole = it.sent.whole();
    if (it.done == whole.size()) return;
    const std::size_t head = it.sent.head.size();
    const std::size_t end = it.done < head ? head : std::min(whole.size(), it.done + piece_bytes);
    const auto piece = std::string_view(whole).substr(it.done, end - it.done);
    it.done = end;
    ignore(it.incoming->append(as_bytes(piece)), "commit gives the same error");
    if (end == head) it.incoming->dataset_begins();
  }
  void commit(std::size_t which) {
    if (which >= receiving_.size()) return;
    while (receiving_[which].done < receiving_[which].sent.whole().size()) append(which, 64 * KiB);
    const auto receipt = receiving_[which].incoming->commit(receiving_[which].sent.identified);
    if (receipt.ok()) acknowledge(*receipt, receiving_[which].number);
    drop(which);
  }
  void drop(std::size_t which) {
    if (which >= receiving_.size()) return;
    receiving_.erase(receiving_.begin() + static_cast<std::ptrdiff_t>(which));
  }
  void free_oldest() {
    for (const Arrival& arrival : ledger_->arrivals()) {
      if (!acknowledged_.contains(arrival.id) || freed_.contains(arrival.id)) continue;
      claimed_.insert(arrival.id);
      if (spool_->free(arrival.spool_ref).ok()) {
        freed_.insert(arrival.id);
        ledger_->freed(arrival.id);
      }
      return;
    }
  }

 private:
  struct Receiving {
    std::unique_ptr<IncomingInstance> incoming;
    Sent sent;
    std::uint64_t number;
    std::size_t done;
  };

  bool maybe(std::uint64_t one_in) { return random_() % one_in == 0; }

  void boot() {
    admission_ = std::make_unique<Admission>(
        env_, AdmissionOptions{.directory = "/spool", .reserve_bytes = 0, .resume_bytes = 0});
    auto opened = mutation_.kind == Kind::files
                      ? open_file_spool(env_, "/spool", *ledger_, *admission_)
                      : open_segment_spool(env_, "/spool", *ledger_, *admission_,
                                           small_segments(mutation_.background));
    ASSERT_THAT(opened, IsOk());
    spool_ = std::move(opened).value();
    auto recovered = spool_->recover();
    // Refusals that the life before ordered and did not meet: the supervisor starts it again.
    while (!recovered.ok() && recovered.error().code == "ledger.full") {
      recovered = spool_->recover();
    }
    is_broken_ = !recovered.ok();
    if (!recovered.ok()) violations_.push_back("recover: " + describe(recovered.error()));
  }

  void step() {
    if (is_broken_) return;
    env_.clock.advance(Milliseconds(random_() % 1500));
    if (maybe(40)) break_something();
    const std::uint64_t what = random_() % 10;
    if (receiving_.empty() || (what < 2 && receiving_.size() < 6)) {
      constexpr std::size_t kSizes[] = {1, 5000, 200'000, 262'144, 700'000};
      const bool again = !acknowledged_.empty() && maybe(4);
      const std::uint64_t number = again ? acknowledged_.begin()->second : next_number_++;
      begin(number, kSizes[number % 5]);
      return;
    }
    const std::size_t which = random_() % receiving_.size();
    if (what < 7) return append(which, 1 + random_() % 150'000);
    if (what < 9) return commit(which);
    if (maybe(2)) return drop(which);
    if (mutation_.kind == Kind::segments && maybe(2)) return look_after_segments();
    free_oldest();
  }

  void look_after_segments() {
    auto& segments = static_cast<segments::SegmentSpool&>(*spool_);
    const char* const why = "the power may go, the ledger may refuse";
    ignore(spool_->catch_up(), why);
    if (maybe(2)) {
      ignore(segments.prepare_one(), why);
    } else {
      ignore(segments.compact_one(), why);
    }
  }

  void break_something() {
    switch (random_() % 6) {
      case 0:
        return files_.fail_next_sync();
      case 1:
        return files_.fail_next_directory_sync();
      case 2:
        return files_.fail_next(FileOperation::rename, PowerLossFiles::disk_io_error());
      case 3:
        ledger_->refuse("follow", transient_error("ledger.full", "No space."));
        return ledger_->fail_next_record(transient_error("ledger.full", "No space."));
      case 4:  // the commit may have reached the disk, and the power goes: nobody was answered
        ledger_->before_row = [this] {
          ledger_->fail_next_record(fatal_error("ledger.io", "Power."), maybe(2));
          files_.cut_power({random_()});
        };
        return;
      default:
        ledger_->after_row = [this] { files_.cut_power({random_()}); };
    }
  }

  void verify() {
    std::set<std::string> expected, may_be;
    for (const Arrival& arrival : ledger_->arrivals()) {
      const std::string& ref = arrival.spool_ref.text;
      if (freed_.contains(arrival.id)) continue;
      if (claimed_.contains(arrival.id)) {  // between claim and conclusion: there or gone
        may_be.insert(ref);
        continue;
      }
      expected.insert(ref);
      const std::string bytes = stored(*spool_, arrival.spool_ref);
      const auto dataset =
          std::string_view(bytes).substr(std::min(bytes.size(), arrival.dataset_offset_bytes));
      const bool is_whole = arrival.file_digest.empty() ? bytes.size() == arrival.size_bytes
                                                        : sha256(bytes) == arrival.file_digest;
      if (!is_whole || sha256(dataset) != arrival.dataset_digest) {
        violations_.push_back(ref + " has a row and not its bytes" +
                              (bytes.starts_with("spool.") ? ": " + bytes : ""));
      }
    }
    // By UID: of what was sent again, the first has the row.
    std::set<std::string> known;
    for (const Arrival& arrival : ledger_->arrivals()) {
      known.insert(arrival.identity.sop_instance_uid.text());
    }
    for (const auto& [id, number] : acknowledged_) {
      const Identity identity = make_sent(number, 1).identified.identity;
      if (!known.contains(identity.sop_instance_uid.text())) {
        violations_.push_back(id.text() + " was acknowledged and has no row");
      }
    }
    verify_nothing_else(expected, may_be);
  }

  // What nobody was promised takes no space after a restart.
  void verify_nothing_else(const std::set<std::string>& expected,
                           const std::set<std::string>& may_be) {
    for (std::size_t i = 0; i < layout::kSpoolFolders; ++i) {
      const std::string folder = layout::spool_folder(i);
      for (const std::string& name : files_.list("/spool/" + folder).value()) {
        const std::string ref = folder + "/" + name;
        if (!expected.contains(ref) && !may_be.contains(ref)) {
          violations_.push_back(ref + " is left and belongs to nobody");
        }
      }
    }
  }

  const Mutation mutation_;
  std::mt19937_64 random_;
  PowerLossFiles files_;
  TestEnv env_;
  std::unique_ptr<IntakeLedger> ledger_;
  std::unique_ptr<Admission> admission_;
  std::unique_ptr<Spool> spool_;
  std::vector<Receiving> receiving_;
  std::mutex mutex_;
  std::map<InstanceId, std::uint64_t> acknowledged_;
  std::set<InstanceId> claimed_, freed_;
  std::uint64_t next_number_ = 1;
  std::size_t fatals_seen_ = 0;
  bool is_broken_ = false;  // could not be recovered
  std::vector<std::string> violations_;
};

std::uint64_t first_seed() {
  return static_cast<std::uint64_t>(::testing::UnitTest::GetInstance()->random_seed()) + 1;
}

// Three lives, each cut somewhere in its first 150 changes to the disk.
std::vector<std::string> random_lives(std::uint64_t seed, Mutation mutation,
                                      std::size_t* acknowledged = nullptr) {
  std::mt19937_64 random(seed);
  Intake intake(seed, mutation);
  for (int life = 0; life < 3; ++life) {
    const PowerCut cut{random() % 3 == 0 ? std::nullopt : std::optional(random())};
    intake.files().cut_power_at(1 + random() % 150, cut);
    intake.live(400);
  }
  if (acknowledged) *acknowledged += intake.acknowledged();
  return intake.violations();
}

std::size_t seeds_that_see(Mutation mutation, std::uint64_t seeds) {
  std::size_t seen = 0;
  for (std::uint64_t seed = first_seed(); seed < first_seed() + seeds; ++seed) {
    if (!random_lives(seed, mutation).empty()) ++seen;
  }
  return seen;
}

class PowerIsCut : public ::testing::TestWithParam<Kind> {};

TEST_P(PowerIsCut, WhatWasAcknowledgedSurvivesAtRandomMoments) {
  constexpr std::uint64_t kSeeds = 80;
  std::size_t acknowledged = 0;

  for (std::uint64_t seed = first_seed(); seed < first_seed() + kSeeds; ++seed) {
    ASSERT_THAT(random_lives(seed, {.kind = GetParam()}, &acknowledged), IsEmpty())
        << "seed " << seed;
  }

  std::cout << "seeds " << first_seed() << " to " << first_seed() + kSeeds - 1 << ", "
            << acknowledged << " acknowledged\n";
  EXPECT_GT(acknowledged, 4 * kSeeds);  // the lives are long enough to prove something
}

// Two at once, one of them in several pieces, one more that is dropped, one sent again, one freed.
void short_life(Intake& intake) {
  intake.begin(1, 600'000);
  intake.append(0, 1);
  intake.append(0, 300'000);
  intake.begin(2, 5000);
  intake.commit(1);
  intake.begin(3, 300'000);
  intake.append(1, 1);
  intake.append(1, 290'000);
  intake.drop(1);
  intake.commit(0);
  intake.begin(2, 5000);
  intake.commit(0);
  intake.look_after_everything();
  intake.free_oldest();
}

TEST_P(PowerIsCut, WhatWasAcknowledgedSurvivesACutAtEachOperation) {
  std::uint64_t changes = 0;
  {
    Intake whole(1, {.kind = GetParam()});
    const std::uint64_t before = whole.files().changes();
    short_life(whole);
    changes = whole.files().changes() - before;
    ASSERT_GE(whole.acknowledged(), 2u);
  }
  ASSERT_GT(changes, 15u);

  for (std::uint64_t nth = 1; nth <= changes + 1; ++nth) {
    for (std::uint64_t seed = 0; seed <= 20; ++seed) {
      Intake intake(1, {.kind = GetParam()});
      const PowerCut cut{seed == 0 ? std::nullopt : std::optional(seed)};
      intake.files().cut_power_at(nth, cut);
      short_life(intake);
      intake.end_life(cut);
      ASSERT_THAT(intake.violations(), IsEmpty()) << "cut at change " << nth << ", seed " << seed;
    }
  }
}

TEST_P(PowerIsCut, WhatWasAcknowledgedSurvivesUnderManyReceivers) {
  for (std::uint64_t seed = first_seed(); seed < first_seed() + 60; ++seed) {
    Intake intake(seed, {.kind = GetParam(), .background = true});
    intake.files().cut_power_at(20 + seed * 37 % 200, {seed});
    {
      std::vector<Thread> receivers;
      for (std::uint64_t t = 0; t < 6; ++t) {
        receivers.emplace_back(intake.env(), "receiver", [&intake, t] {
          for (std::uint64_t i = 0; i < 20; ++i) {
            const std::uint64_t number = t * 20 + i;
            const auto receipt = send(intake.spool(), make_sent(number, 1000 * (number % 7) + 1));
            if (receipt.ok()) intake.acknowledge(*receipt, number);
          }
        });
      }
    }
    intake.end_life({seed});
    ASSERT_THAT(intake.violations(), IsEmpty()) << "seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Every, PowerIsCut, ::testing::Values(Kind::files, Kind::segments),
                         [](const auto& which) {
                           return which.param == Kind::files ? "Files" : "Segments";
                         });

// --- the suite sees what it is for
// -------------------------------------------------------------------

TEST(PowerCutSuite, SeesAFileThatWasNotSynced) {
  EXPECT_GT(seeds_that_see({.no_file_sync = true}, 20), 15u);
}

TEST(PowerCutSuite, SeesADirectoryThatWasNotSynced) {
  EXPECT_GT(seeds_that_see({.no_directory_sync = true}, 20), 15u);
}

TEST(PowerCutSuite, SeesASegmentThatWasNotSynced) {
  EXPECT_GT(seeds_that_see({.kind = Kind::segments, .no_file_sync = true}, 20), 15u);
}

TEST(PowerCutSuite, SeesASegmentWithoutItsName) {
  EXPECT_GT(seeds_that_see({.kind = Kind::segments, .no_directory_sync = true}, 20), 10u);
}

TEST(PowerCutSuite, SeesARowBeforeItsBytes) {
  EXPECT_GT(seeds_that_see({.hasty_ledger = true}, 20), 15u);
}

}  // namespace
}  // namespace isthmus::test
