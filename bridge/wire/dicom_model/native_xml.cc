#include <algorithm>

#include "base/digest.h"
#include "wire/dicom_model/rules.h"
#include "wire/xml.h"

namespace isthmus::wire {
namespace {

using namespace dicom_model;

constexpr std::uint64_t kMostBytes = 256 * MiB;  // who reads has a smaller limit

// "Family^Given^Middle^Prefix^Suffix", without empty components at the end.
std::string name_group(const XmlElement& group) {
  std::string text;
  for (const char* part : {"FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix"}) {
    text += group.child_text(part).value_or("") + "^";
  }
  while (text.ends_with('^')) text.pop_back();
  return text;
}

std::string person_name(const XmlElement& element) {
  std::string name;
  for (const char* group : {"Alphabetic", "Ideographic", "Phonetic"}) {
    name += name_group(element.child(group)) + "=";
  }
  while (name.ends_with('=')) name.pop_back();
  return name;
}

Result<DicomObject> object_of(const XmlElement& element);

Result<DicomAttribute> attribute_of(const XmlElement& element) {
  DicomAttribute attribute;
  const auto tag = parse_tag(element.attribute("tag"));
  if (!tag) return malformed("a DicomAttribute has no tag");
  attribute.tag = *tag;
  attribute.vr = element.attribute("vr");
  if (!is_vr(attribute.vr)) return malformed("a DicomAttribute has no vr");
  for (const XmlElement& value : element.children("Value"))
    attribute.values.push_back(value.text());
  for (const XmlElement& name : element.children("PersonName")) {
    attribute.values.push_back(person_name(name));
  }
  for (const XmlElement& item : element.children("Item")) {
    TRY_ASSIGN(DicomObject made, object_of(item));
    attribute.items.push_back(std::move(made));
  }
  if (const XmlElement coded = element.child("InlineBinary"); coded.present()) {
    std::string text = coded.text();
    std::erase_if(text, [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; });
    const auto bytes = from_base64(text);
    if (!bytes) return malformed("InlineBinary is no base64");
    attribute.inline_bytes = std::string(as_text(*bytes));
  }
  if (const XmlElement bulk = element.child("BulkData"); bulk.present()) {
    attribute.bulk_uri = bulk.attribute("uri");
    if (attribute.bulk_uri.empty()) attribute.bulk_uri = bulk.attribute("uuid");
    if (attribute.bulk_uri.empty()) return malformed("BulkData has no uri");
  }
  const int forms = static_cast<int>(!attribute.values.empty()) +
                    static_cast<int>(!attribute.items.empty()) +
                    static_cast<int>(attribute.inline_bytes.has_value()) +
                    static_cast<int>(!attribute.bulk_uri.empty());
  if (forms > 1) return malformed("an attribute has several values in different forms");
  const bool is_sequence = attribute.vr == "SQ";
  if (!attribute.items.empty() && !is_sequence) return malformed("items are not of a sequence");
  if (!attribute.values.empty() && is_sequence) return malformed("a sequence has no items");
  return attribute;
}

// As deep as XmlDocument let it.
Result<DicomObject> object_of(const XmlElement& element) {
  DicomObject made;
  for (const XmlElement& child : element.children("DicomAttribute")) {
    TRY_ASSIGN(DicomAttribute attribute, attribute_of(child));
    made.attributes.push_back(std::move(attribute));
  }
  TRY(finish(made));
  return made;
}

}  // namespace

Result<DicomObject> parse_native_dicom(std::string_view xml) {
  // A sequence is an attribute and an item; a person name is three levels more.
  constexpr int kDepth = 2 * kMostNesting + 6;
  TRY_ASSIGN(const XmlDocument document, XmlDocument::parse(xml, "NativeDicomModel", kMostBytes,
                                                            "dicom_model.malformed", kDepth));
  return object_of(document.root());
}

}  // namespace isthmus::wire
