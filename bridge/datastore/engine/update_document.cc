#include "datastore/engine/update_document.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "base/digest.h"
#include "base/ids.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;

// Made by the service, not by the file; no caller may set them (developer guide, "DICOM metadata
// constraints"), and the transfer syntax is a fact about the stored bytes.
constexpr std::array<std::string_view, 11> kGenerated = {
    "SchemaVersion",    "DatastoreID",      "ImageSetID",
    "PixelData",        "Checksum",         "Width",
    "Height",           "MinPixelValue",    "MaxPixelValue",
    "FrameSizeInBytes", "TransferSyntaxUID"};
constexpr std::array<std::string_view, 3> kUids = {"StudyInstanceUID", "SeriesInstanceUID",
                                                   "SOPInstanceUID"};
constexpr std::array<std::string_view, 4> kForcedOnly = {"StudyInstanceUID", "SeriesInstanceUID",
                                                         "SOPInstanceUID", "StudyID"};

template <std::size_t N>
bool one_of(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

Error refused(std::string message) {
  return permanent_error("datastore.change_refused", std::move(message));
}

// Keys are keywords or tags, never values, but anybody may have written them.
std::string shown(std::string_view key) {
  const bool plain =
      key.size() <= 64 && std::ranges::all_of(key, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
      });
  return plain ? std::string(key) : "an element";
}

bool is_tag(std::string_view key) {
  return key.size() == 8 && std::ranges::all_of(key, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
         });
}

// Brackets that are open at once; what is written again is written by recursion.
bool too_deep(std::string_view text) {
  constexpr int kMost = 64;
  int depth = 0, deepest = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && (text[i] == '[' || text[i] == '{')) {
      deepest = std::max(deepest, ++depth);
    } else if (!quoted && (text[i] == ']' || text[i] == '}')) {
      --depth;
    }
  }
  return deepest > kMost;
}

// Elements of odd groups (PS3.5 section 7.8).
bool is_private(std::string_view key) {
  if (!is_tag(key)) return false;
  const char last = key[3];
  const int digit = last <= '9' ? last - '0' : last - 'A' + 10;
  return digit % 2 != 0;
}

Result<void> only(const json& object, std::string_view where,
                  std::initializer_list<std::string_view> members) {
  if (!object.is_object()) return refused(std::string(where) + " must be an object.");
  for (const auto& [name, value] : object.items()) {
    if (std::ranges::find(members, name) == members.end()) {
      return refused(std::string(where) + " cannot have the member " + shown(name) + ".");
    }
  }
  return {};
}

Result<json> elements_of(const json& level, std::string_view where) {
  const auto found = level.find("DICOM");
  if (found == level.end()) return json::object();
  if (!found->is_object()) return refused(std::string(where) + ".DICOM must be an object.");
  return *found;
}

Result<UpdateDocument::Instance> instance_of(const json& object) {
  TRY(only(object, "An instance", {"DICOM", "DICOMVRs"}));
  UpdateDocument::Instance instance;
  TRY_ASSIGN(instance.elements, elements_of(object, "An instance"));
  if (const auto vrs = object.find("DICOMVRs"); vrs != object.end()) {
    if (!vrs->is_object()) return refused("DICOMVRs must be an object.");
    instance.vrs = *vrs;
  }
  for (const auto& [key, vr] : instance.vrs.items()) {
    if (!vr.is_string() || vr.get_ref<const std::string&>().size() != 2) {
      return refused("DICOMVRs holds two letters for each element.");
    }
  }
  return instance;
}

Result<UpdateDocument::Series> series_of(const json& object) {
  TRY(only(object, "A series", {"DICOM", "Instances"}));
  UpdateDocument::Series series;
  TRY_ASSIGN(series.elements, elements_of(object, "A series"));
  const auto instances = object.find("Instances");
  if (instances == object.end()) return series;
  if (!instances->is_object()) return refused("Instances must be an object.");
  for (const auto& [uid, instance] : instances->items()) {
    if (!Uid::parse(uid)) return refused("A key of Instances is not a UID.");
    TRY_ASSIGN(series.instances[uid], instance_of(instance));
  }
  return series;
}

// What a value of the VR looks like as JSON: section 4 of the contract, PS3.5 Table 6.2-1.
bool number_fits(std::string_view vr, const json& value) {
  if (vr == "FL" || vr == "FD") return value.is_number();
  return value.is_number_integer();
}

