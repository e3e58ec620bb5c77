// From the DICOM JSON model to the values of a metadata document, VR by VR.
#include "wire/dicom_json_values.h"

#include "support/matchers.h"

namespace isthmus::wire {
namespace {

using nlohmann::json;

std::optional<ElementForm> look_up(std::string_view name) {
  if (name == "00081155") return ElementForm{"ReferencedSOPInstanceUID", "UI", false};
  if (name == "00081199") return ElementForm{"ReferencedSOPSequence", "SQ", false};
  if (name == "00080008") return ElementForm{"ImageType", "CS", true};
  return std::nullopt;
}

Result<json> read(const char* element, ElementForm form) {
  return metadata_value(json::parse(element), form, look_up);
}

TEST(DicomJsonValues, AreThoseOfTheDocument) {
  const struct {
    const char* element;
    ElementForm form;
    const char* wanted;
  } cases[] = {
      {R"({"vr":"PN","Value":[{"Alphabetic":"A^B","Phonetic":"C"}]})", {"P", "PN"}, R"("A^B==C")"},
      {R"({"vr":"PN","Value":[{"Ideographic":"X"}]})", {"P", "PN"}, R"("=X")"},
      {R"({"Value":["A^B"]})", {"P", "PN"}, R"("A^B")"},
      {R"({"vr":"DA","Value":["20240131"]})", {"D", "DA"}, R"("20240131")"},
      {R"({"vr":"DS","Value":[97.5]})", {"N", "DS"}, R"("97.5")"},
      {R"({"vr":"IS","Value":["7"]})", {"N", "IS"}, R"("7")"},
      {R"({"vr":"US","Value":[512]})", {"Rows", "US"}, "512"},
      {R"({"vr":"CS","Value":["ORIGINAL"]})", {"ImageType", "CS", true}, R"(["ORIGINAL"])"},
      {R"({"vr":"LO","Value":["a","b"]})", {"X", "LO"}, R"(["a","b"])"},
      {R"({"vr":"LO"})", {"X", "LO"}, "null"},
      {R"({"vr":"LO","Value":[]})", {"X", "LO"}, "null"},
      {R"({"vr":"OB","InlineBinary":"AAE="})", {"X", "OB"}, R"("AAE=")"},
      {R"({"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.2"]},
           "00080008":{"vr":"CS","Value":["A"]},"001910F9":{"vr":"LO","Value":["x"]}}]})",
       {"S", "SQ"},
       R"([{"ReferencedSOPInstanceUID":"1.2","ImageType":["A"],"001910F9":"x"}])"},
  };
  for (const auto& one : cases) {
    ASSERT_OK_AND_ASSIGN(const json value, read(one.element, one.form));
    EXPECT_EQ(value, json::parse(one.wanted)) << one.element;
  }
}

TEST(DicomJsonValues, OfAnotherFormAreRefusedWithoutTheirValue) {
  for (const char* element :
       {"7", R"({"vr":7})", R"({"vr":"PN","Value":"secret"})", R"({"vr":"PN","Value":[7]})",
        R"({"vr":"PN","Value":[{"Alphabetic":7}]})", R"({"vr":"US","Value":["secret"]})",
        R"({"vr":"LO","Value":[{"a":"secret"}]})", R"({"vr":"LO","BulkDataURI":"http://secret"})",
        R"({"vr":"OB","InlineBinary":"%secret%"})", R"({"vr":"LO","InlineBinary":"AAE="})",
        R"({"vr":"SQ","Value":["secret"]})", R"({"vr":"SQ","Value":[{"secret":{"vr":"LO"}}]})"}) {
    const auto value = read(element, {"Known", "PN"});
    ASSERT_THAT(value, test::FailsWith("api.bad_attribute")) << element;
    EXPECT_EQ(value.error().message.find("secret"), std::string::npos) << value.error().message;
  }
}

TEST(DicomJsonValues, AreNotNestedForEver) {
  json element = {{"vr", "LO"}};
  for (int i = 0; i < 40; ++i) element = {{"vr", "SQ"}, {"Value", {{{"00081199", element}}}}};

  EXPECT_THAT(metadata_value(element, {"S", "SQ"}, look_up), test::FailsWith("api.bad_attribute"));
}

}  // namespace
}  // namespace isthmus::wire
