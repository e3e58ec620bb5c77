#include "wire/dicom_model.h"

#include <gtest/gtest.h>

#include "support/matchers.h"

namespace isthmus::wire {
namespace {

using test::FailsWith;
using test::IsOk;
using ::testing::ElementsAre;

std::vector<std::string> values(const DicomObject& object, std::uint32_t tag) {
  const DicomAttribute* attribute = object.find(tag);
  return attribute == nullptr ? std::vector<std::string>{"(none)"} : attribute->values;
}

TEST(DicomModel, ReadsJson) {
  const auto read = parse_dicom_json(R"([{
    "00080018": {"vr": "UI", "Value": ["1.2.3"]},
    "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
    "00020010": {"vr": "UI", "Value": ["1.2.840.10008.1.2.1"]},
    "00080000": {"vr": "UL", "Value": [12]},
    "00080008": {"vr": "CS", "Value": ["ORIGINAL", null, "AXIAL"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Wang^XiaoDong", "Phonetic": "ワン"}]},
    "00100020": {"vr": "LO"},
    "00181151": {"vr": "IS", "Value": [200]},
    "00280030": {"vr": "DS", "Value": [0.5, 0.30000000000000004, "0.25"]},
    "00280010": {"vr": "US", "Value": [512]},
    "00189073": {"vr": "FD", "Value": [-1.25e-3]},
    "00081140": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}, {}, null]},
    "00091001": {"vr": "OB", "InlineBinary": "AAEC"},
    "7FE00010": {"vr": "OW", "BulkDataURI": "bulk/1"}
  }])");

  ASSERT_THAT(read, IsOk());
  ASSERT_EQ(read->size(), 1U);
  const DicomObject& one = read->front();
  EXPECT_EQ(one.attributes.front().tag, 0x00080005U);
  EXPECT_EQ(one.attributes.back().bulk_uri, "bulk/1");
  EXPECT_EQ(one.find(0x00020010), nullptr);
  EXPECT_EQ(one.find(0x00080000), nullptr);
  EXPECT_EQ(one.text(0x00080018), "1.2.3");
  EXPECT_THAT(values(one, 0x00080008), ElementsAre("ORIGINAL", "", "AXIAL"));
  EXPECT_THAT(values(one, 0x00100010), ElementsAre("Wang^XiaoDong==ワン"));
  EXPECT_THAT(values(one, 0x00100020), ElementsAre());
  EXPECT_THAT(values(one, 0x00280030), ElementsAre("0.5", "0.3", "0.25"));
  EXPECT_THAT(values(one, 0x00280010), ElementsAre("512"));
  EXPECT_THAT(values(one, 0x00189073), ElementsAre("-0.00125"));
  EXPECT_EQ(one.find(0x00081140)->items.size(), 3U);
  EXPECT_EQ(one.find(0x00081140)->items[0].text(0x00081155), "1.2");
  EXPECT_EQ(one.find(0x00091001)->inline_bytes, std::string("\0\1\2", 3));
}

TEST(DicomModel, ReadsXml) {
  const auto read = parse_native_dicom(
      R"(<?xml version="1.0" encoding="UTF-8"?>
<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">
 <DicomAttribute tag="00080008" vr="CS" keyword="ImageType">
  <Value number="1">ORIGINAL</Value><Value number="2">A&amp;B</Value></DicomAttribute>
 <DicomAttribute tag="00100010" vr="PN"><PersonName number="1"><Alphabetic>
  <FamilyName>Wang</FamilyName><GivenName>XiaoDong</GivenName></Alphabetic>
  <Ideographic><FamilyName>王</FamilyName></Ideographic></PersonName></DicomAttribute>
 <DicomAttribute tag="00081140" vr="SQ"><Item number="1">
  <DicomAttribute tag="00081155" vr="UI"><Value number="1">1.2</Value></DicomAttribute></Item>
 </DicomAttribute>
 <DicomAttribute tag="00091001" vr="OB"><InlineBinary>AA
EC</InlineBinary></DicomAttribute>
 <DicomAttribute tag="7FE00010" vr="OW"><BulkData uri="bulk/1"/></DicomAttribute>
</NativeDicomModel>)");

  ASSERT_THAT(read, IsOk());
  EXPECT_THAT(values(*read, 0x00080008), ElementsAre("ORIGINAL", "A&B"));
  EXPECT_THAT(values(*read, 0x00100010), ElementsAre("Wang^XiaoDong=王"));
  EXPECT_EQ(read->find(0x00081140)->items[0].text(0x00081155), "1.2");
  EXPECT_EQ(read->find(0x00091001)->inline_bytes, std::string("\0\1\2", 3));
  EXPECT_EQ(read->find(0x7FE00010)->bulk_uri, "bulk/1");
}

