#include "dicom/preflight.h"

#include <gmock/gmock.h>

#include "support/dicom_factory.h"
#include "support/matchers.h"

namespace isthmus::dicom {
namespace {

using test::DicomRecipe;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> codes_of(const std::string& file, const PreflightRules& rules = {}) {
  const auto source = source_of(file);
  const auto findings = preflight(*source, rules);
  EXPECT_THAT(findings, test::IsOk());
  std::vector<std::string> codes;
  if (!findings.ok()) return codes;
  for (const PreflightFinding& one : *findings) codes.push_back(one.code);
  return codes;
}

std::vector<std::string> codes_of(const DicomRecipe& recipe, const PreflightRules& rules = {}) {
  return codes_of(test::make_part10(recipe), rules);
}

TEST(Preflight, NothingSpeaksAgainstAnOrdinaryFile) {
  EXPECT_THAT(codes_of(DicomRecipe{}), IsEmpty());
}

TEST(Preflight, ReadsEverySyntaxThatIsImported) {
  for (const std::string_view syntax :
       {test::kImplicitLittle, test::kExplicitLittle, test::kDeflated, test::kExplicitBig}) {
    DicomRecipe recipe;
    recipe.transfer_syntax_uid = syntax;
    EXPECT_THAT(codes_of(recipe), IsEmpty()) << syntax;
    recipe.accession_number = std::string(17, 'A');
    EXPECT_THAT(codes_of(recipe), ElementsAre("preflight.element_too_long")) << syntax;
  }
}

TEST(Preflight, FindsASyntaxThatIsNotImported) {
  DicomRecipe recipe;
  recipe.transfer_syntax_uid = "1.2.840.10008.1.2.4.110";  // JPEG XL Lossless
  const PreflightRules any{.only_importable_syntaxes = false};

  EXPECT_THAT(codes_of(recipe), testing::Contains("preflight.transfer_syntax"));
  EXPECT_THAT(codes_of(recipe, any), Not(testing::Contains("preflight.transfer_syntax")));
}

TEST(Preflight, FindsWhatIsTooLarge) {
  EXPECT_THAT(codes_of(DicomRecipe{}, {.most_bytes = 100}), ElementsAre("preflight.too_large"));
}

TEST(Preflight, FindsUidsThatOnlyWeTolerate) {
  for (const char* uid : {"1.2.03.4", "1..2", "1.2.", "1.2a.3"}) {
    DicomRecipe recipe;
    recipe.series_instance_uid = uid;
    EXPECT_THAT(codes_of(recipe), ElementsAre("preflight.uid_syntax")) << uid;
  }
  DicomRecipe recipe;
  recipe.study_instance_uid = "1." + std::string(63, '2');
  EXPECT_THAT(codes_of(recipe), ElementsAre("preflight.uid_syntax"));
}

TEST(Preflight, FindsRequiredElementsThatAreEmpty) {
  DicomRecipe recipe;
  recipe.study_instance_uid = "";
  EXPECT_THAT(codes_of(recipe), ElementsAre("preflight.missing_element"));
  recipe.series_instance_uid = "";
  EXPECT_THAT(codes_of(recipe),
              ElementsAre("preflight.missing_element", "preflight.missing_element"));
}

TEST(Preflight, FindsWhatIsTooLong) {
  const struct {
    std::string DicomRecipe::*member;
    std::size_t most;
  } kCases[] = {{&DicomRecipe::patient_id, 64},
                {&DicomRecipe::patient_name, 64},
                {&DicomRecipe::study_description, 64},
                {&DicomRecipe::accession_number, 16}};
  for (const auto& one : kCases) {
    DicomRecipe recipe;
    recipe.*one.member = std::string(one.most, 'X');
    EXPECT_THAT(codes_of(recipe), IsEmpty()) << one.most;
    recipe.*one.member = std::string(one.most + 1, 'X');
    EXPECT_THAT(codes_of(recipe), ElementsAre("preflight.element_too_long")) << one.most;
  }
}

TEST(Preflight, CountsAPersonsNameByItsComponentGroups) {
  DicomRecipe recipe;
  recipe.patient_name = std::string(64, 'A') + "=" + std::string(64, 'B');
  EXPECT_THAT(codes_of(recipe), IsEmpty());
  recipe.patient_name = std::string(64, 'A') + "=" + std::string(65, 'B');
  EXPECT_THAT(codes_of(recipe), ElementsAre("preflight.element_too_long"));
}

TEST(Preflight, NamesTheTagAndNoValue) {
  DicomRecipe recipe;
  recipe.patient_id = "SECRET" + std::string(80, 'X');
  const auto source = source_of(test::make_part10(recipe));

  ASSERT_OK_AND_ASSIGN(const auto findings, preflight(*source, {}));

  ASSERT_EQ(findings.size(), 1u);
  EXPECT_THAT(findings[0].message, HasSubstr("(0010,0020)"));
  EXPECT_THAT(findings[0].message, Not(HasSubstr("SECRET")));
}

TEST(Preflight, FindsWhatIsNoPart10File) {
  EXPECT_THAT(codes_of(std::string("this is no DICOM file")), ElementsAre("preflight.unreadable"));
}

}  // namespace
}  // namespace isthmus::dicom
