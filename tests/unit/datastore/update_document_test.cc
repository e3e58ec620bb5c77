#include "datastore/engine/update_document.h"

#include "support/matchers.h"

namespace isthmus::datastore {
namespace {

using test::FailsWith;
using test::IsOk;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const Dictionary kDictionary = {
    {"PatientName", {"PN", false, Level::patient}},
    {"PatientBirthDate", {"DA", false, Level::patient}},
    {"StudyID", {"SH", false, Level::study}},
    {"StudyDescription", {"LO", false, Level::study}},
    {"SeriesNumber", {"IS", false, Level::series}},
    {"SOPInstanceUID", {"UI", false, Level::instance}},
    {"ImageType", {"CS", true, Level::instance}},
    {"Rows", {"US", false, Level::instance}},
    {"SliceThickness", {"DS", false, Level::instance}},
    {"SourceImageSequence", {"SQ", false, Level::instance}},
};

Result<void> checked(const std::string& text, bool forced = false,
                     UpdatePurpose purpose = UpdatePurpose::insert_or_replace) {
  TRY_ASSIGN(const UpdateDocument document, parse_update_document(text));
  return check_update(document, kDictionary, purpose, forced);
}

std::string patient(const std::string& elements) {
  return R"({"SchemaVersion":1.1,"Patient":{"DICOM":{)" + elements + "}}}";
}
std::string instance(const std::string& content) {
  return R"({"SchemaVersion":"1.1","Study":{"Series":{"1.2":{"Instances":{"1.3":)" + content +
         "}}}}}";
}

TEST(UpdateDocument, IsReadLevelByLevel) {
  const auto read = parse_update_document(
      R"({"SchemaVersion":1.1,"Patient":{"DICOM":{"PatientName":"A"}},"Study":{"DICOM":)"
      R"({"StudyID":"1"},"Series":{"1.2":{"DICOM":{"SeriesNumber":"3"},"Instances":{"1.3":)"
      R"({"DICOM":{"00191001":"x"},"DICOMVRs":{"00191001":"LO"}},"1.4":{}}}}}})");

  ASSERT_THAT(read, IsOk());
  EXPECT_THAT(read->keys(), ElementsAre("00191001", "PatientName", "SeriesNumber", "StudyID"));
  EXPECT_TRUE(read->series.at("1.2").instances.at("1.4").named_only());
  EXPECT_EQ(read->series.at("1.2").instances.at("1.3").vrs["00191001"], "LO");
}

TEST(UpdateDocument, RefusesWhatIsNotItsForm) {
  for (const char* text :
       {"", "[]", "{", "{}", R"({"SchemaVersion":1.2})",
        R"({"SchemaVersion":1.1,"ImageSetID":"x"})", R"({"SchemaVersion":1.1,"Patient":[]})",
        R"({"SchemaVersion":1.1,"Patient":{"PatientName":"A"}})",
        R"({"SchemaVersion":1.1,"Study":{"Series":{"not a uid":{}}}})",
        R"({"SchemaVersion":1.1,"Study":{"Series":{"1.2":{"Instances":[]}}}})",
        R"({"SchemaVersion":1.1,"Study":{"Series":{"1.2":{"Instances":{"1.3":{"Frames":1}}}}}})"}) {
    EXPECT_THAT(parse_update_document(text), FailsWith("datastore.change_refused")) << text;
  }
  const std::string deep = std::string(2000, '[') + std::string(2000, ']');
  EXPECT_THAT(parse_update_document(R"({"SchemaVersion":1.1,"x":)" + deep + "}"),
              FailsWith("datastore.change_refused"));
}

TEST(UpdateDocument, HoldsValuesAgainstTheirVr) {
  EXPECT_THAT(checked(patient(R"("PatientBirthDate":"20240131")")), IsOk());
  EXPECT_THAT(checked(patient(R"("PatientBirthDate":null)")), IsOk());
  EXPECT_THAT(checked(patient(R"("PatientBirthDate":"yesterday")")),
              FailsWith("datastore.change_refused"));
  EXPECT_THAT(checked(patient(R"("PatientBirthDate":20240131)")),
              FailsWith("datastore.change_refused"));
  EXPECT_THAT(checked(instance(R"({"DICOM":{"Rows":512}})")), IsOk());
  EXPECT_THAT(checked(instance(R"({"DICOM":{"Rows":"512"}})")),
              FailsWith("datastore.change_refused"));
  EXPECT_THAT(checked(instance(R"({"DICOM":{"SliceThickness":"1.5e0"}})")), IsOk());
  EXPECT_THAT(checked(instance(R"({"DICOM":{"SliceThickness":"thin"}})")),
              FailsWith("datastore.change_refused"));
  EXPECT_THAT(checked(instance(R"({"DICOM":{"SliceThickness":"thin"}})"), true), IsOk());
}

TEST(UpdateDocument, HasElementsAtTheirOwnLevelOnly) {
  EXPECT_THAT(checked(patient(R"("StudyDescription":"x")")), FailsWith("datastore.change_refused"));
  EXPECT_THAT(checked(patient(R"("StudyDescription":"x")"), true),
              FailsWith("datastore.change_refused"));
  EXPECT_THAT(checked(patient(R"("00191001":"x")"), true), FailsWith("datastore.change_refused"));
}

TEST(UpdateDocument, NeedsForceForWhatTheGuideNames) {
  for (const char* content :
       {R"({"DICOM":{"SOPInstanceUID":"1.9"}})", R"({"DICOM":{"ImageType":["A","B"]}})",
        R"({"DICOM":{"SourceImageSequence":[{}]}})", R"({"DICOM":{"00191001":"x"}})",
        R"({"DICOM":{"00180050":"x"}})"}) {
    EXPECT_THAT(checked(instance(content)), FailsWith("datastore.change_refused")) << content;
    EXPECT_THAT(checked(instance(content), true), IsOk()) << content;
  }
  EXPECT_THAT(checked(instance("{}"), false, UpdatePurpose::remove),
              FailsWith("datastore.change_refused"));
  EXPECT_THAT(checked(instance("{}"), true, UpdatePurpose::remove), IsOk());
}

TEST(UpdateDocument, NeverChangesWhatTheServiceMade) {
  for (const char* key : {"PixelData", "Checksum", "TransferSyntaxUID", "FrameSizeInBytes"}) {
    const std::string content = std::string(R"({"DICOM":{")") + key + R"(":"x"}})";
    EXPECT_THAT(checked(instance(content), true), FailsWith("datastore.change_refused")) << key;
  }
  EXPECT_THAT(
      checked(instance(R"({"DICOM":{"SOPInstanceUID":"1.9"}})"), true, UpdatePurpose::remove),
      FailsWith("datastore.change_refused"));
  EXPECT_THAT(checked(instance(R"({"DICOM":{"SOPInstanceUID":"no uid"}})"), true),
              FailsWith("datastore.change_refused"));
}

// Values are patient data, and so may be what somebody takes for a keyword.
TEST(UpdateDocument, RepeatsNoValues) {
  const auto refused = checked(patient(R"("PatientBirthDate":"SECRET")"));
  const auto strange = checked(patient(R"("DOE^JANE 1970":"x")"));

  ASSERT_FALSE(refused.ok());
  ASSERT_FALSE(strange.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("PatientBirthDate"));
  EXPECT_THAT(refused.error().message, Not(HasSubstr("SECRET")));
  EXPECT_THAT(strange.error().message, Not(HasSubstr("DOE")));
}

TEST(CopiableAttributes, NameInstancesAndNothingElse) {
  const auto named = parse_copiable(
      R"({"SchemaVersion":1.1,"Study":{"Series":{"1.2":{"Instances":{"1.3":{},"1.4":{}}}}}})");

  ASSERT_THAT(named, IsOk());
  EXPECT_THAT(*named, ElementsAre("1.3", "1.4"));
  EXPECT_THAT(parse_copiable(R"({"SchemaVersion":1.1})"), FailsWith("datastore.change_refused"));
  EXPECT_THAT(parse_copiable(patient(R"("PatientName":"A")")),
              FailsWith("datastore.change_refused"));
  EXPECT_THAT(parse_copiable(instance(R"({"DICOM":{"Rows":1}})")),
              FailsWith("datastore.change_refused"));
}

}  // namespace
}  // namespace isthmus::datastore
