// How a job's output becomes outcomes, on a bucket in memory.
#include "imports/healthimaging.h"
#include "support/matchers.h"
#include "support/memory_object_store.h"
#include "support/scripted_transport.h"
#include "support/test_env.h"
#include "wire/healthimaging.h"

namespace isthmus {
namespace {

namespace wire_hi = wire::healthimaging;
using test::FailsWith;
using test::IsOk;
using test::MemoryObjectStore;
using testing::Optional;

const std::string kStore = "00112233445566778899aabbccddeeff";
const std::string kImageSet = "aaaabbbbccccddddeeeeffff00001111";

class JobOutput : public testing::Test {
 protected:
  JobOutput() {
    options_.endpoint = "http://127.0.0.1:1";
    options_.datastore_id = kStore;
    options_.bucket = "bucket";
    service_ = make_healthimaging_import(env_, transport_, *credentials_, bucket_, options_);
    manifest_.job_id = "j1";
    manifest_.success_output_s3_uri = "s3://bucket/" + folder_ + "SUCCESS/";
    manifest_.failure_output_s3_uri = "s3://bucket/" + folder_ + "FAILURE/";
    manifest_.warnings_output_s3_uri = "s3://bucket/" + folder_ + "WARNING/";
    for (const char* name : {"a", "b", "c"}) {
      expected_.push_back({DeliveryId::make(env_), ObjectKey{"in/" + std::string(name)}, Uid(), 0});
    }
  }
  void success(const std::string& name, std::optional<bool> primary = true) {
    success_ += wire_hi::print(wire_hi::SuccessLine{"in/" + name, kImageSet, 2, primary}) + "\n";
    ++manifest_.number_of_imported_files;
  }
  void failure(const std::string& name, const std::string& exception,
               const std::string& message = "why") {
    failure_ += wire_hi::print(wire_hi::FailureLine{"in/" + name, exception, message}) + "\n";
    ++manifest_.number_of_files_with_customer_error;
  }
  void warning(const std::string& name) {
    warning_ += wire_hi::print(wire_hi::WarningLine{{"in/" + name, kImageSet, 2, true},
                                                    {{45330, "InvalidOffsetTable", "odd"}}}) +
                "\n";
  }
  void write() {
    bucket_.plant({folder_ + "job-output-manifest.json"}, wire_hi::print(manifest_));
    if (!success_.empty()) bucket_.plant({folder_ + "SUCCESS/success.ndjson"}, success_);
    if (!failure_.empty()) bucket_.plant({folder_ + "FAILURE/failure.ndjson"}, failure_);
    if (!warning_.empty()) bucket_.plant({folder_ + "WARNING/warning.ndjson"}, warning_);
  }
  Result<std::vector<Outcome>> read() { return service_->outcomes({"j1", folder_}, expected_); }

