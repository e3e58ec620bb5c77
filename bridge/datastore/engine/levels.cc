#include "datastore/engine/levels.h"

#include "datastore/engine/deflate.h"
#include "datastore/engine/instance_facts.h"
#include "datastore/engine/search_columns.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;

Error damaged() {
  return fatal_error("datastore.io", "A document in the catalogue is damaged.");
}

json member(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : json::object();
}

std::string dumped(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// The first value in plain words, as the examiner says it of a file (examine.h, "grouping").
std::string word(const json& level, const char* keyword) {
  const auto found = level.find(keyword);
  if (found == level.end()) return "";
  const json& value = found->is_array() && !found->empty() ? found->front() : *found;
  std::string text;
  if (value.is_string()) text = value.get<std::string>();
  if (value.is_number()) text = value.dump();
  text.erase(text.find_last_not_of(std::string_view(" \0", 2)) + 1);
  text.erase(0, text.find_first_not_of(' '));
  return text;
}

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

Levels levels_in(const json& tree) {
  return {member(tree, "patient"), member(tree, "study"), member(tree, "series")};
}

}  // namespace

std::string Levels::series_instance_uid() const {
  return word(series, "SeriesInstanceUID");
}

Bytes print_levels(const Levels& levels) {
  return deflate_text(
      dumped({{"patient", levels.patient}, {"study", levels.study}, {"series", levels.series}}));
}

Result<json> parse_document(ByteSpan column) {
  TRY_ASSIGN(const std::string text, inflate_text(column));
  json document = json::parse(text, nullptr, false);
  if (!document.is_object()) return damaged();
  return document;
}

Bytes print_document(const json& document) {
  return deflate_text(dumped(document));
}

Result<Levels> parse_levels(ByteSpan column) {
  TRY_ASSIGN(const json tree, parse_document(column));
  return levels_in(tree);
}

Result<std::optional<Levels>> changed_levels(sql::Database& database, const std::string& image_set,
                                             std::int64_t version) {
  TRY_ASSIGN(sql::Statement rows,
             database.query("SELECT levels FROM image_set_versions WHERE image_set = ?"
                            " AND version <= ? AND levels IS NOT NULL"
                            " ORDER BY version DESC LIMIT 1",
                            {image_set, version}));
  TRY_ASSIGN(const bool changed, rows.next());
  if (!changed) return std::optional<Levels>{};
  TRY_ASSIGN(Levels levels, parse_levels(rows.blob(0)));
  return std::optional<Levels>(std::move(levels));
}

Result<Levels> levels_of(sql::Database& database, const std::string& image_set,
                         std::int64_t version) {
  TRY_ASSIGN(std::optional<Levels> changed, changed_levels(database, image_set, version));
  if (changed) return std::move(*changed);
  TRY_ASSIGN(sql::Statement rows,
             database.query("SELECT examination FROM instances WHERE image_set = ?1"
                            " AND first_version <= ?2 AND (end_version IS NULL OR end_version > ?2)"
                            " ORDER BY first_version, id LIMIT 1",
                            {image_set, version}));
  TRY_ASSIGN(const bool there, rows.next());
  if (!there) {
    return permanent_error("datastore.no_such_image_set", "The image set has no instances.");
  }
  TRY_ASSIGN(const json document, parse_document(rows.blob(0)));
  return levels_in(member(document, "metadata"));
}

Digest grouping_of(const Levels& levels) {
  GroupingElements elements;
  elements.study_date = word(levels.study, "StudyDate");
  elements.accession_number = word(levels.study, "AccessionNumber");
  elements.patient_id = word(levels.patient, "PatientID");
  elements.study_instance_uid = word(levels.study, "StudyInstanceUID");
  elements.study_id = word(levels.study, "StudyID");
  elements.series_instance_uid = word(levels.series, "SeriesInstanceUID");
  elements.series_number = word(levels.series, "SeriesNumber");
  return grouping_key(elements);
}

json search_attributes(const Levels& levels) {
  json attributes = json::object();
  const auto add = [&attributes](const json& level, std::initializer_list<const char*> keywords) {
    for (const char* keyword : keywords) {
      const std::string text = word(level, keyword);
      attributes[keyword] = text.empty() ? json(nullptr) : json(text);
    }
  };
  add(levels.patient, {"PatientID", "PatientName", "PatientBirthDate", "PatientSex"});
  add(levels.study, {"StudyInstanceUID", "StudyID", "StudyDescription", "StudyDate", "StudyTime",
                     "AccessionNumber", "ReferringPhysicianName"});
  add(levels.series,
      {"SeriesInstanceUID", "SeriesNumber", "Modality", "BodyPartExamined", "SeriesDescription"});
  return attributes;
}

Result<std::string> instance_attributes(const std::string& before, const json& document) {
  json attributes = json::parse(before, nullptr, false);
  if (!attributes.is_object()) return damaged();
  const json elements = member(member(document, "metadata"), "instance");
  const std::string number = word(elements, "InstanceNumber");
  attributes["InstanceNumber"] = number.empty() ? json(nullptr) : json(number);
  attributes.erase(kInstanceFacts);
  json facts = instance_facts_of(document);
  if (!facts.is_null()) attributes[kInstanceFacts] = std::move(facts);
  return dumped(attributes);
}

Result<void> describe_image_set(sql::Database& database, const std::string& image_set,
                                const json& attributes) {
  json of_set = attributes;
  of_set.erase(kInstanceFacts);
  TRY(database.run(
      "UPDATE image_sets SET attributes = ?, study_instance_uid = ?, series_instance_uid = ?,"
      " patient_id = ?, accession_number = ?, study_id = ?, study_moment = ?,"
      " referring_physician = ?,"
      " instance_count = (SELECT COUNT(*) FROM instances"
      "   WHERE image_set = image_sets.id AND end_version IS NULL)"
      " WHERE id = ?",
      {dumped(of_set), text_of(attributes, "StudyInstanceUID"),
       text_of(attributes, "SeriesInstanceUID"), text_of(attributes, "PatientID"),
       text_of(attributes, "AccessionNumber"), text_of(attributes, "StudyID"),
       study_moment(text_of(attributes, "StudyDate"), text_of(attributes, "StudyTime")),
       text_of(attributes, "ReferringPhysicianName"), image_set}));
  return write_search_columns(database, image_set, attributes);
}

}  // namespace isthmus::datastore
