#include "plugin/import_jobs.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "unit/plugin/plugin_fixture.h"

namespace isthmus::test {
namespace {

using plugin::BatchJob;
using plugin::ImportJobs;
using plugin::ImportJobsOptions;
using plugin::JobBoard;
using testing::IsEmpty;
using testing::SizeIs;

class FakeBoard : public JobBoard {
 public:
  Result<void> submit(std::unique_ptr<BatchJob> job) override {
    if (refuse) return transient_error("orthanc.failed", "No jobs today.");
    jobs.push_back(std::move(job));
    return {};
  }
  bool refuse = false;
  std::vector<std::unique_ptr<BatchJob>> jobs;
};

class ImportJobsTest : public PluginFixture {
 protected:
  void start(int at_once = 1) {
    jobs_ = std::make_unique<ImportJobs>(
        env_, board_, ledger_, ImportJobsOptions{{"cloud"}, at_once, Milliseconds{1'000}});
  }
  BatchId open_batch(const std::string& uid) {
    record(uid, uid);
    std::vector<DeliveryId> ids;
    for (const auto& one : ledger_.waiting_deliveries("cloud", env_.clock.wall_now(), 9).value()) {
      ids.push_back(one.id);
    }
    return ledger_.join("cloud", std::nullopt, ids).value();
  }
  void give_up(const BatchId& batch) {
    const Error why = permanent_error("aws.denied", "Not allowed.");
    ASSERT_THAT(ledger_.advance(batch, BatchEvent::seal, nullptr), IsOk());
    ASSERT_THAT(ledger_.advance(batch, BatchEvent::give_up, &why), IsOk());
  }

  FakeBoard board_;
  std::unique_ptr<ImportJobs> jobs_;
};

TEST_F(ImportJobsTest, ABatchHasOneJobThatGoesOnUntilItIsThrough) {
  start();
  const BatchId batch = open_batch("1.5");
  jobs_->run_once();
  jobs_->run_once();
  ASSERT_THAT(board_.jobs, SizeIs(1));
  BatchJob& job = *board_.jobs[0];
  EXPECT_EQ(job.step(), BatchJob::Step::goes_on);
  const float begun = job.progress();
  const auto content = nlohmann::json::parse(job.content());
  EXPECT_EQ(content["Batch"], batch.text());
  EXPECT_EQ(content["State"], "open");
  EXPECT_EQ(content["Instances"], 1);

  ASSERT_THAT(ledger_.advance(batch, BatchEvent::seal, nullptr), IsOk());
  EXPECT_EQ(job.step(), BatchJob::Step::goes_on);
  EXPECT_GT(job.progress(), begun);
}

TEST_F(ImportJobsTest, AStuckBatchIsAJobThatFailed) {
  start();
  const BatchId batch = open_batch("1.5");
  jobs_->run_once();
  give_up(batch);

  EXPECT_EQ(board_.jobs.at(0)->step(), BatchJob::Step::failed);
  EXPECT_EQ(nlohmann::json::parse(board_.jobs[0]->content())["ReasonCode"], "aws.denied");
}

TEST_F(ImportJobsTest, NoMoreRunThanOrthancHasThreadsFor) {
  start(1);
  const BatchId first = open_batch("1.5");
  const BatchId second = open_batch("1.6");
  jobs_->run_once();
  EXPECT_THAT(board_.jobs, SizeIs(1));

  board_.jobs[0]->leave();
  jobs_->run_once();

  EXPECT_THAT(board_.jobs, SizeIs(2));
}

TEST_F(ImportJobsTest, AJobThatGoesOnAfterAPauseCountsAgain) {
  start(1);
  open_batch("1.5");
  jobs_->run_once();
  board_.jobs.at(0)->leave();
  board_.jobs.at(0)->step();
  open_batch("1.6");

  jobs_->run_once();

  EXPECT_THAT(board_.jobs, SizeIs(1));
}

TEST_F(ImportJobsTest, AfterARestartWhatIsNotThroughHasAJobAgain) {
  start();
  open_batch("1.5");
  jobs_->run_once();
  board_.jobs.clear();

  start();
  jobs_->run_once();

  EXPECT_THAT(board_.jobs, SizeIs(1));
}

TEST_F(ImportJobsTest, WhatOrthancDoesNotTakeIsOfferedAgain) {
  start();
  open_batch("1.5");
  board_.refuse = true;
  jobs_->run_once();
  EXPECT_THAT(board_.jobs, IsEmpty());

  board_.refuse = false;
  jobs_->run_once();

  EXPECT_THAT(board_.jobs, SizeIs(1));
}

}  // namespace
}  // namespace isthmus::test