  test::TestEnv env_;
  test::ScriptedTransport transport_;
  MemoryObjectStore bucket_;
  std::unique_ptr<CredentialsSource> credentials_ =
      make_static_credentials({"id", "secret", "", std::nullopt});
  HealthImagingOptions options_;
  std::unique_ptr<ImportService> service_;
  const std::string folder_ = "out/" + kStore + "-DicomImport-j1/";
  wire_hi::JobOutputManifest manifest_;
  std::string success_, failure_, warning_;
  std::vector<Expected> expected_;
};

TEST_F(JobOutput, GivesExactlyOneOutcomeEachInTheirOrder) {
  success("c");
  failure("a", "ValidationException", "DICOM attribute missing");
  write();

  ASSERT_OK_AND_ASSIGN(const auto outcomes, read());

  ASSERT_EQ(outcomes.size(), 3U);
  for (std::size_t at = 0; at < 3; ++at) EXPECT_EQ(outcomes[at].delivery, expected_[at].delivery);
  EXPECT_EQ(outcomes[0].kind, OutcomeKind::rejected);
  EXPECT_EQ(outcomes[0].reason_code, "ValidationException");
  EXPECT_EQ(outcomes[0].reason, "DICOM attribute missing");
  EXPECT_EQ(outcomes[1].kind, OutcomeKind::unaccounted);
  EXPECT_EQ(outcomes[1].reason_code, "import.not_mentioned");
  EXPECT_EQ(outcomes[2].kind, OutcomeKind::imported);
  EXPECT_EQ(outcomes[2].image_set_id, kImageSet);
  EXPECT_THAT(outcomes[2].image_set_version, Optional(2));
  EXPECT_THAT(outcomes[2].primary, Optional(true));
  EXPECT_EQ(outcomes[2].reason_code, "");
}

TEST_F(JobOutput, TellsPrimaryFromNotSaid) {
  success("a", false);
  success("b", std::nullopt);
  write();
  ASSERT_OK_AND_ASSIGN(const auto outcomes, read());
  EXPECT_THAT(outcomes[0].primary, Optional(false));
  EXPECT_FALSE(outcomes[1].primary);
}

TEST_F(JobOutput, BelievesSuccessOverFailure) {
  success("a");
  failure("a", "ValidationException");
  write();
  ASSERT_OK_AND_ASSIGN(const auto outcomes, read());
  EXPECT_EQ(outcomes[0].kind, OutcomeKind::imported);
  EXPECT_EQ(outcomes[0].reason, "");
}

TEST_F(JobOutput, KeepsWarningsOfWhatWasImported) {
  success("a");
  warning("a");
  warning("b");
  failure("c", "ValidationException");
  warning("c");
  write();
  ASSERT_OK_AND_ASSIGN(const auto outcomes, read());
  EXPECT_THAT(outcomes[0].warnings,
              testing::ElementsAre(OutcomeWarning{45330, "InvalidOffsetTable", "odd"}));
  // A warning alone says that the file was imported; against a failure it says nothing.
  EXPECT_EQ(outcomes[1].kind, OutcomeKind::imported);
  EXPECT_EQ(outcomes[1].image_set_id, kImageSet);
  EXPECT_EQ(outcomes[2].kind, OutcomeKind::rejected);
  EXPECT_TRUE(outcomes[2].warnings.empty());
}

TEST_F(JobOutput, TriesAgainWhatFailedOnTheServicesSide) {
  failure("a", "InternalServerException");
  failure("b", "ThrottlingException");
  failure("c", "");
  write();
  ASSERT_OK_AND_ASSIGN(const auto outcomes, read());
  for (const Outcome& outcome : outcomes) EXPECT_EQ(outcome.kind, OutcomeKind::unaccounted);
  EXPECT_EQ(outcomes[0].reason_code, "InternalServerException");
  EXPECT_EQ(outcomes[0].reason, "why");
  EXPECT_EQ(outcomes[2].reason_code, "import.unexplained");
}

TEST_F(JobOutput, CutsReasonsBetweenCharacters) {
  std::string umlauts;
  for (int at = 0; at < 600; ++at) umlauts += "\xC3\xBC";
  failure("a", "ValidationException", umlauts);
  write();
  ASSERT_OK_AND_ASSIGN(const auto outcomes, read());
  EXPECT_EQ(outcomes[0].reason.size(), 1000U);
}

TEST_F(JobOutput, CountsFilesNobodyAskedForAndLogsNoReasons) {
  success("a");
  success("stranger");
  failure("readme.txt", "ValidationException", "SECRET");
  failure("b", "ValidationException", "SECRET");
  write();

  ASSERT_OK_AND_ASSIGN(const auto outcomes, read());

  EXPECT_EQ(outcomes.size(), 3U);
  EXPECT_TRUE(env_.log.contains("import.output_read"));
  EXPECT_TRUE(env_.log.contains("unknown_files=2"));
  EXPECT_TRUE(env_.log.contains("imported=1 rejected=1 unaccounted=1"));
  EXPECT_FALSE(env_.log.contains("SECRET"));
}

TEST_F(JobOutput, IsLateWithoutAManifest) {
  EXPECT_THAT(read(), FailsWith("import.output_missing", Fate::transient));
}

TEST_F(JobOutput, IsLateWithoutTheFilesTheManifestCounts) {
  manifest_.number_of_imported_files = 1;
  write();
  EXPECT_THAT(read(), FailsWith("import.output_missing", Fate::transient));

  manifest_.number_of_imported_files = 0;
  manifest_.number_of_files_with_server_error = 1;
  write();
  EXPECT_THAT(read(), FailsWith("import.output_missing", Fate::transient));
}

TEST_F(JobOutput, MayLackFilesThatWouldBeEmpty) {
  write();
  ASSERT_OK_AND_ASSIGN(const auto outcomes, read());
  for (const Outcome& outcome : outcomes) EXPECT_EQ(outcome.kind, OutcomeKind::unaccounted);
}

TEST_F(JobOutput, IsReadFromBeforeWarnings) {
  success("a");
  manifest_.warnings_output_s3_uri.reset();
  write();
  ASSERT_OK_AND_ASSIGN(const auto outcomes, read());
  EXPECT_EQ(outcomes[0].kind, OutcomeKind::imported);
}

TEST_F(JobOutput, IsFoundUnderTheFolderThatWasAskedFor) {
  success("a");
  write();
  ASSERT_OK_AND_ASSIGN(const auto outcomes, service_->outcomes({"j1", "out/"}, expected_));
  EXPECT_EQ(outcomes[0].kind, OutcomeKind::imported);
}

TEST_F(JobOutput, IsRefusedWhenTorn) {
  success("a");
  success("b");
  write();
  const std::string manifest = *bucket_.bytes_of({folder_ + "job-output-manifest.json"});
  bucket_.plant({folder_ + "job-output-manifest.json"}, manifest.substr(0, manifest.size() - 3));
  EXPECT_THAT(read(), FailsWith("import.output_unreadable", Fate::permanent));

  bucket_.plant({folder_ + "job-output-manifest.json"}, manifest);
  bucket_.plant({folder_ + "SUCCESS/success.ndjson"}, success_.substr(0, success_.size() - 5));
  EXPECT_THAT(read(), FailsWith("import.output_unreadable", Fate::permanent));
}

TEST_F(JobOutput, OfAnotherJobIsNotOurs) {
  manifest_.job_id = "j2";
  write();
  EXPECT_THAT(read(), FailsWith("import.output_unreadable"));
}

TEST_F(JobOutput, IsNotSoughtInAnotherBucket) {
  manifest_.success_output_s3_uri = "s3://another/x/";
  write();
  EXPECT_THAT(read(), FailsWith("import.output_unreadable"));
}

TEST_F(JobOutput, MayEndWithoutALineFeedAndHaveEmptyLines) {
  success("a");
  success("b");
  success_.pop_back();
  success_ = "\n\r\n" + success_;
  write();
  ASSERT_OK_AND_ASSIGN(const auto outcomes, read());
  EXPECT_EQ(outcomes[0].kind, OutcomeKind::imported);
  EXPECT_EQ(outcomes[1].kind, OutcomeKind::imported);
}

TEST_F(JobOutput, IsReadInPiecesWhateverItsLength) {
  for (int at = 0; at < 5000; ++at) success("other-" + std::to_string(at));
  success("a");
  write();
  ASSERT_GT(success_.size(), 64 * KiB);
  ASSERT_OK_AND_ASSIGN(const auto outcomes, read());
  EXPECT_EQ(outcomes[0].kind, OutcomeKind::imported);
  EXPECT_TRUE(env_.log.contains("unknown_files=5000"));
}

TEST_F(JobOutput, WithALineThatDoesNotEndIsRefused) {
  success_ = std::string(static_cast<std::size_t>(3 * MiB), ' ');
  write();
  EXPECT_THAT(read(), FailsWith("import.output_unreadable"));
}

TEST_F(JobOutput, PassesOnWhatTheBucketSays) {
  success("a");
  write();
  bucket_.refuse(MemoryObjectStore::Call::get, MemoryObjectStore::slow_down());
  EXPECT_THAT(read(), FailsWith("store.slow_down", Fate::transient));
  EXPECT_THAT(read(), IsOk());
}

}  // namespace
}  // namespace isthmus
