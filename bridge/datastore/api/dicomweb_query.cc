#include "datastore/api/dicomweb_query.h"

#include <algorithm>
#include <charconv>
#include <span>

#include "datastore/engine/instance_facts.h"
#include "datastore/engine/levels.h"
#include "wire/dicom_json.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;

constexpr std::size_t kMostOffset = 1'000'000;  // quotas.json
constexpr std::size_t kMostFields = 50;         // quotas.json
constexpr std::size_t kMostValue = 16 * KiB;
constexpr std::size_t kMostWords = 8;

struct Attribute {
  const char* keyword;
  const char* tag;
  const char* vr;
  QueryLevel level;
};

// What is searched by and given back (PS3.18 Tables 10.6.1-5, 10.6.3-3 to -5).
constexpr Attribute kAttributes[] = {
    {"StudyDate", "00080020", "DA", QueryLevel::study},
    {"StudyTime", "00080030", "TM", QueryLevel::study},
    {"AccessionNumber", "00080050", "SH", QueryLevel::study},
    {"ModalitiesInStudy", "00080061", "CS", QueryLevel::study},
    {"ReferringPhysicianName", "00080090", "PN", QueryLevel::study},
    {"StudyDescription", "00081030", "LO", QueryLevel::study},
    {"PatientName", "00100010", "PN", QueryLevel::study},
    {"PatientID", "00100020", "LO", QueryLevel::study},
    {"PatientBirthDate", "00100030", "DA", QueryLevel::study},
    {"PatientSex", "00100040", "CS", QueryLevel::study},
    {"StudyInstanceUID", "0020000D", "UI", QueryLevel::study},
    {"StudyID", "00200010", "SH", QueryLevel::study},
    {"Modality", "00080060", "CS", QueryLevel::series},
    {"SeriesDescription", "0008103E", "LO", QueryLevel::series},
    {"BodyPartExamined", "00180015", "CS", QueryLevel::series},
    {"SeriesInstanceUID", "0020000E", "UI", QueryLevel::series},
    {"SeriesNumber", "00200011", "IS", QueryLevel::series},
    {"SOPInstanceUID", "00080018", "UI", QueryLevel::instance},
    {"InstanceNumber", "00200013", "IS", QueryLevel::instance},
};
// Of an instance's metadata, besides.
constexpr Attribute kInstanceAttributes[] = {
    {"SOPClassUID", "00080016", "UI", QueryLevel::instance},
    {"Rows", "00280010", "US", QueryLevel::instance},
    {"Columns", "00280011", "US", QueryLevel::instance},
    {"BitsAllocated", "00280100", "US", QueryLevel::instance},
    {"NumberOfFrames", "00280008", "IS", QueryLevel::instance},
};

Error invalid(std::string message) {
  return permanent_error("ValidationException", std::move(message));
}

const Attribute* find_attribute(std::string_view name) {
  const auto found = std::ranges::find_if(kAttributes, [&](const Attribute& attribute) {
    return name == attribute.keyword || name == attribute.tag;
  });
  return found == std::end(kAttributes) ? nullptr : found;
}

Result<std::size_t> number(const std::string& name, const std::string& text, std::size_t most) {
  std::size_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{} || end != text.data() + text.size() || value > most) {
    return invalid(name + " must be a number up to " + std::to_string(most) + ".");
  }
  return value;
}

std::vector<std::string> split(const std::string& text, std::string_view separators) {
  std::vector<std::string> pieces;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find_first_of(separators, begin), text.size());
    pieces.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return pieces;
}

bool is_digits(const std::string& text, std::string_view more = "") {
  return std::ranges::all_of(text, [&](char c) {
    return (c >= '0' && c <= '9') || more.find(c) != std::string_view::npos;
  });
}

// DICOM's wildcards are GLOB's, but GLOB has classes too.
std::string pattern_of(const std::string& text) {
  std::string pattern;
  for (const char c : text) {
    if (c == '[') {
      pattern += "[[]";
    } else {
      pattern += c;
    }
  }
  return pattern;
}

