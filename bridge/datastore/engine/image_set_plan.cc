// Planning changes: documents are held against what the image sets hold now. The sets are LOCKED,
// so what is read here is still so when the plan is applied.
#include <algorithm>
#include <set>

#include "datastore/engine/deflate.h"
#include "datastore/engine/image_set_work.h"
#include "datastore/engine/update_document.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;

// In the form of the service's own (ListImageSetVersions example of the developer guide).
Error failed(const std::string& why) {
  return permanent_error("datastore.change_failed", "INVALID_REQUEST: " + why);
}

Error damaged() {
  return fatal_error("datastore.io", "A row of the catalogue is damaged.");
}

std::optional<std::string> text_at(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

Result<std::optional<UpdateDocument>> document_at(const json& work, const char* name) {
  const std::optional<std::string> text = text_at(work, name);
  if (!text) return std::optional<UpdateDocument>{};
  TRY_ASSIGN(UpdateDocument document, parse_update_document(*text));
  return std::optional<UpdateDocument>(std::move(document));
}

void put(const json& elements, json& into) {
  for (const auto& [key, value] : elements.items()) into[key] = value;
}

// Key and value must be what is stored (contracts/healthimaging/README.md section 5).
Result<void> take(const json& elements, json& from) {
  for (const auto& [key, value] : elements.items()) {
    const auto stored = from.find(key);
    if (stored == from.end() || *stored != value) {
      return failed("an attribute to remove is not in the image set with that value.");
    }
    from.erase(stored);
  }
  return {};
}

bool is_private_key(const std::string& key) {
  return key.size() == 8 && key.find_first_not_of("0123456789ABCDEF") == std::string::npos;
}

struct CurrentRow {
  std::int64_t id = 0;
  Bytes examination;
  std::string attributes;
};

Result<CurrentRow> current_row(sql::Database& database, const std::string& image_set,
                               const std::string& sop_instance_uid) {
  TRY_ASSIGN(sql::Statement rows,
             database.query("SELECT id, examination, attributes FROM instances WHERE image_set = ?"
                            " AND sop_instance_uid = ? AND end_version IS NULL",
                            {image_set, sop_instance_uid}));
  TRY_ASSIGN(const bool there, rows.next());
  if (!there) return failed("an instance that the request names is not in the image set.");
  return CurrentRow{rows.integer(0), rows.blob(1), rows.text(2)};
}

struct Documents {
  std::optional<UpdateDocument> removable, updatable;
};

// Changes one instance's own level; the document goes back compressed.
Result<InstanceEdit> edit_instance(const CurrentRow& row, const std::string& sop_instance_uid,
                                   const UpdateDocument::Instance* less,
                                   const UpdateDocument::Instance* more) {
  TRY_ASSIGN(json document, parse_document(row.examination));
  json& metadata = document["metadata"];
  if (!metadata.is_object()) return damaged();
  json& elements = metadata["instance"];
  json& vrs = metadata["DICOMVRs"];
  if (!elements.is_object()) elements = json::object();
  if (!vrs.is_object()) vrs = json::object();
  if (less != nullptr) {
    TRY(take(less->elements, elements));
    for (const auto& [key, value] : less->elements.items()) vrs.erase(key);
  }
  if (more != nullptr) {
    put(more->vrs, vrs);
    for (const auto& [key, value] : more->elements.items()) {
      if (is_private_key(key) && !vrs.contains(key)) {
        return failed("DICOMVRs must name the VR of a new private attribute.");
      }
    }
    put(more->elements, elements);
  }
  InstanceEdit edit{row.id, text_at(elements, "SOPInstanceUID").value_or(sop_instance_uid), {}, {}};
  edit.examination = print_document(document);
  TRY_ASSIGN(edit.attributes, instance_attributes(row.attributes, document));
  return edit;
}

const UpdateDocument::Series* series_in(const std::optional<UpdateDocument>& document,
                                        const std::string& uid) {
  if (!document) return nullptr;
  const auto found = document->series.find(uid);
  return found == document->series.end() ? nullptr : &found->second;
}

const UpdateDocument::Instance* instance_in(const UpdateDocument::Series* series,
                                            const std::string& uid) {
  if (series == nullptr) return nullptr;
  const auto found = series->instances.find(uid);
  return found == series->instances.end() ? nullptr : &found->second;
}

Result<void> plan_instances(sql::Database& database, const UpdateDocument::Series* less,
                            const UpdateDocument::Series* more, ImageSetPlan& plan) {
  std::set<std::string> named;
  for (const UpdateDocument::Series* series : {less, more}) {
    if (series == nullptr) continue;
    for (const auto& [uid, instance] : series->instances) named.insert(uid);
  }
  for (const std::string& uid : named) {
    TRY_ASSIGN(const CurrentRow row, current_row(database, plan.id, uid));
    const UpdateDocument::Instance* gone = instance_in(less, uid);
    if (gone != nullptr && gone->named_only()) {
      plan.removed.push_back(row.id);
      continue;
    }
    TRY_ASSIGN(InstanceEdit edit, edit_instance(row, uid, gone, instance_in(more, uid)));
    if (edit.sop_instance_uid != uid && current_row(database, plan.id, edit.sop_instance_uid)) {
      return failed("the new SOPInstanceUID is another instance's.");
    }
    plan.edits.push_back(std::move(edit));
  }
  TRY_ASSIGN(const auto count,
             database.query_integer("SELECT COUNT(*) FROM instances WHERE image_set = ?"
                                    " AND end_version IS NULL",
                                    {plan.id}));
  if (!plan.removed.empty() &&
      static_cast<std::int64_t>(plan.removed.size()) >= count.value_or(0)) {
    return failed("the last instance of an image set is not removed: delete the image set.");
  }
  return {};
}

Result<ImageSetPlan> plan_set(sql::Database& database, const json& set, const Documents& documents,
                              std::set<std::string>& series_met) {
  ImageSetPlan plan{set.value("id", ""), set.value("version", std::int64_t{0}), {}, {}, {}};
  TRY_ASSIGN(plan.levels, levels_of(database, plan.id, plan.version));
  const std::string uid = plan.levels.series_instance_uid();
  series_met.insert(uid);
  const UpdateDocument::Series* less = series_in(documents.removable, uid);
  const UpdateDocument::Series* more = series_in(documents.updatable, uid);
  if (documents.removable) {
    TRY(take(documents.removable->patient, plan.levels.patient));
    TRY(take(documents.removable->study, plan.levels.study));
  }
  if (less != nullptr) TRY(take(less->elements, plan.levels.series));
  if (documents.updatable) {
    put(documents.updatable->patient, plan.levels.patient);
    put(documents.updatable->study, plan.levels.study);
  }
  if (more != nullptr) put(more->elements, plan.levels.series);
  TRY(plan_instances(database, less, more, plan));
  return plan;
}

Result<ChangePlan> plan_update(sql::Database& database, const json& work) {
  ChangePlan plan;
  const json& sets = work["sets"];
  if (work.contains("revertTo")) {
    ImageSetPlan set{
        sets[0].value("id", ""), sets[0].value("version", std::int64_t{0}), {}, {}, {}};
    TRY_ASSIGN(set.levels, levels_of(database, set.id, work.value("revertTo", std::int64_t{0})));
    plan.updates.push_back(std::move(set));
    return plan;
  }
  Documents documents;
  TRY_ASSIGN(documents.removable, document_at(work, "removable"));
  TRY_ASSIGN(documents.updatable, document_at(work, "updatable"));
  std::set<std::string> series_met;
  for (const json& set : sets) {
    TRY_ASSIGN(ImageSetPlan one, plan_set(database, set, documents, series_met));
    plan.updates.push_back(std::move(one));
  }
  for (const auto* document : {&documents.removable, &documents.updatable}) {
    if (!*document) continue;
    for (const auto& [uid, series] : (*document)->series) {
      if (!series_met.contains(uid)) {
        return failed("a series that the request names is not in the image set.");
      }
    }
  }
  return plan;
}

Result<void> select_rows(sql::Database& database, const json& work, ChangePlan& plan) {
  const std::optional<std::string> copiable = text_at(work, "copiable");
  const std::string source = work.value("source", "");
  if (copiable) {
    TRY_ASSIGN(const std::vector<std::string> instances, parse_copiable(*copiable));
    for (const std::string& uid : instances) {
      TRY_ASSIGN(const CurrentRow row, current_row(database, source, uid));
      plan.copied.push_back(row.id);
    }
    return {};
  }
  TRY_ASSIGN(sql::Statement rows,
             database.query("SELECT id FROM instances WHERE image_set = ? AND end_version IS NULL"
                            " ORDER BY first_version, id",
                            {source}));
  while (true) {
    TRY_ASSIGN(const bool more, rows.next());
    if (!more) return {};
    plan.copied.push_back(rows.integer(0));
  }
}

// The words of the first are the service's.
Result<void> must_agree(const Levels& source, const Levels& destination) {
  if (source.series_instance_uid() != destination.series_instance_uid()) {
    return failed("Series of SourceImageSet and DestinationImageSet don't match.");
  }
  const auto differ = [](const char* level) {
    return failed(std::string(level) +
                  " attributes of SourceImageSet and DestinationImageSet don't match.");
  };
  if (source.patient != destination.patient) return differ("Patient");
  if (source.study != destination.study) return differ("Study");
  if (source.series != destination.series) return differ("Series");
  return {};
}

// One primary set per series, and primary sets of one study agree about it.
Result<void> may_be_primary(sql::Database& database, const ChangeRow& row, const Levels& levels,
                            const std::string& destination, bool forced) {
  const json wanted = search_attributes(levels);
  TRY_ASSIGN(const auto taken,
             database.query_integer("SELECT 1 FROM image_sets WHERE data_store = ?"
                                    " AND series_instance_uid = ? AND is_primary = 1 AND id <> ?",
                                    {row.data_store, levels.series_instance_uid(), destination}));
  if (taken) return failed("the series has a primary image set already.");
  if (forced) return {};
  TRY_ASSIGN(sql::Statement rows,
             database.query("SELECT attributes FROM image_sets WHERE data_store = ?"
                            " AND study_instance_uid = ? AND is_primary = 1 AND id <> ?",
                            {row.data_store, text_at(wanted, "StudyInstanceUID"), destination}));
  while (true) {
    TRY_ASSIGN(const bool more, rows.next());
    if (!more) return {};
    const json other = json::parse(rows.text(0), nullptr, false);
    if (!other.is_object()) return damaged();
    for (const char* name : {"PatientID", "StudyDate", "AccessionNumber", "StudyID"}) {
      if (text_at(other, name) != text_at(wanted, name)) {
        return failed("the primary image sets of the study have other attributes.");
      }
    }
  }
}

Result<ChangePlan> plan_copy(sql::Database& database, const ChangeRow& row) {
  const json& work = row.work;
  ChangePlan plan;
  TRY_ASSIGN(Levels source, levels_of(database, work.value("source", ""),
                                      work.value("sourceVersion", std::int64_t{0})));
  TRY(select_rows(database, work, plan));
  const std::string destination = work.value("destination", "");
  const bool forced = work.value("forced", false);
  Result<Levels> there = levels_of(database, destination, work.value("version", std::int64_t{0}));
  if (!there && there.error().code != "datastore.no_such_image_set") return there.error();
  if (there && !forced) TRY(must_agree(source, *there));
  // A new set has those of its source; one that is there keeps its own.
  plan.destination_levels = there ? std::move(*there) : std::move(source);
  if (work.value("promote", false)) {
    TRY(may_be_primary(database, row, plan.destination_levels, destination, forced));
  }
  return plan;
}

}  // namespace

