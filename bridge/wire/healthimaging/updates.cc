#include "wire/healthimaging_updates.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "base/ids.h"
#include "wire/healthimaging/json.h"

namespace isthmus::wire::healthimaging {
namespace {

constexpr std::string_view kRemovable = "removableAttributes";
constexpr std::string_view kUpdatable = "updatableAttributes";
// Brackets that are open at once: the documents go down to an instance's own level, sequences in it
// further.
constexpr int kMostLevels = 64;

Json value_from(const std::string& text) {
  return parsed_json(text).value_or(Json());
}

std::string text_of(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// The object that holds a change's attribute, made as far as it is missing.
Json& place_of(Json& document, const AttributeChange& change) {
  if (change.level == MetadataLevel::patient) return document["Patient"];
  Json& study = document["Study"];
  if (change.level == MetadataLevel::study) return study;
  Json& series = study["Series"][change.series_instance_uid];
  if (change.level == MetadataLevel::series) return series;
  Json& instance = series["Instances"][change.sop_instance_uid];
  if (instance.is_null()) instance = Json::object();
  return instance;
}

std::optional<std::string> finished(Json document) {
  if (document.empty()) return std::nullopt;
  document["SchemaVersion"] = 1.1;
  return text_of(document);
}

const Json* member(const Json* object, std::string_view name) {
  if (object == nullptr || !object->is_object()) return nullptr;
  const auto found = object->find(std::string(name));
  return found == object->end() ? nullptr : &*found;
}

std::optional<std::string> stored_in(const Json& document, const AttributeChange& change) {
  const Json* place =
      member(&document, change.level == MetadataLevel::patient ? "Patient" : "Study");
  if (change.level == MetadataLevel::series || change.level == MetadataLevel::instance) {
    place = member(member(place, "Series"), change.series_instance_uid);
  }
  if (change.level == MetadataLevel::instance) {
    place = member(member(place, "Instances"), change.sop_instance_uid);
  }
  if (change.action == AttributeAction::remove_instance) {
    return place == nullptr ? std::nullopt : std::optional<std::string>("{}");
  }
  const Json* value = member(member(place, "DICOM"), change.key);
  if (value == nullptr) return std::nullopt;
  return text_of(*value);
}

// --- reading update documents -------------------------------------------------------------------

class DocumentReader {
 public:
  DocumentReader(std::string_view name, AttributeAction action, MetadataChange& change)
      : name_(name), action_(action), change_(change) {}

  Result<void> read(std::string_view text) {
    if (is_too_deep(text)) return fault("is nested too deeply");
    const auto document = parsed_json(text);
    if (!document || !document->is_object()) return fault("is no JSON object");
    AttributeChange at;
    at.action = action_;
    for (const auto& [key, value] : document->items()) {
      if (key == "SchemaVersion") continue;
      if (key == "Patient") {
        at.level = MetadataLevel::patient;
        TRY(level(value, at, {}));
      } else if (key == "Study") {
        at.level = MetadataLevel::study;
        TRY(level(value, at, "Series"));
      } else {
        return fault("has a member that is not of its form");
      }
    }
    return {};
  }

 private:
  Error fault(std::string_view what) const {
    return permanent_error("ValidationException", std::string(name_) + " " + std::string(what));
  }

  static bool is_too_deep(std::string_view text) {
    int depth = 0, deepest = 0;
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      if (quoted && c == '\\') {
        ++i;
      } else if (c == '"') {
        quoted = !quoted;
      } else if (!quoted && (c == '{' || c == '[')) {
        deepest = std::max(deepest, ++depth);
      } else if (!quoted && (c == '}' || c == ']')) {
        --depth;
      }
    }
    return deepest > kMostLevels;
  }

  // One level's object: its own elements, and what is below it under `below`.
  Result<void> level(const Json& object, AttributeChange at, std::string_view below) {
    if (!object.is_object()) return fault("has a level that is no object");
    const bool is_instance = at.level == MetadataLevel::instance;
    if (is_instance && object.empty() && action_ == AttributeAction::remove) {
      at.action = AttributeAction::remove_instance;
      change_.attributes.push_back(std::move(at));
      return {};
    }
    for (const auto& [key, value] : object.items()) {
      if (!value.is_object()) return fault("has a level that is no object");
      if (key == "DICOM") {
        TRY(elements(value, member(&object, "DICOMVRs"), at));
      } else if (!below.empty() && key == below) {
        TRY(each(value, at));
      } else if (!is_instance || key != "DICOMVRs") {
        return fault("has a member that is not of its form");
      }
    }
    return {};
  }

  Result<void> each(const Json& object, AttributeChange at) {
    const bool is_series = at.level == MetadataLevel::study;
    at.level = is_series ? MetadataLevel::series : MetadataLevel::instance;
    for (const auto& [uid, value] : object.items()) {
      if (!Uid::parse(uid)) return fault("has a key that is no UID");
      (is_series ? at.series_instance_uid : at.sop_instance_uid) = uid;
      TRY(level(value, at, is_series ? "Instances" : ""));
    }
    return {};
  }

  Result<void> elements(const Json& object, const Json* vrs, AttributeChange at) {
    for (const auto& [key, value] : object.items()) {
      AttributeChange one = at;
      one.key = key;
      if (const Json* vr = member(vrs, key); vr != nullptr && vr->is_string()) {
        one.vr = vr->get<std::string>();
      }
      if (action_ == AttributeAction::set) {
        one.value = text_of(value);
      } else {
        one.expected = text_of(value);
      }
      change_.attributes.push_back(std::move(one));
    }
    return {};
  }

  const std::string_view name_;
  const AttributeAction action_;
  MetadataChange& change_;
};

}  // namespace

DicomUpdates to_updates(const MetadataChange& change, const MetadataValues& stored) {
  Json removable = Json::object();
  Json updatable = Json::object();
  for (std::size_t i = 0; i < change.attributes.size(); ++i) {
    const AttributeChange& one = change.attributes[i];
    if (one.action == AttributeAction::set) {
      Json& place = place_of(updatable, one);
      place["DICOM"][one.key] = value_from(one.value.value_or("null"));
      if (!one.vr.empty()) place["DICOMVRs"][one.key] = one.vr;
    } else if (i < stored.size() && stored[i]) {
      Json& place = place_of(removable, one);
      if (one.action == AttributeAction::remove) place["DICOM"][one.key] = value_from(*stored[i]);
    }
  }
  return {finished(std::move(removable)), finished(std::move(updatable))};
}

Result<MetadataChange> to_change(const DicomUpdates& updates, bool force) {
  MetadataChange change;
  change.force = force;
  if (updates.removable_attributes) {
    DocumentReader reader(kRemovable, AttributeAction::remove, change);
    TRY(reader.read(*updates.removable_attributes));
  }
  if (updates.updatable_attributes) {
    DocumentReader reader(kUpdatable, AttributeAction::set, change);
    TRY(reader.read(*updates.updatable_attributes));
  }
  if (change.attributes.empty()) {
    return permanent_error("ValidationException", "DICOMUpdates names nothing to change");
  }
  return change;
}

Result<MetadataValues> values_in(std::string_view document, const MetadataChange& change) {
  std::set<std::string, std::less<>> named;
  for (const AttributeChange& one : change.attributes) named.insert(one.sop_instance_uid);
  // Keys on the way to what is being read, by depth: Study / Series / <uid> / Instances / <uid>.
  constexpr int kInstanceDepth = 5;
  std::vector<std::string> path(kInstanceDepth + 1);
  const auto keep = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event != Json::parse_event_t::key || depth > kInstanceDepth || depth < 1) return true;
    path[static_cast<std::size_t>(depth)] = parsed.get<std::string>();
    const bool is_instance = depth == kInstanceDepth && path[1] == "Study" && path[2] == "Series" &&
                             path[4] == "Instances";
    return !is_instance || named.contains(path[kInstanceDepth]);
  };
  const Json tree = Json::parse(document, keep, false);
  if (!tree.is_object()) return malformed_error("The metadata document is no JSON object.");
  MetadataValues values;
  for (const AttributeChange& one : change.attributes) values.push_back(stored_in(tree, one));
  return values;
}

}  // namespace isthmus::wire::healthimaging