bool only_characters(std::string_view text, std::string_view allowed) {
  return text.find_first_not_of(allowed) == std::string_view::npos;
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

bool text_fits(std::string_view vr, std::string_view text) {
  constexpr std::string_view kDigits = "0123456789";
  if (vr == "DA") return text.size() == 8 && only_characters(text, kDigits);
  if (vr == "TM") return text.size() <= 16 && only_characters(text, "0123456789. ");
  if (vr == "DT") return text.size() <= 26 && only_characters(text, "0123456789.+- ");
  if (vr == "UI") return Uid::parse(text).has_value();
  if (vr == "IS") return text.size() <= 12 && only_characters(text, "0123456789+- ");
  if (vr == "DS") return text.size() <= 16 && only_characters(text, "0123456789+-.eE ");
  if (vr == "AS") {
    return text.size() == 4 && only_characters(text.substr(0, 3), kDigits) &&
           only_characters(text.substr(3), "DWMY");
  }
  if (vr == "CS") {
    return text.size() <= 16 && only_characters(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ");
  }
  if (vr == "AE" || vr == "SH") return characters(text) <= 16;
  if (vr == "LO") return characters(text) <= 64;
  if (vr == "ST") return characters(text) <= 1024;
  if (vr == "LT") return characters(text) <= 10240;
  if (vr == "PN") return characters(text) <= 64 * 3 + 2;
  return true;
}

bool value_fits(std::string_view vr, const json& value) {
  if (value.is_null()) return true;
  if (vr == "SQ") {
    return value.is_array() &&
           std::ranges::all_of(value, [](const json& item) { return item.is_object(); });
  }
  if (value.is_array()) {
    return std::ranges::all_of(
        value, [vr](const json& one) { return !one.is_array() && value_fits(vr, one); });
  }
  constexpr std::array<std::string_view, 8> kNumbers = {"US", "SS", "UL", "SL",
                                                        "FL", "FD", "SV", "UV"};
  constexpr std::array<std::string_view, 7> kBytes = {"OB", "OW", "OD", "OF", "OL", "OV", "UN"};
  if (one_of(kNumbers, vr)) return number_fits(vr, value);
  if (!value.is_string()) return false;
  const auto& text = value.get_ref<const std::string&>();
  if (one_of(kBytes, vr)) return from_base64(text).has_value();
  return text_fits(vr, text);
}

std::string_view name_of(Level level) {
  switch (level) {
    case Level::patient:
      return "Patient";
    case Level::study:
      return "Study";
    case Level::series:
      return "Series";
    case Level::instance:
      break;
  }
  return "Instance";
}

class Check {
 public:
  Check(const Dictionary& dictionary, UpdatePurpose purpose, bool forced)
      : dictionary_(dictionary), purpose_(purpose), forced_(forced) {}

  Result<void> level(const json& elements, Level level, const json& vrs) const {
    for (const auto& [key, value] : elements.items()) TRY(element(key, value, level, vrs));
    return {};
  }

 private:
  Result<void> element(const std::string& key, const json& value, Level level,
                       const json& vrs) const {
    if (one_of(kGenerated, key)) return refused(shown(key) + " cannot be changed.");
    const bool removal = purpose_ == UpdatePurpose::remove;
    if (removal && one_of(kUids, key)) return refused(shown(key) + " cannot be removed.");
    if (!forced_ && one_of(kForcedOnly, key)) return needs_force(key);
    const auto known = dictionary_.find(key);
    if (known == dictionary_.end()) return unknown(key, level, vrs);
    if (known->second.level != level) {
      return refused(shown(key) + " is not an element of the " + std::string(name_of(level)) +
                     " level.");
    }
    if (one_of(kUids, key) && !value_fits("UI", value)) {
      return refused("The value of " + shown(key) + " is not a UID.");
    }
    if (forced_ || removal) return {};
    const bool several = known->second.several_values || value.is_array();
    if (known->second.vr == "SQ" || several) return needs_force(key);
    if (!value_fits(known->second.vr, value)) {
      return refused("The value of " + shown(key) + " is not one of the VR " + known->second.vr +
                     ".");
    }
    return {};
  }

  Result<void> unknown(const std::string& key, Level level, const json& vrs) const {
    if (is_private(key)) {
      if (level != Level::instance) return refused("Private elements belong to an instance.");
      if (!forced_) return needs_force(key);
      return {};
    }
    if (vrs.contains(key) && !is_tag(key)) return refused("DICOMVRs is keyed by tags.");
    if (!forced_) return refused(shown(key) + " is not an element of the data dictionary.");
    if (!is_tag(key)) return refused(shown(key) + " is neither a keyword nor a tag.");
    return {};
  }

  static Error needs_force(std::string_view key) {
    return refused(shown(key) + " is changed only when the request is forced.");
  }

  const Dictionary& dictionary_;
  const UpdatePurpose purpose_;
  const bool forced_;
};

}  // namespace

std::vector<std::string> UpdateDocument::keys() const {
  std::set<std::string> found;
  const auto add = [&found](const json& elements) {
    for (const auto& [key, value] : elements.items()) found.insert(key);
  };
  add(patient);
  add(study);
  for (const auto& [series_uid, one] : series) {
    add(one.elements);
    for (const auto& [sop_uid, instance] : one.instances) add(instance.elements);
  }
  return {found.begin(), found.end()};
}

Result<UpdateDocument> parse_update_document(std::string_view text) {
  if (too_deep(text)) return refused("The document is nested too deeply.");
  const json tree = json::parse(text, nullptr, false);
  if (tree.is_discarded()) return refused("The document is not JSON.");
  TRY(only(tree, "The document", {"SchemaVersion", "Patient", "Study"}));
  const auto version = tree.find("SchemaVersion");
  const bool known = version != tree.end() && (*version == 1.1 || *version == "1.1");
  if (!known) return refused("SchemaVersion must be 1.1.");
  UpdateDocument document;
  if (const auto patient = tree.find("Patient"); patient != tree.end()) {
    TRY(only(*patient, "Patient", {"DICOM"}));
    TRY_ASSIGN(document.patient, elements_of(*patient, "Patient"));
  }
  const auto study = tree.find("Study");
  if (study == tree.end()) return document;
  TRY(only(*study, "Study", {"DICOM", "Series"}));
  TRY_ASSIGN(document.study, elements_of(*study, "Study"));
  const auto series = study->find("Series");
  if (series == study->end()) return document;
  if (!series->is_object()) return refused("Series must be an object.");
  for (const auto& [uid, one] : series->items()) {
    if (!Uid::parse(uid)) return refused("A key of Series is not a UID.");
    TRY_ASSIGN(document.series[uid], series_of(one));
  }
  return document;
}

Result<void> check_update(const UpdateDocument& document, const Dictionary& dictionary,
                          UpdatePurpose purpose, bool forced) {
  if (document.empty()) return refused("The document names nothing.");
  const Check check(dictionary, purpose, forced);
  TRY(check.level(document.patient, Level::patient, json::object()));
  TRY(check.level(document.study, Level::study, json::object()));
  for (const auto& [series_uid, series] : document.series) {
    if (series.elements.empty() && series.instances.empty()) {
      return refused("A series is removed by deleting its image set.");
    }
    TRY(check.level(series.elements, Level::series, json::object()));
    for (const auto& [sop_uid, instance] : series.instances) {
      if (purpose == UpdatePurpose::remove && instance.named_only() && !forced) {
        return refused("An instance is removed only when the request is forced.");
      }
      TRY(check.level(instance.elements, Level::instance, instance.vrs));
    }
  }
  return {};
}

bool changes_uids(const UpdateDocument& document) {
  const std::vector<std::string> keys = document.keys();
  return std::ranges::any_of(keys, [](const std::string& key) { return one_of(kUids, key); });
}

Result<std::vector<std::string>> parse_copiable(std::string_view text) {
  TRY_ASSIGN(const UpdateDocument document, parse_update_document(text));
  if (!document.patient.empty() || !document.study.empty()) {
    return refused("copiableAttributes names instances, nothing else.");
  }
  std::vector<std::string> instances;
  for (const auto& [series_uid, series] : document.series) {
    if (!series.elements.empty())
      return refused("copiableAttributes names instances, nothing else.");
    for (const auto& [sop_uid, instance] : series.instances) {
      if (!instance.named_only()) return refused("copiableAttributes has no elements.");
      instances.push_back(sop_uid);
    }
  }
  if (instances.empty()) return refused("copiableAttributes names no instance.");
  return instances;
}

}  // namespace isthmus::datastore
