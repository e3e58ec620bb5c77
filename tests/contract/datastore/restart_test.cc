// Killed anywhere, the store goes on: at a failpoint its folder is copied as a sudden death would
// leave it, and a second store is opened on the copy.
#include <filesystem>

#include "base/failpoint.h"
#include "contract/datastore/store_kit.h"

namespace isthmus {
namespace {

using nlohmann::json;
using test::Answer;
using test::FakeInstance;
using test::StoreKit;

namespace hi = wire::healthimaging;
namespace fs = std::filesystem;

// The catalogue's index of its log (-shm) lives in memory that a dead process shares with nobody.
void copy_as_death_leaves_it(const fs::path& from, const fs::path& to) {
  fs::create_directories(to);
  for (const auto& entry : fs::recursive_directory_iterator(from)) {
    const fs::path target = to / fs::relative(entry.path(), from);
    if (entry.is_directory()) {
      fs::create_directories(target);
    } else if (entry.path().extension() != ".sqlite-shm") {
      std::error_code gone;  // a part file may be renamed meanwhile
      fs::copy_file(entry.path(), target, gone);
    }
  }
}

class Restart : public ::testing::Test {
 protected:
  ~Restart() override { disarm_failpoints(); }

  void die_at(Failpoint point, int nth = 1) {
    arm_failpoint(point, nth, [this] {
      copy_as_death_leaves_it(kit.env().folder() / "store", kit.env().folder() / "after");
      died = true;
    });
  }
  void open_after() {
    disarm_failpoints();
    ASSERT_TRUE(died) << "the failpoint was not reached";
    kit.open("after");
  }

