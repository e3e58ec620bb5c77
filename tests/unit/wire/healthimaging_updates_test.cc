// Update documents made of changes, changes read from documents, and the values that an image set's
// document has: against section 5 of the contract, which prints the documents.
#include "wire/healthimaging_updates.h"

#include <nlohmann/json.hpp>

#include "support/matchers.h"

namespace isthmus::wire::healthimaging {
namespace {

using nlohmann::json;

AttributeChange at(AttributeAction action, MetadataLevel level, std::string key,
                   std::optional<std::string> value = std::nullopt) {
  AttributeChange change;
  change.action = action;
  change.level = level;
  if (level == MetadataLevel::series || level == MetadataLevel::instance) {
    change.series_instance_uid = "1.2.1";
  }
  if (level == MetadataLevel::instance) change.sop_instance_uid = "1.2.1.1";
  change.key = std::move(key);
  change.value = std::move(value);
  return change;
}

TEST(HealthImagingUpdates, AreTheDocumentsOfTheContract) {
  AttributeChange own = at(AttributeAction::set, MetadataLevel::instance, "001910F9", "\"97\"");
  own.vr = "DS";
  const MetadataChange change{
      {at(AttributeAction::set, MetadataLevel::patient, "PatientName", "\"DOE^JANE^A\""),
       at(AttributeAction::remove, MetadataLevel::study, "StudyDescription"),
       at(AttributeAction::set, MetadataLevel::series, "SeriesDescription", "\"thin\""), own},
      true};

  const DicomUpdates updates = to_updates(change, {std::nullopt, "\"CHEST \"", {}, {}});

  EXPECT_EQ(
      json::parse(*updates.removable_attributes),
      json::parse(R"({"SchemaVersion":1.1,"Study":{"DICOM":{"StudyDescription":"CHEST "}}})"));
  EXPECT_EQ(json::parse(*updates.updatable_attributes),
            json::parse(R"({"SchemaVersion":1.1,"Patient":{"DICOM":{"PatientName":"DOE^JANE^A"}},)"
                        R"("Study":{"Series":{"1.2.1":{"DICOM":{"SeriesDescription":"thin"},)"
                        R"("Instances":{"1.2.1.1":{"DICOM":{"001910F9":"97"},)"
                        R"("DICOMVRs":{"001910F9":"DS"}}}}}}})"));
}

TEST(HealthImagingUpdates, RemoveNothingThatIsNotStored) {
  const MetadataChange change{
      {at(AttributeAction::remove, MetadataLevel::study, "StudyDescription")}, false};

  const DicomUpdates updates = to_updates(change, {std::nullopt});

  EXPECT_FALSE(updates.removable_attributes);
  EXPECT_FALSE(updates.updatable_attributes);
}

TEST(HealthImagingUpdates, AreReadBackAsTheyWereMade) {
  AttributeChange own = at(AttributeAction::set, MetadataLevel::instance, "001910F9", "\"97\"");
  own.vr = "DS";
  const MetadataChange change{
      {at(AttributeAction::remove_instance, MetadataLevel::instance, ""), own}, true};
  DicomUpdates updates = to_updates(change, {"{}", std::nullopt});
  EXPECT_EQ(json::parse(*updates.removable_attributes)["Study"]["Series"]["1.2.1"]["Instances"],
            json::parse(R"({"1.2.1.1":{}})"));

  ASSERT_OK_AND_ASSIGN(const MetadataChange read, to_change(updates, true));

  EXPECT_EQ(read.attributes, change.attributes);
  EXPECT_TRUE(read.force);
  updates = {R"({"SchemaVersion":"1.1","Patient":{"DICOM":{"PatientSex":"F"}}})", std::nullopt};
  ASSERT_OK_AND_ASSIGN(const MetadataChange removal, to_change(updates, false));
  EXPECT_EQ(removal.attributes.at(0).expected, "\"F\"");
}

TEST(HealthImagingUpdates, OfAnotherFormAreRefused) {
  for (const char* text :
       {"", "[]", "7", R"({"Patient":7})", R"({"Patient":{"Name":{}}})", R"({"Else":{}})",
        R"({"Study":{"Series":{"no uid":{}}}})", R"({"Study":{"Series":{"1.2":{"Series":{}}}}})",
        R"({"SchemaVersion":1.1})"}) {
    EXPECT_THAT(to_change({std::nullopt, std::string(text)}, false),
                test::FailsWith("ValidationException"))
        << text;
  }
  const std::string deep(100'000, '[');
  EXPECT_THAT(to_change({deep, std::nullopt}, false), test::FailsWith("ValidationException"));
}

constexpr const char* kDocument = R"({"SchemaVersion":"1.1","Patient":{"DICOM":
  {"PatientBirthDate":null,"PatientID":"P-17 "}},"Study":{"DICOM":{"AccessionNumber":"A1",
  "ProcedureCodeSequence":[{"Instances":{"1.2.9":{"CodeValue":"7"}}}]},
  "Series":{"1.2.1":{"DICOM":{"SoftwareVersions":["1.0"]},"Instances":{
    "1.2.1.1":{"DICOM":{"Rows":512,"00191001":"vendor text"},"DICOMVRs":{"00191001":"LO"}},
    "1.2.1.2":{"DICOM":{"Rows":256}}}}}}})";

TEST(MetadataDocument, SaysWhatIsStored) {
  const MetadataChange change{
      {at(AttributeAction::set, MetadataLevel::patient, "PatientID"),
       at(AttributeAction::set, MetadataLevel::patient, "PatientBirthDate"),
       at(AttributeAction::set, MetadataLevel::patient, "PatientName"),
       at(AttributeAction::set, MetadataLevel::study, "ProcedureCodeSequence"),
       at(AttributeAction::set, MetadataLevel::series, "SoftwareVersions"),
       at(AttributeAction::set, MetadataLevel::instance, "Rows"),
       at(AttributeAction::remove, MetadataLevel::instance, "00191001"),
       at(AttributeAction::remove_instance, MetadataLevel::instance, "")},
      false};

  ASSERT_OK_AND_ASSIGN(const MetadataValues values, values_in(kDocument, change));

  EXPECT_EQ(values, (MetadataValues{"\"P-17 \"", "null", std::nullopt,
                                    R"([{"Instances":{"1.2.9":{"CodeValue":"7"}}}])", "[\"1.0\"]",
                                    "512", "\"vendor text\"", "{}"}));
}

TEST(MetadataDocument, HasNothingOfInstancesThatAreNotThere) {
  AttributeChange other = at(AttributeAction::set, MetadataLevel::instance, "Rows");
  other.sop_instance_uid = "1.2.1.3";
  AttributeChange gone = other;
  gone.action = AttributeAction::remove_instance;
  gone.key.clear();

  ASSERT_OK_AND_ASSIGN(const MetadataValues values, values_in(kDocument, {{other, gone}, false}));

  EXPECT_EQ(values, (MetadataValues{std::nullopt, std::nullopt}));
  EXPECT_THAT(values_in("{\"Study\":", {{other}, false}),
              test::FailsWith("healthimaging.malformed"));
}

TEST(MetadataValues, DoNotDifferByPadding) {
  EXPECT_TRUE(same_value("\"P-17 \"", "\"P-17\""));
  EXPECT_FALSE(same_value("\"P-17\"", "\" P-17\""));
  EXPECT_FALSE(same_value("\"17\"", "17"));
  EXPECT_FALSE(same_value("null", std::nullopt));
  EXPECT_TRUE(same_value(std::nullopt, std::nullopt));
}

}  // namespace
}  // namespace isthmus::wire::healthimaging