Result<QueryMatch> parse_match(const Attribute& attribute, const std::string& value, bool fuzzy) {
  QueryMatch match;
  match.keyword = attribute.keyword;
  const std::string_view vr = attribute.vr;
  if (value.size() > kMostValue) return invalid(match.keyword + " has too long a value.");
  if (vr == "DA" || vr == "TM") {
    if (!is_digits(value, vr == "TM" ? "-." : "-")) {
      return invalid(match.keyword + " is no date or time.");
    }
    const std::vector<std::string> ends = split(value, "-");
    if (ends.size() > 2) return invalid(match.keyword + " has a range of more than two ends.");
    match.kind = ends.size() == 2 ? QueryMatch::Kind::range : QueryMatch::Kind::equal;
    match.values = ends;
    if (vr == "DA" && std::ranges::any_of(ends, [](const std::string& day) {
          return !day.empty() && day.size() != 8;
        })) {
      return invalid(match.keyword + " is no date.");
    }
    // A time is a range as well: one that is written shorter takes everything it begins.
    if (vr == "TM" && ends.size() == 1) {
      match.kind = QueryMatch::Kind::range;
      match.values = {ends[0], ends[0]};
    }
    return match;
  }
  if (vr == "UI") {
    match.values = split(value, ",\\");
    const bool fits = std::ranges::all_of(match.values, [](const std::string& uid) {
      return !uid.empty() && uid.size() <= 64 && is_digits(uid, ".");
    });
    if (!fits) return invalid(match.keyword + " has a value that is no UID.");
    return match;
  }
  if (fuzzy && vr == "PN") {
    match.kind = QueryMatch::Kind::fuzzy;
    for (std::string& word : split(value, " ^=*")) {
      if (!word.empty()) match.values.push_back(std::move(word));
    }
    if (match.values.size() > kMostWords) return invalid("PatientName has too many words.");
    if (match.values.empty()) match.values.push_back("");
    return match;
  }
  const bool wild = value.find_first_of("*?") != std::string::npos;
  match.kind = wild ? QueryMatch::Kind::like : QueryMatch::Kind::equal;
  match.values = {wild ? pattern_of(value) : value};
  return match;
}

bool is_known_elsewhere(std::string_view name) {
  return std::ranges::any_of(kInstanceAttributes, [&](const Attribute& attribute) {
    return name == attribute.keyword || name == attribute.tag;
  });
}

Result<void> take_fields(const std::string& value, ParsedQuery& parsed) {
  for (const std::string& field : split(value, ",")) {
    if (const Attribute* attribute = find_attribute(field)) {
      parsed.fields.insert(attribute->keyword);
    } else if (field == "all" || is_known_elsewhere(field)) {
      parsed.fields.insert(field);
    } else {
      parsed.warnings.push_back("An includefield is not supported at this level");
    }
  }
  if (parsed.fields.size() > kMostFields) return invalid("Too many includefield parameters.");
  return {};
}

std::optional<wire::DicomElement> no_keywords(std::string_view) {
  return std::nullopt;
}

void add(const Attribute& attribute, const json& value, json& into) {
  static const json none = json::object();
  into[attribute.tag] = wire::dicom_json_element(value, attribute.vr, none, no_keywords);
}

json parsed(const std::string& text) {
  json object = json::parse(text, nullptr, false);
  return object.is_object() ? object : json::object();
}

json value_in(const json& object, const char* keyword) {
  const auto found = object.find(keyword);
  return found == object.end() ? json(nullptr) : *found;
}

std::string text_in(const json& object, const char* keyword) {
  const json value = value_in(object, keyword);
  return value.is_string() ? value.get<std::string>() : std::string();
}

// Of a row that does not keep them: from its document.
Result<json> facts_of(const QueryResult& result, const json& attributes) {
  if (json kept = value_in(attributes, kInstanceFacts); kept.is_object()) return kept;
  TRY_ASSIGN(const json document, parse_document(result.document));
  const json metadata = value_in(document, "metadata");
  json found = metadata.is_object() ? value_in(metadata, "instance") : json::object();
  if (!found.is_object()) found = json::object();
  found["transferSyntaxUID"] = text_in(document, "transferSyntaxUID");
  return found;
}

json modalities_of(const std::string& text) {
  json list = json::array();
  for (const std::string& one : split(text, ",")) {
    if (!one.empty()) list.push_back(one);
  }
  return list.empty() ? json(nullptr) : list;
}

}  // namespace

