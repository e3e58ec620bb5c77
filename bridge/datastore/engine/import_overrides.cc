#include "datastore/engine/import_overrides.h"

#include <nlohmann/json.hpp>

#include "datastore/engine/levels.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;

void put(const json& elements, json& into) {
  if (!into.is_object()) into = json::object();
  for (const auto& [key, value] : elements.items()) into[key] = value;
}

void put_document(const UpdateDocument& document, const Examination& examination, json& metadata) {
  put(document.patient, metadata["patient"]);
  put(document.study, metadata["study"]);
  const auto series = document.series.find(examination.series_instance_uid);
  if (series == document.series.end()) return;
  put(series->second.elements, metadata["series"]);
  const auto instance = series->second.instances.find(examination.sop_instance_uid);
  if (instance == series->second.instances.end()) return;
  put(instance->second.elements, metadata["instance"]);
  put(instance->second.vrs, metadata["DICOMVRs"]);
}

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

Result<void> check_override(const UpdateDocument& document, const Dictionary& dictionary) {
  if (changes_uids(document)) {
    return permanent_error("datastore.change_refused", "UIDs cannot be overridden.");
  }
  return check_update(document, dictionary, UpdatePurpose::insert_or_replace, true);
}

Result<ImportOverrides> ImportOverrides::parse(const std::vector<OverrideText>& texts) {
  ImportOverrides overrides;
  for (const OverrideText& text : texts) {
    TRY_ASSIGN(UpdateDocument document, parse_update_document(text.document));
    auto& list = text.series_instance_uid ? overrides.of_series_ : overrides.of_studies_;
    list.push_back(
        {text.study_instance_uid, text.series_instance_uid.value_or(""), std::move(document)});
  }
  return overrides;
}

Result<void> ImportOverrides::apply(Examination& examination) const {
  if (empty() || examination.refused()) return {};
  json attributes = json::parse(examination.attributes, nullptr, false);
  if (!attributes.is_object()) return fatal_error("datastore.io", "An examination is damaged.");
  const std::string study = text_of(attributes, "StudyInstanceUID");
  TRY_ASSIGN(json document, parse_document(examination.document));
  json& metadata = document["metadata"];
  bool changed = false;
  for (const Override& one : of_studies_) {
    if (one.study_instance_uid != study) continue;
    put_document(one.document, examination, metadata);
    changed = true;
  }
  for (const Override& one : of_series_) {
    if (one.study_instance_uid != study ||
        one.series_instance_uid != examination.series_instance_uid) {
      continue;
    }
    put_document(one.document, examination, metadata);
    changed = true;
  }
  if (!changed) return {};
  examination.document = print_document(document);
  const Levels levels{metadata["patient"], metadata["study"], metadata["series"]};
  examination.grouping = grouping_of(levels);
  attributes.update(search_attributes(levels));
  const std::string text = attributes.dump(-1, ' ', false, json::error_handler_t::replace);
  TRY_ASSIGN(examination.attributes, instance_attributes(text, document));
  return {};
}

}  // namespace isthmus::datastore
