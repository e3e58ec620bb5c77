#include "wire/dicom_json.h"

#include <gtest/gtest.h>

#include <map>

namespace isthmus::wire {
namespace {

using nlohmann::json;

std::optional<DicomElement> look_up(std::string_view keyword) {
  static const std::map<std::string, DicomElement, std::less<>> known = {
      {"PatientName", {"00100010", "PN"}},
      {"SeriesNumber", {"00200011", "IS"}},
      {"WindowCenter", {"00281050", "DS"}},
      {"ImageType", {"00080008", "CS"}},
      {"Rows", {"00280010", "US"}},
      {"TransferSyntaxUID", {"00020010", "UI"}},
      {"ICCProfile", {"00282000", "OB"}},
      {"StudyID", {"00200010", "SH"}},
      {"SourceImageSequence", {"00082112", "SQ"}}};
  const auto found = known.find(keyword);
  if (found == known.end()) return std::nullopt;
  return found->second;
}

json converted(const char* attributes, const char* vrs = "{}") {
  json into = json::object();
  add_dicom_json(json::parse(attributes), json::parse(vrs), look_up, into);
  return into;
}

TEST(DicomJson, WritesEachKindOfValue) {
  EXPECT_EQ(converted(R"({"PatientName":"Doe^Jane =山田 ","SeriesNumber":"2 ",
                          "WindowCenter":["40","-1.5e1 ","x"],"ImageType":["ORIGINAL","PRIMARY "],
                          "Rows":512,"ICCProfile":"AAE="})"),
            json::parse(
                R"({"00100010":{"vr":"PN","Value":[
              {"Alphabetic":"Doe^Jane","Ideographic":"山田"}]},
              "00200011":{"vr":"IS","Value":[2]},"00281050":{"vr":"DS","Value":[40,-15.0,"x"]},
              "00080008":{"vr":"CS","Value":["ORIGINAL","PRIMARY"]},
              "00280010":{"vr":"US","Value":[512]},
              "00282000":{"vr":"OB","InlineBinary":"AAE="}})"));
}

TEST(DicomJson, LeavesOutValuesThatAreNone) {
  EXPECT_EQ(converted(R"({"PatientName":null,"StudyID":"  "})"),
            json::parse(R"({"00100010":{"vr":"PN"},"00200010":{"vr":"SH"}})"));
}

TEST(DicomJson, GoesIntoSequencesAndPrivateElements) {
  EXPECT_EQ(converted(R"({"SourceImageSequence":[{"Rows":1,"00191001":"a "},{}],
                          "00191002":"AAE="})",
                      R"({"00191001":"LO"})"),
            json::parse(R"({"00082112":{"vr":"SQ","Value":[{"00280010":{"vr":"US","Value":[1]},
              "00191001":{"vr":"LO","Value":["a"]}},{}]},
              "00191002":{"vr":"UN","InlineBinary":"AAE="}})"));
}

TEST(DicomJson, HasNoFileMetaAndNoUnknownKeywords) {
  EXPECT_EQ(converted(R"({"TransferSyntaxUID":"1.2","NobodyKnows":1})"), json::object());
}

TEST(DicomJson, NegativeNumbersAreSigned) {
  EXPECT_EQ(converted(R"({"Rows":-1})"), json::parse(R"({"00280010":{"vr":"SS","Value":[-1]}})"));
}

}  // namespace
}  // namespace isthmus::wire