Result<ChangePlan> plan_change(sql::Database& database, const ChangeRow& row) {
  if (row.kind == "update") return plan_update(database, row.work);
  if (row.kind == "copy") return plan_copy(database, row);
  return ChangePlan{};
}

namespace {

Result<std::uint64_t> document_bytes(sql::Database& database, const std::string& image_set) {
  TRY_ASSIGN(sql::Statement rows,
             database.query("SELECT examination FROM instances WHERE image_set = ?"
                            " AND end_version IS NULL",
                            {image_set}));
  std::uint64_t bytes = 0;
  while (true) {
    TRY_ASSIGN(const bool more, rows.next());
    if (!more) return bytes;
    TRY_ASSIGN(const std::string text, inflate_text(rows.blob(0)));
    bytes += text.size();
  }
}

}  // namespace

Result<std::uint64_t> planned_bytes(sql::Database& database, const ChangeRow& row,
                                    const ChangePlan& plan) {
  std::uint64_t largest = 0;
  for (const ImageSetPlan& set : plan.updates) {
    TRY_ASSIGN(std::uint64_t bytes, document_bytes(database, set.id));
    for (const InstanceEdit& edit : set.edits) {
      TRY_ASSIGN(const std::string text, inflate_text(edit.examination));
      bytes += text.size();
    }
    largest = std::max(largest, bytes);
  }
  if (row.kind == "copy") {
    TRY_ASSIGN(std::uint64_t bytes, document_bytes(database, row.work.value("destination", "")));
    for (const std::int64_t copied : plan.copied) {
      TRY_ASSIGN(sql::Statement rows, database.query("SELECT examination FROM instances"
                                                     " WHERE id = ?",
                                                     {copied}));
      TRY_ASSIGN(const bool there, rows.next());
      if (!there) continue;
      TRY_ASSIGN(const std::string text, inflate_text(rows.blob(0)));
      bytes += text.size();
    }
    largest = std::max(largest, bytes);
  }
  return largest;
}

Result<std::int64_t> count_frames(sql::Database& database, const std::string& image_set,
                                  const std::optional<std::vector<std::string>>& instances) {
  TRY_ASSIGN(sql::Statement rows,
             database.query("SELECT sop_instance_uid, examination FROM instances"
                            " WHERE image_set = ? AND end_version IS NULL",
                            {image_set}));
  std::int64_t frames = 0;
  while (true) {
    TRY_ASSIGN(const bool more, rows.next());
    if (!more) return frames;
    if (instances && std::ranges::find(*instances, rows.text(0)) == instances->end()) continue;
    TRY_ASSIGN(const json document, parse_document(rows.blob(1)));
    const auto count = document.find("frames");
    if (count != document.end() && count->is_number_integer()) frames += count->get<std::int64_t>();
  }
}

}  // namespace isthmus::datastore
