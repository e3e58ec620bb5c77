#include "datastore/api/native_xml.h"

#include <string_view>

namespace isthmus::datastore {
namespace {

using nlohmann::json;

struct Known {
  std::string_view tag;  // in JSON
  std::string_view xml_tag;
  std::string_view keyword;
  std::string_view creator;
};
// Google's private element has another number in each form (contracts/google-healthcare section 6).
constexpr Known kKnown[] = {{"00081150", "00081150", "ReferencedSOPClassUID", ""},
                            {"00081155", "00081155", "ReferencedSOPInstanceUID", ""},
                            {"00081190", "00081190", "RetrieveURL", ""},
                            {"00081197", "00081197", "FailureReason", ""},
                            {"00081198", "00081198", "FailedSOPSequence", ""},
                            {"00081199", "00081199", "ReferencedSOPSequence", ""},
                            {"0008119A", "0008119A", "OtherFailuresSequence", ""},
                            {"00091097", "00090097", "FailureDetail", "GOOGLE"}};

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

std::string attributes_of(const json& dataset);

std::string values_of(const json& element) {
  std::string out;
  const auto values = element.find("Value");
  if (values == element.end() || !values->is_array()) return out;
  int number = 0;
  for (const json& value : *values) {
    const std::string at = "number=\"" + std::to_string(++number) + "\"";
    if (value.is_object()) {
      out += "<Item " + at + ">" + attributes_of(value) + "</Item>";
    } else {
      const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
      out += "<Value " + at + ">" + escaped(text) + "</Value>";
    }
  }
  return out;
}

std::string attributes_of(const json& dataset) {
  std::string out;
  for (const auto& [tag, element] : dataset.items()) {
    for (const Known& known : kKnown) {
      if (known.tag != tag) continue;
      out += "<DicomAttribute tag=\"" + std::string(known.xml_tag) + "\" vr=\"" +
             element.value("vr", "UN") + "\" keyword=\"" + std::string(known.keyword) + "\"";
      if (!known.creator.empty()) {
        out += " privateCreator=\"" + std::string(known.creator) + "\"";
      }
      out += ">" + values_of(element) + "</DicomAttribute>";
    }
  }
  return out;
}

}  // namespace

std::string print_native_xml(const json& dataset) {
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?><NativeDicomModel>" + attributes_of(dataset) +
         "</NativeDicomModel>";
}

}  // namespace isthmus::datastore
