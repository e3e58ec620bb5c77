#include "datastore/engine/examination.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "datastore/engine/deflate.h"
#include "datastore/engine/image_sets.h"
#include "datastore/engine/pixel_layout.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;

Error unexpected(const char* what) {
  return permanent_error("datastore.worker_answer",
                         std::string("The import worker's answer has no usable ") + what + ".");
}

// A string member; empty when it is null or absent.
std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

const json& member(const json& object, const char* name) {
  static const json none = json::object();
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : none;
}

std::string dumped(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

Digest grouping_of(const json& grouping) {
  const json& study = member(grouping, "study");
  const json& series = member(grouping, "series");
  GroupingElements elements;
  elements.study_date = text_of(study, "StudyDate");
  elements.accession_number = text_of(study, "AccessionNumber");
  elements.patient_id = text_of(study, "PatientID");
  elements.study_instance_uid = text_of(study, "StudyInstanceUID");
  elements.study_id = text_of(study, "StudyID");
  elements.series_instance_uid = text_of(series, "SeriesInstanceUID");
  elements.series_number = text_of(series, "SeriesNumber");
  return grouping_key(elements);
}

// Whoever reads it later takes a document that is no JSON object for a damaged catalogue.
Result<Bytes> document_of(std::string_view text) {
  if (!text.starts_with('{') || !json::accept(text)) return unexpected("document");
  return deflate_text(text);
}

Result<void> read_pixels(const json& answer, Examination& examination) {
  const json& pixels = member(answer, "pixelData");
  if (pixels.empty()) return {};
  const auto offset = answer.find("datasetOffset");
  const std::optional<Bytes> records = from_base64(text_of(pixels, "records"));
  const auto description = description_from_json(member(pixels, "description"));
  if (!records || records->size() % kFrameRecordBytes != 0 || !description ||
      offset == answer.end() || !offset->is_number_integer()) {
    return unexpected("\"pixelData\"");
  }
  examination.dataset_offset = offset->get<std::int64_t>();
  examination.pixel_description = dumped(to_json(*description));
  examination.pixel_records = *records;
  return {};
}

}  // namespace

Result<Examination> parse_examination(std::string_view line) {
  const std::size_t end = std::min(line.find('\t'), line.size());
  const json answer = json::parse(line.substr(0, end), nullptr, false);
  if (!answer.is_object() || !answer.contains("ok") || !answer["ok"].is_boolean()) {
    return unexpected("\"ok\"");
  }
  Examination examination;
  examination.warnings = "[]";
  if (!answer["ok"].get<bool>()) {
    const std::string type = text_of(answer, "exceptionType");
    if (type.empty()) return unexpected("\"exceptionType\"");
    return failed_examination(type, text_of(answer, "message"));
  }
  const json& identity = member(answer, "identity");
  examination.sop_class_uid = text_of(identity, "sopClassUID");
  examination.sop_instance_uid = text_of(identity, "sopInstanceUID");
  examination.series_instance_uid = text_of(identity, "seriesInstanceUID");
  if (examination.sop_instance_uid.empty() || examination.series_instance_uid.empty()) {
    return unexpected("\"identity\"");
  }
  if (const auto found = answer.find("warnings"); found != answer.end() && found->is_array()) {
    examination.warnings = dumped(*found);
  }
  examination.grouping = grouping_of(member(answer, "grouping"));
  examination.attributes = dumped(member(answer, "tags"));
  TRY_ASSIGN(examination.document, document_of(line.substr(std::min(end + 1, line.size()))));
  TRY(read_pixels(answer, examination));
  return examination;
}

Examination failed_examination(std::string failure_type, std::string message) {
  Examination examination;
  examination.failure_type = std::move(failure_type);
  examination.failure_message = message.empty() ? "The file cannot be imported." : message;
  examination.warnings = "[]";
  return examination;
}

}  // namespace isthmus::datastore
