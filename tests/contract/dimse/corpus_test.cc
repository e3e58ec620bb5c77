// Real files, sent byte for byte: what is valid is kept as it came, what is not is answered.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "support/matchers.h"
#include "support/receiver_under_test.h"

namespace isthmus::test {
namespace {

std::vector<std::string> files_under(const std::filesystem::path& folder) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// One association a file: the class and the syntax of its meta information.
Result<RawResponse> send(ReceiverUnderTest& under_test, const RawFile& file) {
  TRY_ASSIGN(auto scu,
             under_test.associate(request_for(file.sop_class_uid, file.transfer_syntax_uid)));
  if (scu->accepted().count(3) == 0) return permanent_error("raw.context", "refused");
  TRY_ASSIGN(auto response, scu->store(3, file.sop_class_uid, file.sop_instance_uid, file.dataset));
  TRY(scu->release());
  return response;
}

TEST(Corpus, ValidFilesAreKeptByteForByte) {
  USE_SHARED(const auto shared);
  ReceiverUnderTest under_test;
  std::size_t stored = 0, other = 0;
  std::map<std::string, int> syntaxes;
  for (const auto* folder :
       {"studies", "transfer-syntax", "encapsulated", "charset", "modality", "edge"}) {
    for (const auto& path : files_under(shared / "dicom" / folder)) {
      const auto file = read_raw_file(path);
      if (!file.ok() || file->sop_class_uid == "1.2.840.10008.1.3.10") continue;  // DICOMDIR
      under_test.spool.clear();

      const auto response = send(under_test, *file);

      ASSERT_THAT(response, IsOk()) << path;
      if (response->status != 0) {
        ++other;
        // Without a study or series they have no place: colour palettes, and bare codec samples.
        // One file is not in the syntax it claims, one has a data set of another name (deflated).
        const std::string name = std::filesystem::path(path).filename().string();
        EXPECT_EQ(response->status, name == "SC_rgb_jpeg.dcm" ? 0xC000
                                    : name == "wave_dfl.dcm"  ? 0xA900
                                                              : 0xC001)
            << path;
        continue;
      }
      const auto instances = under_test.spool.instances();
      ASSERT_EQ(instances.size(), 1U) << path;
      ASSERT_EQ(instances.back().dataset() == file->dataset, true) << path;
      ++syntaxes[file->transfer_syntax_uid];
      ++stored;
    }
  }
  EXPECT_GT(stored, 700U);
  EXPECT_LT(other, 30U);
  EXPECT_GE(syntaxes.size(), 18U);
  EXPECT_EQ(under_test.spool.under_way(), 0U);
}

TEST(Corpus, HostileFilesAreAnsweredAndHarmNobody) {
  USE_SHARED(const auto shared);
  ReceiverUnderTest under_test;
  std::map<std::uint16_t, int> answers;
  for (const auto& path : files_under(shared / "dicom" / "hostile")) {
    const auto file = read_raw_file(path);
    if (!file.ok()) continue;

    const auto response = send(under_test, *file);

    if (!response.ok() && response.error().code == "raw.context") continue;
    if (!response.ok() && response.error().code == "raw.aborted") continue;  // a name of no UID
    ASSERT_THAT(response, IsOk()) << path;
    ++answers[response->status];
    EXPECT_THAT(response->status,
                ::testing::AnyOf(0, 0xA900, 0xC000, 0xC001, 0xC002, 0x0117, 0x0122))
        << path;
  }
  EXPECT_GE(answers[0xC000], 10);
  EXPECT_GT(answers[0], 10);
  EXPECT_THAT(under_test.echo(), IsOk());
  EXPECT_EQ(under_test.spool.under_way(), 0U);
}

}  // namespace
}  // namespace isthmus::test