std::string nested_json(int levels) {
  std::string text;
  for (int i = 0; i < levels; ++i) text += R"({"00081140":{"vr":"SQ","Value":[)";
  for (int i = 0; i < levels; ++i) text += "]}}";
  return text;
}

std::string nested_xml(int levels) {
  std::string text = "<NativeDicomModel>";
  for (int i = 0; i < levels; ++i) {
    text += R"(<DicomAttribute tag="00081140" vr="SQ"><Item number="1">)";
  }
  for (int i = 0; i < levels; ++i) text += "</Item></DicomAttribute>";
  return text + "</NativeDicomModel>";
}

TEST(DicomModel, RefusesWhatIsNone) {
  const char* kMalformed = "dicom_model.malformed";
  for (const char* text :
       {"", "1", "[1]", "{", R"({"x":{"vr":"UI"}})", R"({"00080018":1})", R"({"00080018":{}})",
        R"({"00080018":{"vr":"ZZ"}})", R"({"00080018":{"vr":"UI","Value":"1"}})",
        R"({"00080018":{"vr":"UI","Value":[true]}})",
        R"({"00080018":{"vr":"UI","Value":[{"a":1}]}})",
        R"({"00091001":{"vr":"OB","InlineBinary":"?"}})",
        R"({"00091001":{"vr":"OB","InlineBinary":"AAEC","BulkDataURI":"x"}})",
        R"({"00091001":{"vr":"OB","BulkDataURI":7}})",
        R"({"00080018":{"vr":"UI"},"0008001A":{"vr":"UI"},"0008001a":{"vr":"UI"}})"}) {
    EXPECT_THAT(parse_dicom_json(text), FailsWith(kMalformed)) << text;
  }
  for (const char* xml :
       {"", "<a/>", "<NativeDicomModel><DicomAttribute/></NativeDicomModel>",
        R"(<!DOCTYPE a><NativeDicomModel/>)",
        R"(<NativeDicomModel><DicomAttribute tag="00080018" vr="ui"/></NativeDicomModel>)",
        R"(<NativeDicomModel><DicomAttribute tag="00091001" vr="OB"><BulkData/>
</DicomAttribute></NativeDicomModel>)",
        R"(<NativeDicomModel><DicomAttribute tag="00091001" vr="OB"><Item number="1"/>
</DicomAttribute></NativeDicomModel>)",
        R"(<NativeDicomModel><DicomAttribute tag="00081115" vr="SQ"><Value number="1">1</Value>
</DicomAttribute></NativeDicomModel>)"}) {
    EXPECT_THAT(parse_native_dicom(xml), FailsWith(kMalformed)) << xml;
  }
  EXPECT_THAT(parse_dicom_json(nested_json(30)), IsOk());
  EXPECT_THAT(parse_dicom_json(nested_json(100'000)), FailsWith(kMalformed));
  EXPECT_THAT(parse_native_dicom(nested_xml(30)), IsOk());
  EXPECT_THAT(parse_native_dicom(nested_xml(100'000)), FailsWith(kMalformed));
}

}  // namespace
}  // namespace isthmus::wire
