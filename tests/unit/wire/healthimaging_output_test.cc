// The files an import job leaves in its bucket; the examples are those of contracts/healthimaging,
// section 3.
#include "support/matchers.h"
#include "wire/healthimaging.h"

namespace isthmus::wire::healthimaging {
namespace {

using test::FailsWith;
using testing::Eq;
using testing::Optional;

const std::string kImageSet = "aaaabbbbccccddddeeeeffff00001111";

TEST(JobFolder, IsMadeOfTheIdsAndAlwaysEndsInASlash) {
  EXPECT_EQ(job_folder("s3://b/out", "ds", "job"), "s3://b/out/ds-DicomImport-job/");
  EXPECT_EQ(job_folder("s3://b/out/", "ds", "job"), "s3://b/out/ds-DicomImport-job/");
}

TEST(S3Uris, AreTakenApart) {
  const auto uri = parse_s3_uri("s3://my-bucket/a/b/");
  ASSERT_TRUE(uri);
  EXPECT_EQ(uri->bucket, "my-bucket");
  EXPECT_EQ(uri->key, "a/b/");
  EXPECT_EQ(print(*uri), "s3://my-bucket/a/b/");
  EXPECT_EQ(parse_s3_uri("s3://my-bucket")->key, "");
  for (const char* wrong : {"", "s3://", "s3://B/x", "http://my-bucket/a", "my-bucket/a"}) {
    EXPECT_FALSE(parse_s3_uri(wrong)) << wrong;
  }
}

JobOutputManifest example() {
  const std::string folder = "s3://stage-out/batch-7/ds-DicomImport-job/";
  return {"job",
          "ds",
          "s3://stage-in/batch-7/files/",
          folder,
          folder + "SUCCESS/",
          folder + "FAILURE/",
          folder + "WARNING/",
          4,
          3,
          1,
          0,
          1,
          {{kImageSet, 1, true, 3}}};
}

TEST(Manifest, IsPrintedAsTheServiceDoes) {
  EXPECT_EQ(
      print(example()),
      R"({"jobSummary":{"jobId":"job","datastoreId":"ds",)"
      R"("inputS3Uri":"s3://stage-in/batch-7/files/",)"
      R"("outputS3Uri":"s3://stage-out/batch-7/ds-DicomImport-job/",)"
      R"("successOutputS3Uri":"s3://stage-out/batch-7/ds-DicomImport-job/SUCCESS/",)"
      R"("failureOutputS3Uri":"s3://stage-out/batch-7/ds-DicomImport-job/FAILURE/",)"
      R"("warningsOutputS3Uri":"s3://stage-out/batch-7/ds-DicomImport-job/WARNING/",)"
      R"("numberOfScannedFiles":4,"numberOfImportedFiles":3,"numberOfFilesWithCustomerError":1,)"
      R"("numberOfFilesWithServerError":0,"numberOfGeneratedImageSets":1,"imageSetsSummary":[)"
      R"({"imageSetId":"aaaabbbbccccddddeeeeffff00001111","imageSetVersion":1,"isPrimary":true,)"
      R"("numberOfMatchedSOPInstances":3}]}})");
}

TEST(Manifest, IsReadAsItWasPrinted) {
  ASSERT_OK_AND_ASSIGN(const JobOutputManifest read, parse_manifest(print(example())));
  EXPECT_EQ(print(read), print(example()));
}

TEST(Manifest, IsReadFromBeforeWarningsAndPrimaries) {
  ASSERT_OK_AND_ASSIGN(
      const JobOutputManifest read,
      parse_manifest(R"({"jobSummary":{"jobId":"job","outputS3Uri":"s3://b-1/o/",)"
                     R"("warningsOutputS3Uri":null,"imageSetsSummary":[{"imageSetId":"x"}]}})"));
  EXPECT_FALSE(read.warnings_output_s3_uri);
  ASSERT_EQ(read.image_sets.size(), 1U);
  EXPECT_FALSE(read.image_sets[0].is_primary);
  EXPECT_FALSE(read.image_sets[0].image_set_version);
}

TEST(Manifest, IsRefusedWhenTorn) {
  const std::string whole = print(example());
  for (const std::size_t size : {std::size_t{0}, whole.size() / 2, whole.size() - 1}) {
    EXPECT_THAT(parse_manifest(whole.substr(0, size)), FailsWith("healthimaging.malformed"));
  }
  EXPECT_THAT(parse_manifest("{}"), FailsWith("healthimaging.malformed"));
}

TEST(OutputLines, OfSuccess) {
  const std::string text =
      R"({"inputFile":"batch-7/files/0001.dcm","importResponse":{"imageSetId":)"
      R"("aaaabbbbccccddddeeeeffff00001111","imageSetVersion":1,"isPrimary":true}})";
  ASSERT_OK_AND_ASSIGN(const SuccessLine line, parse_success_line(text));
  EXPECT_EQ(line.input_file, "batch-7/files/0001.dcm");
  EXPECT_EQ(line.image_set_id, kImageSet);
  EXPECT_THAT(line.image_set_version, Optional(1));
  EXPECT_THAT(line.is_primary, Optional(true));
  EXPECT_EQ(print(line), text);
}

TEST(OutputLines, OfSuccessWithoutVersionAndPrimary) {
  ASSERT_OK_AND_ASSIGN(
      const SuccessLine line,
      parse_success_line(R"({"inputFile":"f","importResponse":{"imageSetId":"x"}})"));
  EXPECT_FALSE(line.image_set_version);
  EXPECT_FALSE(line.is_primary);
}

TEST(OutputLines, OfFailure) {
  const std::string text =
      R"({"inputFile":"batch-7/files/readme.txt","exception":{"exceptionType":)"
      R"("ValidationException","message":"DICOM attribute TransferSyntaxUID does not exist"}})";
  ASSERT_OK_AND_ASSIGN(const FailureLine line, parse_failure_line(text));
  EXPECT_EQ(line.input_file, "batch-7/files/readme.txt");
  EXPECT_EQ(line.exception_type, "ValidationException");
  EXPECT_EQ(line.message, "DICOM attribute TransferSyntaxUID does not exist");
  EXPECT_EQ(print(line), text);
}

TEST(OutputLines, OfWarning) {
  const std::string text =
      R"({"inputFile":"batch-7/files/0003.dcm","importResponse":{"imageSetId":)"
      R"("aaaabbbbccccddddeeeeffff00001111","imageSetVersion":1,"isPrimary":true,"warnings":[)"
      R"({"warning_reason_code":45330,"type":"InvalidOffsetTable","message":"The file was )"
      R"(imported but contains an invalid offset table."}]}})";
  ASSERT_OK_AND_ASSIGN(const WarningLine line, parse_warning_line(text));
  EXPECT_EQ(line.imported.input_file, "batch-7/files/0003.dcm");
  ASSERT_EQ(line.warnings.size(), 1U);
  EXPECT_EQ(line.warnings[0].reason_code, 45330);
  EXPECT_EQ(line.warnings[0].type, "InvalidOffsetTable");
  EXPECT_EQ(print(line), text);
}

TEST(OutputLines, AreRefusedWhenTheyDoNotNameTheirFile) {
  EXPECT_THAT(parse_success_line(R"({"importResponse":{"imageSetId":"x"}})"),
              FailsWith("healthimaging.malformed"));
  EXPECT_THAT(parse_success_line(R"({"inputFile":"f"})"), FailsWith("healthimaging.malformed"));
  EXPECT_THAT(parse_failure_line(R"({"exception":{}})"), FailsWith("healthimaging.malformed"));
  EXPECT_THAT(parse_warning_line("{\"inputFile\":\"f\""), FailsWith("healthimaging.malformed"));
}

}  // namespace
}  // namespace isthmus::wire::healthimaging
