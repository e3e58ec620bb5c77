#include "intake/instance_intake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/dicom_factory.h"
#include "support/intake_spool.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

class Intake : public ::testing::Test {
 protected:
  // A Part 10 file in pieces of this size.
  Result<Receipt> receive_file(std::string_view file, std::size_t piece_bytes,
                               std::uint64_t most = MiB) {
    InstanceIntake intake(spool_, origin_, most);
    intake.file_follows();
    append(intake, file, piece_bytes);
    return conclude(intake);
  }
  static void append(InstanceIntake& intake, std::string_view bytes, std::size_t piece_bytes) {
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece_bytes, bytes.size()))) {
      intake.append(as_bytes(bytes.substr(0, piece_bytes)));
    }
  }
  static Result<Receipt> conclude(InstanceIntake& intake) {
    TRY_ASSIGN(const Identity* identity, intake.identify());
    EXPECT_FALSE(identity->sop_instance_uid.text().empty());
    return intake.commit({});
  }

  TestEnv env_;
  IntakeSpool spool_{env_};
  Origin origin_{"stow", "", "", "", ""};
};

TEST_F(Intake, KeepsAFileByteForByteWhereverItIsCut) {
  for (const std::string_view syntax :
       {kExplicitLittle, kImplicitLittle, kExplicitBig, kDeflated, kJpegBaseline, kHtj2kLossless}) {
    DicomRecipe recipe;
    recipe.transfer_syntax_uid = syntax;
    const std::string file = make_part10(recipe);
    for (const std::size_t piece : {std::size_t{1}, std::size_t{133}, std::size_t{1 << 20}}) {
      spool_.clear();

      ASSERT_THAT(receive_file(file, piece), IsOk()) << syntax << " by " << piece;

      const auto kept = spool_.instance(recipe.sop_instance_uid);
      ASSERT_TRUE(kept);
      EXPECT_TRUE(kept->bytes == file);
      EXPECT_EQ(kept->identified.transfer_syntax_uid, syntax);
      EXPECT_TRUE(kept->dataset() == make_dataset(recipe));
      EXPECT_EQ(kept->identified.dataset_offset_bytes, kept->dataset_began);
    }
  }
}

TEST_F(Intake, TakesAFileThatIsLongerThanAnyHead) {
  DicomRecipe recipe;
  recipe.rows = recipe.columns = 512;
  const std::string file = make_part10(recipe);

  ASSERT_THAT(receive_file(file, 64 * KiB), IsOk());

  EXPECT_TRUE(spool_.instance(recipe.sop_instance_uid)->bytes == file);
}

TEST_F(Intake, PutsAHeaderBeforeADataSet) {
  const DicomRecipe recipe;
  const std::string dataset = make_dataset(recipe);
  InstanceIntake intake(spool_, origin_, MiB);
  intake.dataset_follows(
      {recipe.sop_class_uid, recipe.sop_instance_uid, recipe.transfer_syntax_uid, "", ""});
  append(intake, dataset, 100);

  ASSERT_THAT(conclude(intake), IsOk());

  const auto kept = spool_.instance(recipe.sop_instance_uid);
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->dataset(), dataset);
  const auto head = dicom::read_file_head(as_bytes(kept->bytes));
  ASSERT_THAT(head, IsOk());
  EXPECT_EQ(head->media_storage_sop_instance_uid, recipe.sop_instance_uid);
}

TEST_F(Intake, LeavesNothingOfWhatIsNoInstance) {
  DicomRecipe nameless;
  nameless.study_instance_uid = "";
  const std::string whole = make_part10({});
  EXPECT_THAT(receive_file("", 1), FailsWith("dicom.not_part10"));
  EXPECT_THAT(receive_file("words", 2), FailsWith("dicom.not_part10"));
  EXPECT_THAT(receive_file(std::string(200'000, 'x'), 999), FailsWith("dicom.not_part10"));
  EXPECT_THAT(receive_file(whole.substr(0, 140), 9), FailsWith("dicom.unreadable"));
  EXPECT_THAT(receive_file(make_part10(nameless), 64), FailsWith("dicom.missing_uid"));
  EXPECT_THAT(receive_file(whole, 64, whole.size() - 1), FailsWith("dicom.instance_too_large"));

  EXPECT_TRUE(spool_.instances().empty());
  EXPECT_EQ(spool_.under_way(), 0U);
}

TEST_F(Intake, KnowsWhoseBytesTheSpoolRefused) {
  const DicomRecipe recipe;
  spool_.refuse_begin(transient_error("spool.full", "full"));
  InstanceIntake intake(spool_, origin_, MiB);
  intake.file_follows();
  append(intake, make_part10(recipe), 500);

  EXPECT_THAT(intake.identify(), FailsWith("spool.full"));
  EXPECT_EQ(intake.seen_sop_instance_uid(), recipe.sop_instance_uid);
  EXPECT_EQ(intake.seen_sop_class_uid(), recipe.sop_class_uid);
}

TEST_F(Intake, AsksForTheRouteBeforeItCommits) {
  DicomRecipe recipe;
  recipe.institution_name = "Ward";
  RouteAttributes asked;
  InstanceIntake intake(spool_, origin_, MiB);
  intake.file_follows();
  append(intake, make_part10(recipe), 4096);
  ASSERT_THAT(intake.identify(), IsOk());

  const auto route = [&](RouteAttributes attributes) {
    asked = std::move(attributes);
    return std::optional(std::vector<std::string>{"archive"});
  };
  ASSERT_THAT(intake.commit(route), IsOk());

  EXPECT_EQ(asked.modality, "CT");
  EXPECT_EQ(asked.institution_name, "Ward");
  EXPECT_THAT(spool_.instance(recipe.sop_instance_uid)->identified.destinations,
              ::testing::Optional(::testing::ElementsAre("archive")));
}

}  // namespace
}  // namespace isthmus::test