Result<ParsedQuery> parse_dicom_query(
    const std::vector<std::pair<std::string, std::string>>& parameters, QueryLevel level,
    const std::string& study, const std::string& series, const QueryLimits& limits) {
  ParsedQuery parsed;
  parsed.query.level = level;
  parsed.query.limit = limits.otherwise;
  const bool fuzzy = std::ranges::any_of(parameters, [](const auto& parameter) {
    return parameter.first == "fuzzymatching" && parameter.second == "true";
  });
  if (!study.empty()) parsed.query.matches.push_back({"StudyInstanceUID", {}, {study}});
  if (!series.empty()) parsed.query.matches.push_back({"SeriesInstanceUID", {}, {series}});
  for (const auto& [name, value] : parameters) {
    if (name == "limit") {
      TRY_ASSIGN(parsed.query.limit, number(name, value, limits.most));
    } else if (name == "offset") {
      TRY_ASSIGN(parsed.query.offset, number(name, value, kMostOffset));
    } else if (name == "includefield") {
      TRY(take_fields(value, parsed));
    } else if (name == "fuzzymatching") {
      if (value != "true" && value != "false") return invalid("fuzzymatching is true or false.");
    } else {
      const Attribute* attribute = find_attribute(name);
      if (attribute == nullptr || !is_queryable(attribute->keyword, level)) {
        return invalid("The data store does not search by one of the keys at this level.");
      }
      if (value.empty() || value == "*") continue;  // universal matching
      TRY_ASSIGN(QueryMatch match, parse_match(*attribute, value, fuzzy));
      parsed.query.matches.push_back(std::move(match));
    }
  }
  return parsed;
}

Result<json> print_query_result(const QueryResult& result, const ParsedQuery& query,
                                const std::string& base_url) {
  const json set = parsed(result.set_attributes);
  const json instance = parsed(result.instance_attributes);
  json one = json::object();
  for (const Attribute& attribute : kAttributes) {
    if (attribute.level > query.query.level) continue;
    const std::string_view keyword = attribute.keyword;
    if (keyword == "ModalitiesInStudy") {
      if (query.query.level == QueryLevel::study) {
        add(attribute, modalities_of(result.modalities), one);
      }
    } else if (keyword == "SOPInstanceUID") {
      add(attribute, result.sop_instance_uid, one);
    } else {
      add(attribute,
          value_in(attribute.level == QueryLevel::instance ? instance : set, attribute.keyword),
          one);
    }
  }
  std::string url = base_url + "/studies/" + text_in(set, "StudyInstanceUID");
  if (query.query.level == QueryLevel::study) {
    one["00201206"] = {{"vr", "IS"}, {"Value", {result.series}}};
    one["00201208"] = {{"vr", "IS"}, {"Value", {result.instances}}};
  } else {
    url += "/series/" + text_in(set, "SeriesInstanceUID");
  }
  if (query.query.level == QueryLevel::series) {
    one["00201209"] = {{"vr", "IS"}, {"Value", {result.instances}}};
  }
  if (query.query.level == QueryLevel::instance) {
    url += "/instances/" + result.sop_instance_uid;
    TRY_ASSIGN(const json facts, facts_of(result, instance));
    for (const Attribute& attribute : kInstanceAttributes) {
      const json value = value_in(facts, attribute.keyword);
      if (!value.is_null()) add(attribute, value, one);
    }
    one["00083002"] = {{"vr", "UI"}, {"Value", {text_in(facts, "transferSyntaxUID")}}};
  }
  one["00081190"] = {{"vr", "UR"}, {"Value", {url}}};
  return one;
}

std::string query_result_keyword(std::string_view tag) {
  constexpr std::pair<std::string_view, const char*> kOthers[] = {
      {"00201206", "NumberOfStudyRelatedSeries"},
      {"00201208", "NumberOfStudyRelatedInstances"},
      {"00201209", "NumberOfSeriesRelatedInstances"},
      {"00083002", "AvailableTransferSyntaxUID"},
      {"00081190", "RetrieveURL"}};
  for (const auto& [other, keyword] : kOthers) {
    if (other == tag) return keyword;
  }
  for (const std::span<const Attribute> list :
       {std::span<const Attribute>(kAttributes), std::span<const Attribute>(kInstanceAttributes)}) {
    for (const Attribute& attribute : list) {
      if (attribute.tag == tag) return attribute.keyword;
    }
  }
  return {};
}

}  // namespace isthmus::datastore
