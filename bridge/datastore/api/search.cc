#include "datastore/api/search.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "datastore/engine/image_sets.h"

namespace isthmus::datastore {

namespace hi = wire::healthimaging;

namespace {

Error invalid(std::string message) {
  return permanent_error("ValidationException", std::move(message));
}

// No row has this: two filters that contradict each other.
constexpr const char* kNothing = "\x01";

void narrow(std::optional<std::string>& field, const std::optional<std::string>& wanted) {
  if (!wanted) return;
  field = field && *field != *wanted ? kNothing : *wanted;
}

template <typename T>
void narrow_range(std::optional<T>& from, std::optional<T>& to, const T& lower, const T& upper) {
  from = from ? std::max(*from, lower) : lower;
  to = to ? std::min(*to, upper) : upper;
}

std::string moment_of(const hi::SearchValue::StudyDateAndTime& when, bool upper) {
  return study_moment(when.study_date, when.study_time.value_or(""), upper);
}

Result<void> apply_between(const hi::SearchFilter& filter, ImageSetQuery& query) {
  if (filter.values.size() != 2) return invalid("BETWEEN takes a lower and an upper value.");
  const hi::SearchValue& lower = filter.values[0];
  const hi::SearchValue& upper = filter.values[1];
  if (lower.created_at && upper.created_at) {
    if (*lower.created_at > *upper.created_at) return invalid("createdAt: bounds are swapped.");
    narrow_range(query.created_from, query.created_to, *lower.created_at, *upper.created_at);
    return {};
  }
  if (lower.updated_at && upper.updated_at) {
    if (*lower.updated_at > *upper.updated_at) return invalid("updatedAt: bounds are swapped.");
    narrow_range(query.updated_from, query.updated_to, *lower.updated_at, *upper.updated_at);
    return {};
  }
  if (lower.study_date_and_time && upper.study_date_and_time) {
    const std::string from = moment_of(*lower.study_date_and_time, false);
    const std::string to = moment_of(*upper.study_date_and_time, true);
    if (from.empty() || to.empty() || from > to) {
      return invalid("DICOMStudyDateAndTime: the bounds are swapped or no dates.");
    }
    narrow_range(query.study_from, query.study_to, from, to);
    return {};
  }
  return invalid("BETWEEN takes two values of createdAt, updatedAt or DICOMStudyDateAndTime.");
}

Result<void> apply_equal(const hi::SearchFilter& filter, ImageSetQuery& query) {
  if (filter.values.size() != 1) return invalid("EQUAL takes exactly one value.");
  const hi::SearchValue& value = filter.values[0];
  narrow(query.patient_id, value.patient_id);
  narrow(query.accession_number, value.accession_number);
  narrow(query.study_id, value.study_id);
  narrow(query.study_instance_uid, value.study_instance_uid);
  narrow(query.series_instance_uid, value.series_instance_uid);
  if (value.created_at) {
    narrow_range(query.created_from, query.created_to, *value.created_at, *value.created_at);
  }
  if (value.updated_at) {
    narrow_range(query.updated_from, query.updated_to, *value.updated_at, *value.updated_at);
  }
  if (value.study_date_and_time) {
    // Without a time: the whole day.
    narrow_range(query.study_from, query.study_to, moment_of(*value.study_date_and_time, false),
                 moment_of(*value.study_date_and_time, !value.study_date_and_time->study_time));
  }
  if (value.is_primary) {
    if (query.is_primary && *query.is_primary != *value.is_primary) query.patient_id = kNothing;
    query.is_primary = value.is_primary;
  }
  return {};
}

// What a page belongs to: a token of another search would skip or repeat results.
std::string criteria_of(hi::SearchImageSetsRequest request) {
  request.next_token.reset();
  request.max_results.reset();
  const hi::Call call = hi::to_call(request);
  return sha256(call.target + "\n" + call.body).hex().substr(0, 16);
}

Result<ImageSetQuery::Position> read_token(const hi::SearchImageSetsRequest& request,
                                           SearchOrder order) {
  const Error wrong = invalid("nextToken is not of this search.");
  const std::optional<Bytes> raw = from_base64(*request.next_token);
  if (!raw) return wrong;
  const auto parts = nlohmann::json::parse(as_text(*raw), nullptr, false);
  if (!parts.is_array() || parts.size() != 3 ||
      !std::ranges::all_of(parts, [](const auto& part) { return part.is_string(); })) {
    return wrong;
  }
  ImageSetQuery::Position position{parts[1].get<std::string>(), parts[2].get<std::string>()};
  const bool number =
      !position.value.empty() && position.value.size() <= 18 &&
      std::ranges::all_of(position.value, [](char c) { return c >= '0' && c <= '9'; });
  if (parts[0].get<std::string>() != criteria_of(request) ||
      (order != SearchOrder::study_moment && !number)) {
    return wrong;
  }
  return position;
}

std::optional<std::string> text_of(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

// SeriesNumber is an integer in the answer, and text in the file (IS, PS3.5 section 6.2).
std::optional<std::int64_t> integer_of(const nlohmann::json& object, const char* name) {
  std::optional<std::string> text = text_of(object, name);
  if (!text) return std::nullopt;
  std::string_view digits = *text;
  while (digits.starts_with(' ') || digits.starts_with('+')) digits.remove_prefix(1);
  while (digits.ends_with(' ')) digits.remove_suffix(1);
  std::int32_t number = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (failure != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

}  // namespace

Result<ImageSetQuery> to_query(const hi::SearchImageSetsRequest& request) {
  ImageSetQuery query;
  if (request.filters) {
    for (const hi::SearchFilter& filter : *request.filters) {
      const bool between = filter.filter_operator == "BETWEEN";
      TRY(between ? apply_between(filter, query) : apply_equal(filter, query));
    }
  }
  if (request.sort) {
    query.descending = request.sort->order == "DESC";
    if (request.sort->field == "createdAt") query.order = SearchOrder::created_at;
    if (request.sort->field == "DICOMStudyDateAndTime") query.order = SearchOrder::study_moment;
  }
  query.limit = static_cast<std::size_t>(request.max_results.value_or(50));
  if (request.next_token) {
    TRY_ASSIGN(query.after, read_token(request, query.order));
  }
  return query;
}

std::string search_token(const hi::SearchImageSetsRequest& request, const ImageSetQuery& query,
                         const ImageSetSummary& last) {
  const nlohmann::json parts = {criteria_of(request), position_value(last, query.order), last.id};
  return to_base64(as_bytes(parts.dump()));
}

hi::ImageSetsMetadataSummary to_wire(const ImageSetSummary& summary) {
  hi::ImageSetsMetadataSummary answer;
  answer.image_set_id = summary.id;
  answer.version = summary.version;
  answer.created_at = summary.created_at;
  answer.updated_at = summary.updated_at;
  answer.last_accessed_at = summary.accessed_at;
  answer.is_primary = summary.is_primary;
  const auto parsed = nlohmann::json::parse(summary.attributes, nullptr, false);
  const nlohmann::json attributes = parsed.is_object() ? parsed : nlohmann::json::object();
  hi::DICOMTags& tags = answer.tags;
  tags.patient_id = text_of(attributes, "PatientID");
  tags.patient_name = text_of(attributes, "PatientName");
  tags.patient_birth_date = text_of(attributes, "PatientBirthDate");
  tags.patient_sex = text_of(attributes, "PatientSex");
  tags.study_instance_uid = text_of(attributes, "StudyInstanceUID");
  tags.study_id = text_of(attributes, "StudyID");
  tags.study_description = text_of(attributes, "StudyDescription");
  tags.number_of_study_related_series = summary.study_series;
  tags.number_of_study_related_instances = summary.study_instances;
  tags.accession_number = text_of(attributes, "AccessionNumber");
  tags.series_instance_uid = text_of(attributes, "SeriesInstanceUID");
  tags.series_modality = text_of(attributes, "Modality");
  tags.series_body_part = text_of(attributes, "BodyPartExamined");
  tags.series_number = integer_of(attributes, "SeriesNumber");
  tags.study_date = text_of(attributes, "StudyDate");
  tags.study_time = text_of(attributes, "StudyTime");
  return answer;
}

}  // namespace isthmus::datastore