  StoreKit kit;
  std::atomic<bool> died{false};
};

TEST_F(Restart, ForgetsBytesThatNoRowNames) {
  kit.s3("PUT", "/bucket-1");
  die_at(Failpoint::datastore_blob_written);
  kit.s3("PUT", "/bucket-1/k", "bytes");

  open_after();

  EXPECT_EQ(kit.s3("GET", "/bucket-1/k").status, 404);
  std::size_t files = 0;
  for (const auto& entry :
       fs::recursive_directory_iterator(kit.env().folder() / "after" / "blobs")) {
    files += entry.is_regular_file() ? 1 : 0;
  }
  EXPECT_EQ(files, 0U);
}

TEST_F(Restart, HasTheObjectWhosePutWasNotAnsweredYet) {
  kit.s3("PUT", "/bucket-1");
  die_at(Failpoint::datastore_object_put);
  kit.s3("PUT", "/bucket-1/k", "bytes");

  open_after();

  EXPECT_EQ(kit.s3("GET", "/bucket-1/k").body, "bytes");
}

class RestartInAJob : public Restart,
                      public ::testing::WithParamInterface<std::pair<Failpoint, int>> {};

TEST_P(RestartInAJob, GoesOnAndImportsEveryFileOnce) {
  const std::string data_store = kit.make_data_store();
  for (int i = 1; i <= 6; ++i) {
    FakeInstance instance;
    instance.sop = "1.2.3.1." + std::to_string(i);
    instance.series = i <= 4 ? "1.2.3.1" : "1.2.3.2";
    kit.s3("PUT", "/in-bucket/a/" + std::to_string(i), instance.text());
  }
  kit.s3("PUT", "/in-bucket/a/bad", R"({"ok":false,"exceptionType":"ValidationException"})");
  die_at(GetParam().first, GetParam().second);
  const std::string started = kit.start_import(data_store, "a", "token");
  kit.store().start();
  kit.wait_for(data_store, started);

  open_after();
  const std::string job = kit.start_import(data_store, "a", "token");
  kit.store().start();
  const json ended = kit.wait_for(data_store, job);

  EXPECT_EQ(job, started);
  EXPECT_EQ(ended["jobStatus"], "COMPLETED");
  const json manifest = kit.manifest(ended);
  EXPECT_EQ(manifest["numberOfScannedFiles"], 7);
  EXPECT_EQ(manifest["numberOfImportedFiles"], 6);
  EXPECT_EQ(kit.lines(ended, "SUCCESS/success.ndjson").size(), 6U);
  EXPECT_EQ(kit.lines(ended, "FAILURE/failure.ndjson").size(), 1U);
  ASSERT_EQ(manifest["imageSetsSummary"].size(), 2U);
  std::int64_t instances = 0;
  for (const json& set : manifest["imageSetsSummary"]) {
    EXPECT_EQ(set["imageSetVersion"], 1) << "imported twice";
    const json versions = kit.imaging(hi::to_call(hi::ListImageSetVersionsRequest{
                                          data_store, set.value("imageSetId", ""), {}, {}}))
                              .json();
    EXPECT_EQ(versions["imageSetPropertiesList"].size(), 1U);
    instances += set.value("numberOfMatchedSOPInstances", 0);
  }
  EXPECT_EQ(instances, 6);
  const json jobs =
      kit.imaging(hi::to_call(hi::ListDICOMImportJobsRequest{data_store, {}, {}, {}})).json();
  EXPECT_EQ(jobs["jobSummaries"].size(), 1U);
  const json found =
      kit.imaging("POST", "/datastore/" + data_store + "/searchImageSets", "{}").json();
  EXPECT_EQ(found["imageSetsMetadataSummaries"].size(), 2U);
  EXPECT_EQ(
      found["imageSetsMetadataSummaries"][0]["DICOMTags"]["DICOMNumberOfStudyRelatedInstances"], 6);
}

INSTANTIATE_TEST_SUITE_P(EveryPoint, RestartInAJob,
                         ::testing::Values(std::pair(Failpoint::datastore_job_accepted, 1),
                                           std::pair(Failpoint::datastore_file_examined, 1),
                                           std::pair(Failpoint::datastore_file_examined, 4),
                                           std::pair(Failpoint::datastore_image_sets_published, 1),
                                           std::pair(Failpoint::datastore_object_put, 1),
                                           std::pair(Failpoint::datastore_object_put, 3),
                                           std::pair(Failpoint::datastore_manifest_written, 1)),
                         [](const auto& point) {
                           std::string name(to_string(point.param.first));
                           std::ranges::replace(name, '.', '_');
                           return name + "_" + std::to_string(point.param.second);
                         });

TEST_F(Restart, StoppedInAJobGoesOnInTheSameProcess) {
  const std::string data_store = kit.make_data_store();
  FakeInstance instance;
  kit.s3("PUT", "/in-bucket/a/1", instance.text());
  const std::string job = kit.start_import(data_store, "a", "token");
  kit.store().start();
  kit.store().stop();
  kit.store().stop();

  kit.store().start();

  EXPECT_EQ(kit.wait_for(data_store, job)["jobStatus"], "COMPLETED");
}

// Nothing of a job is visible before all of it is.
TEST_F(Restart, ShowsNothingOfAJobBeforeItIsPublished) {
  const std::string data_store = kit.make_data_store();
  for (int i = 1; i <= 3; ++i) {
    FakeInstance instance;
    instance.sop = "1.2.3.1." + std::to_string(i);
    kit.s3("PUT", "/in-bucket/a/" + std::to_string(i), instance.text());
  }
  std::size_t seen = 99;
  arm_failpoint(Failpoint::datastore_file_examined, 3, [&] {
    const Answer answer =
        kit.imaging("POST", "/datastore/" + data_store + "/searchImageSets", "{}");
    seen = answer.json()["imageSetsMetadataSummaries"].size();
  });
  const std::string job = kit.start_import(data_store, "a", "token");

  kit.store().start();
  kit.wait_for(data_store, job);

  EXPECT_EQ(seen, 0U);
}

}  // namespace
}  // namespace isthmus
