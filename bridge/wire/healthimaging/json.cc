#include "wire/healthimaging/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "wire/text.h"

namespace isthmus::wire::healthimaging {

namespace {

const Json kEmptyObject = Json::object();
const Json kEmptyArray = Json::array();

const Json* member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

}  // namespace

std::string dumped(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

std::optional<Json> parsed_json(std::string_view text) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return std::nullopt;
  return json;
}

double seconds_of(WallTime time) {
  return static_cast<double>(time.time_since_epoch().count()) / 1000.0;
}

std::optional<WallTime> time_of(double seconds) {
  constexpr double kMost = 253402300799.0;  // the last second of the year 9999
  if (!(seconds >= -kMost && seconds <= kMost)) return std::nullopt;
  return WallTime(Milliseconds(std::llround(seconds * 1000.0)));
}

Error validation_error(std::string_view member_name, std::string_view constraint) {
  return permanent_error(
      "ValidationException",
      fmt::format("1 validation error detected: Value at '{}' failed to satisfy constraint: {}",
                  member_name, constraint));
}

Error malformed_error(std::string_view what) {
  return permanent_error("healthimaging.malformed", fmt::format("The {} cannot be read.", what));
}

Checked::Checked(const Json& object, std::string where, Faults& faults)
    : object_(object), where_(std::move(where)), faults_(faults) {}

const Json* Checked::find(const char* name) const {
  return member(object_, name);
}

void Checked::fault(const char* name, std::string_view constraint) {
  faults_.note(validation_error(where(name), constraint));
}

void Checked::require(const char* name) {
  if (find(name) == nullptr) fault(name, "Member must not be null");
}

std::optional<std::string> Checked::text(const char* name, Shape shape) {
  const Json* const found = find(name);
  if (found == nullptr) return std::nullopt;
  if (!found->is_string()) {
    fault(name, "Member must be a string");
    return std::nullopt;
  }
  std::string value = found->get<std::string>();
  faults_.note(check(shape, where(name), value));
  return value;
}

std::string Checked::required_text(const char* name, Shape shape) {
  require(name);
  return text(name, shape).value_or("");
}

std::optional<WallTime> Checked::time(const char* name) {
  const Json* const found = find(name);
  if (found == nullptr) return std::nullopt;
  const auto time = found->is_number() ? time_of(found->get<double>()) : std::nullopt;
  if (!time) fault(name, "Member must be a timestamp in seconds");
  return time;
}

std::optional<bool> Checked::boolean(const char* name) {
  const Json* const found = find(name);
  if (found == nullptr) return std::nullopt;
  if (!found->is_boolean()) {
    fault(name, "Member must be a boolean");
    return std::nullopt;
  }
  return found->get<bool>();
}

const Json* Checked::object(const char* name) {
  const Json* const found = find(name);
  if (found == nullptr || found->is_object()) return found;
  fault(name, "Member must be an object");
  return nullptr;
}

const Json* Checked::array(const char* name, std::size_t min, std::size_t max) {
  const Json* const found = find(name);
  if (found == nullptr) return nullptr;
  if (!found->is_array()) {
    fault(name, "Member must be a list");
    return nullptr;
  }
  if (found->size() < min) {
    fault(name, fmt::format("Member must have length greater than or equal to {}", min));
    return nullptr;
  }
  if (found->size() > max) {
    fault(name, fmt::format("Member must have length less than or equal to {}", max));
    return nullptr;
  }
  return found;
}

std::size_t Checked::present() const {
  if (!object_.is_object()) return 0;
  return static_cast<std::size_t>(
      std::ranges::count_if(object_, [](const Json& value) { return !value.is_null(); }));
}

Parameters::Parameters(const Incoming& incoming, Faults& faults)
    : incoming_(incoming), pairs_(http::parse_query(incoming.query)), faults_(faults) {}

std::string Parameters::path(const char* name, Shape shape) {
  const auto found = incoming_.path.find(name);
  if (found == incoming_.path.end()) {
    faults_.note(validation_error(name, "Member must not be null"));
    return {};
  }
  faults_.note(check(shape, name, found->second));
  return found->second;
}

std::optional<std::string> Parameters::find(const char* name) const {
  for (const auto& [key, value] : pairs_) {
    if (key == name) return value;
  }
  return std::nullopt;
}

std::optional<std::string> Parameters::query(const char* name, Shape shape) {
  const std::optional<std::string> value = find(name);
  if (value) faults_.note(check(shape, name, *value));
  return value;
}

std::optional<int> Parameters::query_count(const char* name, int min, int max) {
  const std::optional<std::string> text = find(name);
  if (!text) return std::nullopt;
  const auto value = digits(*text);
  if (!value || *value < min || *value > max) {
    faults_.note(validation_error(
        name, !value || *value < min
                  ? fmt::format("Member must have value greater than or equal to {}", min)
                  : fmt::format("Member must have value less than or equal to {}", max)));
    return std::nullopt;
  }
  return static_cast<int>(*value);
}

std::string Parameters::required_query(const char* name, Shape shape) {
  const std::optional<std::string> value = query(name, shape);
  if (!value) faults_.note(validation_error(name, "Member must not be null"));
  return value.value_or("");
}

std::optional<bool> Parameters::query_flag(const char* name) {
  const std::optional<std::string> text = find(name);
  if (!text) return std::nullopt;
  if (*text != "true" && *text != "false") {
    faults_.note(validation_error(name, "Member must be true or false"));
  }
  return *text == "true";
}

std::vector<std::string> Parameters::query_all(const char* name, Shape shape, std::size_t max) {
  std::vector<std::string> values;
  for (const auto& [key, value] : pairs_) {
    if (key != name) continue;
    faults_.note(check(shape, fmt::format("{}.{}.member", name, values.size() + 1), value));
    values.push_back(value);
  }
  if (values.empty()) faults_.note(validation_error(name, "Member must not be null"));
  if (values.size() > max) {
    faults_.note(validation_error(
        name, fmt::format("Member must have length less than or equal to {}", max)));
  }
  return values;
}

Target::Target(std::string_view path_template, std::initializer_list<std::string_view> values) {
  auto value = values.begin();
  while (!path_template.empty()) {
    const std::size_t open = path_template.find('{');
    text_ += path_template.substr(0, open);
    if (open == std::string_view::npos) break;
    ASSERT(value != values.end());
    text_ += http::percent_encode(*value++, false);
    path_template.remove_prefix(path_template.find('}') + 1);
  }
}

Target& Target::with(const char* name, const std::optional<std::string>& value) {
  const bool queried = text_.find('?') != std::string::npos;
  if (value) text_ += (queried ? "&" : "?") + (name + ("=" + http::percent_encode(*value, false)));
  return *this;
}

Target& Target::with(const char* name, const std::optional<int>& value) {
  return value ? with(name, std::optional(std::to_string(*value))) : *this;
}

Target& Target::with_flag(const char* name, const std::optional<bool>& value) {
  return value ? with(name, std::optional<std::string>(*value ? "true" : "false")) : *this;
}

Json body_of(std::string_view body, const char* payload, Faults& faults) {
  if (body.empty() && payload != nullptr) return Json::object();
  std::optional<Json> json = parsed_json(body);
  if (json && json->is_object()) return std::move(*json);
  faults.note(validation_error(payload != nullptr ? payload : "body", "Member must be an object"));
  return Json::object();
}

void read_tags(Checked& members, const char* name, std::map<std::string, std::string>& tags,
               Faults& faults) {
  const Json* const object = members.object(name);
  if (object == nullptr) return;
  for (const auto& [key, value] : object->items()) {
    faults.note(check(Shape::TagKey, fmt::format("{}.key", members.where(name)), key));
    const std::string place = fmt::format("{}.value", members.where(name));
    if (!value.is_string()) {
      faults.note(validation_error(place, "Member must be a string"));
      continue;
    }
    tags[key] = value.get<std::string>();
    faults.note(check(Shape::TagValue, place, tags[key]));
  }
}

std::optional<std::string> Fields::text(const char* name) const {
  const Json* const found = member(object_, name);
  if (found == nullptr || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

std::string Fields::required_text(const char* name) {
  std::optional<std::string> value = text(name);
  if (!value && !error_) error_ = malformed_error(fmt::format("answer's member {}", name));
  return std::move(value).value_or("");
}

std::optional<std::int64_t> Fields::integer(const char* name) const {
  const Json* const found = member(object_, name);
  if (found == nullptr || !found->is_number_integer()) return std::nullopt;
  return found->get<std::int64_t>();
}

std::optional<bool> Fields::boolean(const char* name) const {
  const Json* const found = member(object_, name);
  if (found == nullptr || !found->is_boolean()) return std::nullopt;
  return found->get<bool>();
}

std::optional<WallTime> Fields::time(const char* name) const {
  const Json* const found = member(object_, name);
  if (found == nullptr || !found->is_number()) return std::nullopt;
  return time_of(found->get<double>());
}

const Json& Fields::object(const char* name) const {
  const Json* const found = member(object_, name);
  return found != nullptr && found->is_object() ? *found : kEmptyObject;
}

const Json& Fields::array(const char* name) const {
  const Json* const found = member(object_, name);
  return found != nullptr && found->is_array() ? *found : kEmptyArray;
}

const Json& Fields::required_object(const char* name) {
  const Json* const found = member(object_, name);
  if (found != nullptr && found->is_object()) return *found;
  if (!error_) error_ = malformed_error(fmt::format("answer's member {}", name));
  return kEmptyObject;
}

ImportConfiguration read_import_configuration(const Json& union_json, const std::string& where,
                                              Faults& faults) {
  ImportConfiguration configuration;
  Checked members(union_json, where, faults);
  constexpr const char* kMember = "dicomJsonMetadataImportConfiguration";
  const Json* const metadata = members.object(kMember);
  if (metadata == nullptr || members.present() != 1) {
    members.fault(kMember, "Exactly one member of the union must be set");
    return configuration;
  }
  Checked inner(*metadata, members.where(kMember) + ".", faults);
  constexpr const char* kMappings = "dicomMetadataMappings";
  inner.require(kMappings);
  const Json* const mappings = inner.array(kMappings, 1, 1000);
  if (mappings == nullptr) return configuration;
  for (std::size_t at = 0; at < mappings->size(); ++at) {
    const std::string place = fmt::format("{}.{}.member.", inner.where(kMappings), at + 1);
    if (!(*mappings)[at].is_object()) {
      faults.note(validation_error(place, "Member must be an object"));
      continue;
    }
    Checked one((*mappings)[at], place, faults);
    configuration.dicom_metadata_mappings.push_back(
        {one.required_text("studyInstanceUID", Shape::DICOMStudyInstanceUID),
         one.text("seriesInstanceUID", Shape::DICOMSeriesInstanceUID),
         one.required_text("metadataFilePath", Shape::MetadataFilePath)});
  }
  return configuration;
}

OrderedJson json_of(const ImportConfiguration& configuration) {
  OrderedJson mappings = OrderedJson::array();
  for (const MetadataMapping& mapping : configuration.dicom_metadata_mappings) {
    OrderedJson one;
    one["studyInstanceUID"] = mapping.study_instance_uid;
    put(one, "seriesInstanceUID", mapping.series_instance_uid);
    one["metadataFilePath"] = mapping.metadata_file_path;
    mappings.push_back(std::move(one));
  }
  OrderedJson json;
  json["dicomJsonMetadataImportConfiguration"]["dicomMetadataMappings"] = std::move(mappings);
  return json;
}

OrderedJson json_of(const SearchSort& sort) {
  OrderedJson json;
  json["sortOrder"] = sort.order;
  json["sortField"] = sort.field;
  return json;
}

}  // namespace isthmus::wire::healthimaging
