// The promises of ImportService, held against every implementation. To add one: make a
// ServiceUnderTest that owns everything it needs, and
//   INSTANTIATE_TEST_SUITE_P(MyService, ImportServiceContract, testing::Values(factory));
#pragma once

#include <gmock/gmock.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/thread.h"
#include "imports/import_service.h"
#include "support/dicom_factory.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::test {

class ServiceUnderTest {
 public:
  virtual ~ServiceUnderTest() = default;
  virtual ImportService& service() = 0;
  // Into the input bucket: a DICOM file that can be imported, and a file that cannot.
  virtual void place_good(const ObjectKey& key, const DicomRecipe& recipe) = 0;
  virtual void place_bad(const ObjectKey& key) = 0;
};

struct ServiceFactory {
  std::string name;
  std::function<std::unique_ptr<ServiceUnderTest>()> make;
};
inline void PrintTo(const ServiceFactory& factory, std::ostream* out) {
  *out << factory.name;
}

class ImportServiceContract : public testing::TestWithParam<ServiceFactory> {
 protected:
  void SetUp() override {
    subject_ = GetParam().make();
    good_ = expect("good-1");
    bad_ = expect("bad-1");
    absent_ = expect("absent-1");
    subject_->place_good(good_.key, {});
    subject_->place_bad(bad_.key);
  }
  ImportService& service() { return subject_->service(); }

  Expected expect(const std::string& name) {
    return {DeliveryId::make(ids_), ObjectKey{"pre/b1/in/" + name + ".dcm"}, Uid(), 0};
  }
  ImportIntent intent(const std::string& name) {
    ImportIntent made;
    made.id = ImportJobId::make(ids_);
    made.batch = BatchId::make(ids_);
    made.client_token = "token-" + name;
    made.job_name = "isthmus-" + name;
    made.input_prefix = "pre/b1/in/";
    made.output_prefix = "pre/b1/out/" + name + "/";
    return made;
  }
  // Polls until it ends; a service far away knows no other way.
  RemoteStatus wait_for(const RemoteJob& job) {
    Wakeup never;
    for (int polls = 0; polls < 1500; ++polls) {
      const auto status = service().status(job);
      if (!status.ok()) {
        ADD_FAILURE() << describe(status.error());
        return {};
      }
      if (status->state != RemoteState::running) return *status;
      never.wait_for(Milliseconds(20));
    }
    ADD_FAILURE() << "the job does not end";
    return {};
  }

  TestEnv ids_;
  std::unique_ptr<ServiceUnderTest> subject_;
  Expected good_, bad_, absent_;
};

TEST_P(ImportServiceContract, ImportsAndTellsOutcomesApart) {
  ASSERT_OK_AND_ASSIGN(const RemoteJob job, service().start(intent("a")));
  const RemoteStatus end = wait_for(job);
  ASSERT_EQ(end.state, RemoteState::succeeded) << end.message;

  const std::vector<Expected> expected = {absent_, bad_, good_};
  ASSERT_OK_AND_ASSIGN(const auto outcomes,
                       service().outcomes({job.id, end.output_prefix}, expected));

  ASSERT_EQ(outcomes.size(), 3U);
  EXPECT_EQ(outcomes[0].delivery, absent_.delivery);
  EXPECT_EQ(outcomes[0].kind, OutcomeKind::unaccounted);
  EXPECT_NE(outcomes[0].reason_code, "");
  EXPECT_EQ(outcomes[1].delivery, bad_.delivery);
  EXPECT_EQ(outcomes[1].kind, OutcomeKind::rejected);
  EXPECT_NE(outcomes[1].reason_code, "");
  EXPECT_EQ(outcomes[2].delivery, good_.delivery);
  EXPECT_EQ(outcomes[2].kind, OutcomeKind::imported);
  EXPECT_NE(outcomes[2].image_set_id, "");
  EXPECT_THAT(outcomes[2].primary, testing::Optional(true));
  EXPECT_EQ(outcomes[2].reason_code, "");
}

TEST_P(ImportServiceContract, SaysTheSameWhenAskedAgain) {
  ASSERT_OK_AND_ASSIGN(const RemoteJob job, service().start(intent("a")));
  const RemoteJob known{job.id, wait_for(job).output_prefix};
  const std::vector<Expected> expected = {good_, bad_};

  ASSERT_OK_AND_ASSIGN(const auto first, service().outcomes(known, expected));
  ASSERT_OK_AND_ASSIGN(const auto second, service().outcomes(known, expected));

  ASSERT_EQ(first.size(), second.size());
  for (std::size_t at = 0; at < first.size(); ++at) {
    EXPECT_EQ(first[at].kind, second[at].kind);
    EXPECT_EQ(first[at].image_set_id, second[at].image_set_id);
  }
}

TEST_P(ImportServiceContract, StartsOneJobForOneIntent) {
  const ImportIntent same = intent("a");
  ASSERT_OK_AND_ASSIGN(const RemoteJob first, service().start(same));
  ASSERT_OK_AND_ASSIGN(const RemoteJob second, service().start(same));
  EXPECT_EQ(first.id, second.id);
  wait_for(first);
  ASSERT_OK_AND_ASSIGN(const RemoteJob third, service().start(same));
  EXPECT_EQ(first.id, third.id);
}

TEST_P(ImportServiceContract, StartsAnotherJobForAnotherIntent) {
  ASSERT_OK_AND_ASSIGN(const RemoteJob first, service().start(intent("a")));
  ASSERT_OK_AND_ASSIGN(const RemoteJob second, service().start(intent("b")));
  EXPECT_NE(first.id, second.id);
}

TEST_P(ImportServiceContract, RefusesATokenForAnotherRequest) {
  ImportIntent changed = intent("a");
  ASSERT_THAT(service().start(changed), IsOk());
  changed.input_prefix = "pre/b2/in/";
  EXPECT_THAT(service().start(changed), FailsWith("import.conflict", Fate::permanent));
}

TEST_P(ImportServiceContract, FindsWhatWasStartedByItsName) {
  ASSERT_OK_AND_ASSIGN(const RemoteJob job, service().start(intent("a")));
  ASSERT_THAT(service().start(intent("aa")), IsOk());

  ASSERT_OK_AND_ASSIGN(const auto running, service().find(intent("a")));
  wait_for(job);
  ASSERT_OK_AND_ASSIGN(const auto ended, service().find(intent("a")));

  ASSERT_TRUE(running && ended);
  EXPECT_EQ(running->id, job.id);
  EXPECT_EQ(ended->id, job.id);
}

TEST_P(ImportServiceContract, FindsNothingThatWasNotStarted) {
  ASSERT_THAT(service().start(intent("a")), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto found, service().find(intent("b")));
  EXPECT_FALSE(found);
}

TEST_P(ImportServiceContract, KnowsNoJobThatWasNotStarted) {
  EXPECT_THAT(service().status({"00000000000000000000000000000000", ""}),
              FailsWith("import.not_found", Fate::permanent));
}

TEST_P(ImportServiceContract, ImportsWhatIsThereAlreadyAgain) {
  ASSERT_OK_AND_ASSIGN(const RemoteJob first, service().start(intent("a")));
  wait_for(first);
  ASSERT_OK_AND_ASSIGN(const RemoteJob second, service().start(intent("b")));
  const RemoteStatus end = wait_for(second);

  ASSERT_OK_AND_ASSIGN(const auto outcomes, service().outcomes({second.id, end.output_prefix},
                                                               std::vector<Expected>{good_}));

  EXPECT_EQ(outcomes.at(0).kind, OutcomeKind::imported);
}

}  // namespace isthmus::test
