#include "datastore/api/native_xml.h"

#include <algorithm>
#include <string_view>

namespace isthmus::datastore {
namespace {

using nlohmann::json;

struct Known {
  std::string_view tag;
  std::string_view keyword;
};
constexpr Known kStoreAnswer[] = {
    {"00081150", "ReferencedSOPClassUID"}, {"00081155", "ReferencedSOPInstanceUID"},
    {"00081190", "RetrieveURL"},           {"00081197", "FailureReason"},
    {"00081198", "FailedSOPSequence"},     {"00081199", "ReferencedSOPSequence"},
    {"0008119A", "OtherFailuresSequence"}, {"00091097", "FailureDetail"}};

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

std::string attributes_of(const json& dataset, const KeywordLookup& keyword_of);

// PS3.19 section A.1.5: the parts of a name are elements of their own.
std::string person_name(const json& groups) {
  static constexpr std::string_view kParts[] = {"FamilyName", "GivenName", "MiddleName",
                                                "NamePrefix", "NameSuffix"};
  std::string out;
  for (const char* group : {"Alphabetic", "Ideographic", "Phonetic"}) {
    const auto found = groups.find(group);
    if (found == groups.end() || !found->is_string()) continue;
    const auto& text = found->get_ref<const std::string&>();
    out += std::string("<") + group + ">";
    std::size_t at = 0;
    for (const std::string_view part : kParts) {
      const std::size_t end = std::min(text.find('^', at), text.size());
      if (end > at) {
        out += "<" + std::string(part) + ">" + escaped(text.substr(at, end - at)) + "</" +
               std::string(part) + ">";
      }
      at = std::min(end + 1, text.size());
    }
    out += std::string("</") + group + ">";
  }
  return out;
}

std::string value_of(const json& value, bool name, const std::string& at,
                     const KeywordLookup& keyword_of) {
  if (name && value.is_object()) {
    return "<PersonName " + at + ">" + person_name(value) + "</PersonName>";
  }
  if (value.is_object()) return "<Item " + at + ">" + attributes_of(value, keyword_of) + "</Item>";
  if (value.is_null()) return "<Value " + at + "/>";
  return "<Value " + at + ">" +
         escaped(value.is_string() ? value.get<std::string>() : value.dump()) + "</Value>";
}

std::string content_of(const json& element, const KeywordLookup& keyword_of) {
  if (const auto bytes = element.find("InlineBinary"); bytes != element.end()) {
    return "<InlineBinary>" + bytes->get<std::string>() + "</InlineBinary>";
  }
  if (const auto uri = element.find("BulkDataURI"); uri != element.end()) {
    return "<BulkData uri=\"" + escaped(uri->get<std::string>()) + "\"/>";
  }
  std::string out;
  const auto values = element.find("Value");
  if (values == element.end() || !values->is_array()) return out;
  const bool name = element.value("vr", "") == "PN";
  int number = 0;
  for (const json& value : *values) {
    out += value_of(value, name, "number=\"" + std::to_string(++number) + "\"", keyword_of);
  }
  return out;
}

bool is_private(std::string_view tag) {
  return tag.size() == 8 && std::string_view("13579BDF").find(tag[3]) != std::string_view::npos;
}

// gggg10ee belongs to the creator in gggg0010 (PS3.5 section 7.8.1).
std::string creator_of(const json& dataset, const std::string& tag) {
  const auto found = dataset.find(tag.substr(0, 4) + "00" + tag.substr(4, 2));
  if (found == dataset.end() || !found->is_object()) return {};
  const auto values = found->find("Value");
  if (values == found->end() || values->empty() || !values->front().is_string()) return {};
  return values->front().get<std::string>();
}

std::string attributes_of(const json& dataset, const KeywordLookup& keyword_of) {
  std::string out;
  for (const auto& [tag, element] : dataset.items()) {
    if (!element.is_object()) continue;
    const bool own = is_private(tag);
    if (own && tag.substr(4, 2) == "00") continue;
    const std::string creator = own ? creator_of(dataset, tag) : std::string();
    const std::string named = creator.empty() ? tag : tag.substr(0, 4) + "00" + tag.substr(6);
    out += "<DicomAttribute tag=\"" + named + "\" vr=\"" + element.value("vr", "UN") + "\"";
    if (const std::string keyword = keyword_of(tag); !keyword.empty()) {
      out += " keyword=\"" + escaped(keyword) + "\"";
    }
    if (!creator.empty()) out += " privateCreator=\"" + escaped(creator) + "\"";
    out += ">" + content_of(element, keyword_of) + "</DicomAttribute>";
  }
  return out;
}

}  // namespace

std::string print_native_xml(const json& dataset, const KeywordLookup& keyword_of) {
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?><NativeDicomModel>" +
         attributes_of(dataset, keyword_of) + "</NativeDicomModel>";
}

std::string store_answer_keyword(std::string_view tag) {
  const auto* const found = std::ranges::find(kStoreAnswer, tag, &Known::tag);
  return found == std::end(kStoreAnswer) ? std::string() : std::string(found->keyword);
}

}  // namespace isthmus::datastore
