#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "wire/dicom_model/rules.h"

namespace isthmus::wire {

using nlohmann::json;

namespace {

using namespace dicom_model;

// Of brackets outside texts: seen before the parser, which has no limit.
bool nests_within(std::string_view text, int most) {
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      quoted = c != '"';
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > most) return false;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return true;
}

Result<std::string> person_name(const json& value) {
  std::string name;
  for (const char* group : {"Alphabetic", "Ideographic", "Phonetic"}) {
    const auto found = value.find(group);
    if (found != value.end() && !found->is_null()) {
      if (!found->is_string()) return malformed("a person name's group is no text");
      name += found->get<std::string>();
    }
    name += '=';
  }
  while (name.ends_with('=')) name.pop_back();
  return name;
}

Result<std::string> value_of(const json& value, std::string_view vr) {
  if (value.is_null()) return std::string();
  if (value.is_string()) return value.get<std::string>();
  if (vr == "PN" && value.is_object()) return person_name(value);
  if (value.is_number_integer()) return value.dump();
  if (value.is_number()) return number_text(value.get<double>(), vr);
  return malformed("a value is neither text nor number");
}

Result<DicomObject> object_of(const json& object);

Result<void> take_values(const json& values, DicomAttribute& attribute) {
  if (!values.is_array()) return malformed("Value is no array");
  for (const json& value : values) {
    if (attribute.vr == "SQ") {
      if (value.is_null()) {
        attribute.items.emplace_back();
        continue;
      }
      TRY_ASSIGN(DicomObject item, object_of(value));
      attribute.items.push_back(std::move(item));
    } else {
      TRY_ASSIGN(std::string text, value_of(value, attribute.vr));
      attribute.values.push_back(std::move(text));
    }
  }
  return {};
}

Result<DicomAttribute> attribute_of(const std::string& name, const json& element) {
  DicomAttribute attribute;
  const auto tag = parse_tag(name);
  if (!tag) return malformed("a member's name is no tag");
  attribute.tag = *tag;
  if (!element.is_object()) return malformed("an attribute is no object");
  const auto text = [&element](const char* member) -> const std::string* {
    const auto found = element.find(member);
    return found == element.end() ? nullptr : found->get_ptr<const std::string*>();
  };
  const std::string* vr = text("vr");
  if (vr == nullptr || !is_vr(*vr)) return malformed("an attribute has no vr");
  attribute.vr = *vr;
  const int forms = static_cast<int>(element.contains("Value")) +
                    static_cast<int>(element.contains("InlineBinary")) +
                    static_cast<int>(element.contains("BulkDataURI"));
  if (forms > 1) return malformed("an attribute has several values in different forms");
  if (element.contains("Value")) TRY(take_values(element["Value"], attribute));
  if (element.contains("InlineBinary")) {
    const std::string* coded = text("InlineBinary");
    const auto bytes = coded == nullptr ? std::nullopt : from_base64(*coded);
    if (!bytes) return malformed("InlineBinary is no base64");
    attribute.inline_bytes = std::string(as_text(*bytes));
  }
  if (element.contains("BulkDataURI")) {
    const std::string* uri = text("BulkDataURI");
    if (uri == nullptr || uri->empty()) return malformed("BulkDataURI is none");
    attribute.bulk_uri = *uri;
  }
  return attribute;
}

// As deep as nests_within() let it.
Result<DicomObject> object_of(const json& object) {
  if (!object.is_object()) return malformed("an instance or item is no object");
  DicomObject made;
  for (const auto& [name, element] : object.items()) {
    TRY_ASSIGN(DicomAttribute attribute, attribute_of(name, element));
    made.attributes.push_back(std::move(attribute));
  }
  TRY(finish(made));
  return made;
}

}  // namespace

Result<std::vector<DicomObject>> parse_dicom_json(std::string_view text) {
  // A sequence is an object, an array and an object.
  if (!nests_within(text, 3 * kMostNesting + 4)) return malformed("it is nested too deeply");
  const json parsed = json::parse(text, nullptr, false);
  if (parsed.is_discarded()) return malformed("it is no JSON");
  std::vector<DicomObject> instances;
  if (parsed.is_object()) {
    TRY_ASSIGN(DicomObject instance, object_of(parsed));
    instances.push_back(std::move(instance));
    return instances;
  }
  if (!parsed.is_array()) return malformed("it is no array of instances");
  for (const json& one : parsed) {
    TRY_ASSIGN(DicomObject instance, object_of(one));
    instances.push_back(std::move(instance));
  }
  return instances;
}

}  // namespace isthmus::wire
