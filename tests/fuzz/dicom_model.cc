// Metadata in the DICOM JSON Model and the Native DICOM Model: what is read is in order, each tag
// once, with one kind of value, no deeper than is allowed.
#include "wire/dicom_model.h"

#include "fuzz/fuzz.h"

namespace isthmus::fuzz {
namespace {

using wire::DicomObject;

void check_object(const DicomObject& object, int depth) {
  check(depth <= 32, "no deeper than 32 sequences");
  std::uint32_t last = 0;
  for (const wire::DicomAttribute& one : object.attributes) {
    check(one.tag > last || (one.tag == 0 && last == 0 && &one == &object.attributes.front()),
          "by tag, each once");
    last = one.tag;
    check(one.tag >> 16 != 2, "no group 0002");
    check(one.vr.size() == 2, "a VR has two letters");
    const int kinds = int(!one.values.empty()) + int(!one.items.empty()) +
                      int(one.inline_bytes.has_value()) + int(!one.bulk_uri.empty());
    check(kinds <= 1, "one kind of value");
    check(one.items.empty() || one.vr == "SQ", "items are of a sequence");
    check(object.find(one.tag) == &one, "it is found");
    for (const DicomObject& item : one.items) check_object(item, depth + 1);
  }
}

void run(ByteSpan input) {
  if (input.empty()) return;
  const std::string_view text = as_text(input.subspan(1));
  if ((std::to_integer<unsigned>(input[0]) & 1) == 0) {
    const auto objects = wire::parse_dicom_json(text);
    if (!objects.ok()) return check(objects.error().code == "dicom_model.malformed", "its code");
    for (const DicomObject& object : *objects) check_object(object, 0);
    return;
  }
  const auto object = wire::parse_native_dicom(text);
  if (!object.ok()) return check(object.error().code == "dicom_model.malformed", "its code");
  check_object(*object, 0);
}

std::string xml_seed(std::string_view attributes) {
  return "\1<NativeDicomModel>" + std::string(attributes) + "</NativeDicomModel>";
}

std::vector<std::string> seeds() {
  const std::string json("\0", 1);
  return {
      json + R"([{"00080018":{"vr":"UI","Value":["1.2.3"]},"00100010":{"vr":"PN","Value":)"
             R"([{"Alphabetic":"A^B","Ideographic":"C"}]},"00280010":{"vr":"US","Value":[64]}}])",
      json + R"({"00081115":{"vr":"SQ","Value":[{"0020000E":{"vr":"UI","Value":["1.2"]}},{}]},)"
             R"("7FE00010":{"vr":"OW","BulkDataURI":"http://a/b"}})",
      json + R"([{"00420011":{"vr":"OB","InlineBinary":"AAEC"},)"
             R"("00180050":{"vr":"DS","Value":[1.5]}}])",
      json + R"([{"00091002":{"vr":"AT","Value":["00080018"]},"00080005":{"vr":"CS"}}])",
      json + std::string(40, '['),
      xml_seed(R"(<DicomAttribute tag="00080018" vr="UI"><Value number="1">1.2</Value>)"
               R"(</DicomAttribute><DicomAttribute tag="00100010" vr="PN">)"
               R"(<PersonName number="1"><Alphabetic><FamilyName>A</FamilyName></Alphabetic>)"
               R"(</PersonName></DicomAttribute>)"),
      xml_seed(R"(<DicomAttribute tag="00081115" vr="SQ"><Item number="1">)"
               R"(<DicomAttribute tag="0020000E" vr="UI"><Value number="1">1.2</Value>)"
               R"(</DicomAttribute></Item></DicomAttribute>)"
               R"(<DicomAttribute tag="7FE00010" vr="OW"><BulkData uri="a"/></DicomAttribute>)"),
      "\1"
      R"(<!DOCTYPE a [<!ENTITY b "c">]><NativeDicomModel>&b;</NativeDicomModel>)",
  };
}

}  // namespace

Harness dicom_model_harness() {
  return {"dicom_model", run, 8 * KiB, seeds};
}

}  // namespace isthmus::fuzz
