// A ledger on a real file, and short ways to bring rows into each state through its own calls.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "ledger/ledger.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::test {

inline constexpr const char* kCloud = "cloud";

class LedgerTest : public testing::Test {
 protected:
  void SetUp() override { open(); }

  void open(std::vector<std::string> destinations = {kCloud});
  void close() { ledger_.reset(); }
  WallTime now() const { return env_.clock.wall_now(); }
  WallTime in(std::int64_t seconds) const { return now() + Milliseconds(seconds * 1000); }
  void advance_clock(std::int64_t seconds) { env_.clock.advance(Milliseconds(seconds * 1000)); }

  // A made-up instance number `n` of a study; same numbers, same identity and bytes.
  Arrival arrival(int n, int study = 1, std::string_view bytes = "bytes");
  InstanceId receive(int n, int study = 1);
  // The delivery of an instance (to kCloud).
  Delivery delivery(const InstanceId& instance);
  Batch batch(const BatchId& id);

  // `members` new instances in a batch of this state; each call uses instance numbers of its own.
  struct Filled {
    BatchId batch;
    std::vector<InstanceId> instances;
    std::vector<DeliveryId> deliveries;
    std::optional<ImportJobId> job;
  };
  Filled batch_in(BatchState state, int members = 1);
  // A delivery in this state. Waiting ones are in no batch, staged ones in a staged batch.
  DeliveryId delivery_in(DeliveryState state);
  // A job in this state, of a batch with one member.
  Filled job_in(ImportJobState state);

  static OutcomeRecord outcome(const DeliveryId& delivery, OutcomeKind kind,
                               std::optional<WallTime> next = std::nullopt);
  std::vector<OutcomeRecord> outcomes(const Filled& batch, OutcomeKind kind);
  std::vector<std::string> events_of(std::string_view id);
  void expect_sound();

  TestEnv env_;
  std::unique_ptr<Ledger> ledger_;

 private:
  int next_number_ = 1000;
};

Error some_error(std::string code = "s3.slow_down");

}  // namespace isthmus::test
