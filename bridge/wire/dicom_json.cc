#include "wire/dicom_json.h"

#include <algorithm>
#include <charconv>

namespace isthmus::wire {
namespace {

using nlohmann::json;

std::string unpadded(std::string text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\0')) text.pop_back();
  return text;
}

std::string_view without_blanks(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('+')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

// DS and IS: a JSON number where the text is one (PS3.18 section F.2.3.1 allows both).
json number_of(const std::string& text) {
  const std::string_view digits = without_blanks(text);
  std::int64_t whole = 0;
  const char* const end = digits.data() + digits.size();
  if (const auto read = std::from_chars(digits.data(), end, whole);
      read.ec == std::errc{} && read.ptr == end) {
    return whole;
  }
  double value = 0;
  if (const auto read = std::from_chars(digits.data(), end, value);
      read.ec == std::errc{} && read.ptr == end) {
    return value;
  }
  return unpadded(text);
}

json person_name(const std::string& text) {
  json name = json::object();
  std::size_t begin = 0;
  for (const char* group : {"Alphabetic", "Ideographic", "Phonetic"}) {
    if (begin > text.size()) break;
    const std::size_t end = std::min(text.find('=', begin), text.size());
    const std::string part = unpadded(text.substr(begin, end - begin));
    if (!part.empty()) name[group] = part;
    begin = end + 1;
  }
  return name;
}

json value_of(const json& value, std::string_view vr) {
  if (!value.is_string()) return value;
  const std::string& text = value.get_ref<const std::string&>();
  if (unpadded(text).empty()) return nullptr;
  if (vr == "PN") return person_name(text);
  if (vr == "DS" || vr == "IS") return number_of(text);
  return unpadded(text);
}

bool is_binary(std::string_view vr) {
  return vr == "OB" || vr == "OW" || vr == "OD" || vr == "OF" || vr == "OL" || vr == "OV" ||
         vr == "UN";
}

bool is_tag(std::string_view key) {
  return key.size() == 8 && std::ranges::all_of(key, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
         });
}

json sequence_of(const json& items, const json& vrs, const ElementLookup& look_up) {
  json list = json::array();
  for (const json& item : items) {
    json object = json::object();
    if (item.is_object()) add_dicom_json(item, vrs, look_up, object);
    list.push_back(std::move(object));
  }
  return list;
}

}  // namespace

json dicom_json_element(const json& value, std::string_view vr, const json& vrs,
                        const ElementLookup& look_up) {
  json element = {{"vr", vr}};
  if (value.is_null()) return element;
  if (vr == "SQ" || (value.is_array() && !value.empty() && value.front().is_object())) {
    element["vr"] = "SQ";
    if (value.is_array()) element["Value"] = sequence_of(value, vrs, look_up);
    return element;
  }
  if (is_binary(vr) && value.is_string()) {
    element["InlineBinary"] = value;
    return element;
  }
  json values = json::array();
  if (value.is_array()) {
    for (const json& one : value) values.push_back(value_of(one, vr));
  } else {
    values.push_back(value_of(value, vr));
  }
  // The dictionary does not decide between US and SS: a sign does.
  const bool negative = std::ranges::any_of(values, [](const json& one) {
    return one.is_number_integer() && one.get<std::int64_t>() < 0;
  });
  if (vr == "US" && negative) element["vr"] = "SS";
  const bool empty = std::ranges::all_of(values, [](const json& one) { return one.is_null(); });
  if (!empty) element["Value"] = std::move(values);
  return element;
}

void add_dicom_json(const json& attributes, const json& vrs, const ElementLookup& look_up,
                    json& into) {
  for (const auto& [key, value] : attributes.items()) {
    DicomElement element;
    if (const auto known = look_up(key)) {
      element = *known;
    } else if (is_tag(key)) {
      const auto vr = vrs.find(key);
      element = {key, vr != vrs.end() && vr->is_string() ? vr->get<std::string>() : "UN"};
    } else {
      continue;
    }
    if (element.tag.starts_with("0002")) continue;
    into[element.tag] = dicom_json_element(value, element.vr, vrs, look_up);
  }
}

}  // namespace isthmus::wire
