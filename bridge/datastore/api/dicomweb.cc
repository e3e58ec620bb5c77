#include "datastore/api/dicomweb.h"

#include <algorithm>
#include <set>

#include "datastore/api/dicomweb_parts.h"
#include "datastore/api/dicomweb_query.h"
#include "datastore/engine/levels.h"
#include "wire/multipart.h"

namespace isthmus::datastore {

namespace {

using nlohmann::json;

constexpr std::size_t kMostInstances = 100'000;  // of one retrieval
constexpr std::size_t kMostDescribed = 10'000;   // of one metadata answer

http::Response json_response(const json& value) {
  return http::text_response(200, "application/dicom+json",
                             value.dump(-1, ' ', false, json::error_handler_t::replace));
}

enum class DescribedAs { dicom_json, native_xml };

// JSON unless XML is liked better; nothing when neither is taken (PS3.18 section 8.7.4).
std::optional<DescribedAs> described_as(const http::Head& head) {
  for (const wire::AcceptedType& one : accepted_types(head)) {
    const std::string& type = one.media.type;
    if (type == "*/*" || type == "application/*" || type == "application/json" ||
        type == "application/dicom+json") {
      return DescribedAs::dicom_json;
    }
    const bool xml =
        type == "multipart/related" && one.media.parameter("type", "") == "application/dicom+xml";
    if (xml) return DescribedAs::native_xml;
  }
  return std::nullopt;
}

void keywords_in(const json& attributes, std::set<std::string>& keywords) {
  for (const auto& [key, value] : attributes.items()) {
    keywords.insert(key);
    if (!value.is_array()) continue;
    for (const json& item : value) {
      if (item.is_object()) keywords_in(item, keywords);
    }
  }
}

// Frames that are made anew come colour by pixel, filled up to three samples, and without the
// colour transform of a code stream: whoever reads the metadata to show them is told so (PS3.3
// section C.7.6.3.1.2; PS3.18 section 10.4.1.1.2 has metadata describe what is retrieved).
void describe_frames(const std::string& pixel_description, json& instance) {
  const auto description = description_from_json(json::parse(pixel_description, nullptr, false));
  if (!description || description->form != FrameForm::transcoded || description->samples < 3)
    return;
  const std::string& from = description->photometric;
  if (from == "YBR_FULL_422") {
    instance["00280004"] = {{"vr", "CS"}, {"Value", {"YBR_FULL"}}};
  } else if (from == "YBR_RCT") {
    instance["00280004"] = {{"vr", "CS"}, {"Value", {"RGB"}}};
  }
  if (description->planar) instance["00280006"] = {{"vr", "US"}, {"Value", {0}}};
}

}  // namespace

DicomWebApi::DicomWebApi(Env& env, const DicomWebFace& face, Parts parts)
    : env_(env),
      face_(face),
      parts_(parts),
      transcoder_(parts.examiner, parts.blobs, parts.frames) {
  for (const std::string& root : face.roots()) {
    const std::string study = root + "/studies/{study}", series = study + "/series/{series}";
    const std::string one = series + "/instances/{instance}";
    route(root + "/studies", &DicomWebApi::search_studies);
    route(root + "/series", &DicomWebApi::search_series);
    route(root + "/instances", &DicomWebApi::search_instances);
    route(study, &DicomWebApi::retrieve);
    route(study + "/metadata", &DicomWebApi::metadata);
    route(study + "/series", &DicomWebApi::search_series);
    route(study + "/instances", &DicomWebApi::search_instances);
    route(series, &DicomWebApi::retrieve);
    route(series + "/metadata", &DicomWebApi::metadata);
    route(series + "/instances", &DicomWebApi::search_instances);
    route(one, &DicomWebApi::retrieve);
    route(one + "/metadata", &DicomWebApi::metadata);
    route(one + "/frames/{frames}", &DicomWebApi::frames);
    route(one + "/bulkdata/value/{element}", &DicomWebApi::bulkdata);
    for (const std::string& where : {root + "/studies", study}) {
      router_.add("POST", where, [this](const http::Head& head, const http::PathParameters& path) {
        return store(head, path);
      });
    }
  }
  router_.on_not_found([this](const http::Head&, const http::PathParameters&) {
    return http::answer_with(face_.refusal(not_found()));
  });
}

std::unique_ptr<http::Exchange> DicomWebApi::open(const http::Head& head) {
  return router_.open(head);
}

void DicomWebApi::route(std::string_view path_template, Action action) {
  router_.add("GET", std::string(path_template),
              [this, action](const http::Head& head, const http::PathParameters& path) {
                return http::gather(0, [this, action, head, path](std::string body) {
                  return answer(head, path, body, action);
                });
              });
}

std::unique_ptr<http::Exchange> DicomWebApi::store(const http::Head& head,
                                                   const http::PathParameters& path) {
  Result<Stow::Order> order = face_.order(head, path);
  if (!order) return http::answer_with(face_.refusal(order.error()));
  return parts_.stow.open(head, std::move(*order),
                          [this](const Error& error) { return face_.refusal(error); });
}

// From here on {store} is the data store's id, and {base} what addresses begin with.
http::Response DicomWebApi::answer(const http::Head& head, const http::PathParameters& path,
                                   const std::string& body, Action action) {
  const auto store = face_.admit(head, path, sha256(body).hex());
  if (!store) return face_.refusal(store.error());
  http::PathParameters inside = path;
  inside["store"] = store->id;
  inside["base"] = face_.base_url(head, path);
  Answer made = (this->*action)(head, inside);
  if (!made) return face_.refusal(made.error());
  face_.complete(*made);
  return std::move(*made);
}

DicomWebApi::Answer DicomWebApi::search_studies(const http::Head& head,
                                                const http::PathParameters& path) {
  return search(head, path, QueryLevel::study);
}
DicomWebApi::Answer DicomWebApi::search_series(const http::Head& head,
                                               const http::PathParameters& path) {
  return search(head, path, QueryLevel::series);
}
DicomWebApi::Answer DicomWebApi::search_instances(const http::Head& head,
                                                  const http::PathParameters& path) {
  return search(head, path, QueryLevel::instance);
}

// One result more than asked for tells whether there are more: then a warning says so (PS3.18
// section 8.3.4.4).
DicomWebApi::Answer DicomWebApi::search(const http::Head& head, const http::PathParameters& path,
                                        QueryLevel level) {
  if (!described_as(head)) return not_acceptable();
  TRY_ASSIGN(ParsedQuery query,
             parse_dicom_query(http::parse_query(head.query()), level, parameter(path, "study"),
                               parameter(path, "series"), face_.limits(level)));
  const std::size_t limit = query.query.limit;
  ++query.query.limit;
  TRY_ASSIGN(std::vector<QueryResult> results,
             parts_.index.search(parameter(path, "store"), query.query));
  const bool more = results.size() > limit;
  if (more) results.resize(limit);
  json list = json::array();
  for (const QueryResult& result : results) {
    TRY_ASSIGN(json one, print_query_result(result, query, parameter(path, "base")));
    list.push_back(std::move(one));
  }
  TRY_ASSIGN(http::Response response, described(head, list, query_result_keyword));
  if (more) {
    response.headers.add("Warning",
                         "299 isthmus \"There are additional results that can be requested\"");
  }
  for (const std::string& warning : query.warnings) {
    response.headers.add("Warning", "299 isthmus \"" + warning + "\"");
  }
  return response;
}

Result<std::vector<ServedInstance>> DicomWebApi::found(const http::PathParameters& path) {
  TRY_ASSIGN(std::vector<ServedInstance> instances,
             parts_.index.instances(
                 parameter(path, "store"),
                 {parameter(path, "study"), parameter(path, "series"), parameter(path, "instance")},
                 0, kMostInstances));
  if (instances.empty()) return not_found();
  return instances;
}

std::string DicomWebApi::boundary() {
  return "isthmus-" + make_id_text(env_) + make_id_text(env_);
}

std::optional<wire::DicomElement> DicomWebApi::element_of(std::string_view keyword) {
  const std::lock_guard lock(mutex_);
  const auto found = elements_.find(keyword);
  return found == elements_.end() ? std::nullopt : found->second;
}

std::string DicomWebApi::keyword_of(std::string_view tag) {
  const std::lock_guard lock(mutex_);
  const auto found = keywords_.find(tag);
  return found == keywords_.end() ? std::string() : found->second;
}

Result<void> DicomWebApi::learn(const json& attributes) {
  std::set<std::string> keywords;
  keywords_in(attributes, keywords);
  std::vector<std::string> unknown;
  {
    const std::lock_guard lock(mutex_);
    for (const std::string& keyword : keywords) {
      if (!elements_.contains(keyword)) unknown.push_back(keyword);
    }
  }
  if (unknown.empty()) return {};
  TRY_ASSIGN(const Dictionary dictionary, parts_.examiner.look_up(unknown));
  const std::lock_guard lock(mutex_);
  // Files make these up as they like: the memory of them is bounded.
  if (elements_.size() > 20'000) {
    elements_.clear();
    keywords_.clear();
  }
  for (const std::string& keyword : unknown) {
    const auto known = dictionary.find(keyword);
    elements_[keyword] =
        known == dictionary.end()
            ? std::nullopt
            : std::optional(wire::DicomElement{known->second.tag, known->second.vr});
    if (known != dictionary.end()) keywords_[known->second.tag] = keyword;
  }
  return {};
}

Result<void> DicomWebApi::add_metadata(const std::vector<ServedInstance>& instances,
                                       const std::string& base_url, json& list) {
  std::string image_set;
  Levels levels;
  const wire::ElementLookup look_up = [this](std::string_view name) { return element_of(name); };
  for (const ServedInstance& instance : instances) {
    if (instance.image_set != image_set) {
      image_set = instance.image_set;
      TRY_ASSIGN(levels, parts_.catalogue.read([&](sql::Database& database) {
        return levels_of(database, instance.image_set, instance.version);
      }));
      for (const json* level : {&levels.patient, &levels.study, &levels.series}) {
        TRY(learn(*level));
      }
    }
    TRY_ASSIGN(const json document, parse_document(instance.document));
    const json& metadata = member(document, "metadata");
    const json& vrs = member(metadata, "DICOMVRs");
    TRY(learn(member(metadata, "instance")));
    json one = json::object();
    for (const json* level : {&levels.patient, &levels.study, &levels.series}) {
      wire::add_dicom_json(*level, vrs, look_up, one);
    }
    wire::add_dicom_json(member(metadata, "instance"), vrs, look_up, one);
    one["00083002"] = {{"vr", "UI"},
                       {"Value", {document.value("transferSyntaxUID", std::string())}}};
    describe_frames(instance.pixel_description, one);
    add_bulk_data(instance, document, base_url, one);
    list.push_back(std::move(one));
  }
  return {};
}

DicomWebApi::Answer DicomWebApi::metadata(const http::Head& head,
                                          const http::PathParameters& path) {
  if (!described_as(head)) return not_acceptable();
  TRY_ASSIGN(const std::vector<ServedInstance> instances, found(path));
  if (instances.size() > kMostDescribed) {
    return invalid("Too many instances for one answer: ask for the metadata of each series.");
  }
  json list = json::array();
  TRY(add_metadata(instances, parameter(path, "base"), list));
  return described(head, list, [this](std::string_view tag) { return keyword_of(tag); });
}

DicomWebApi::Answer DicomWebApi::described(const http::Head& head, const json& list,
                                           const KeywordLookup& keyword_of) {
  if (described_as(head) == DescribedAs::dicom_json) return json_response(list);
  std::vector<wire::OutgoingPart> parts;
  for (const json& one : list) {
    std::string text = print_native_xml(one, keyword_of);
    const std::uint64_t size = text.size();
    parts.push_back({{{"Content-Type", "application/dicom+xml"}},
                     size,
                     [text = std::move(text)]() -> Result<std::unique_ptr<ByteSource>> {
                       return source_of(text);
                     }});
  }
  http::Response response;
  const std::string mark = boundary();
  response.headers.set("Content-Type",
                       "multipart/related; type=\"application/dicom+xml\"; boundary=" + mark);
  response.body = wire::multipart_body(mark, std::move(parts));
  return response;
}

}  // namespace isthmus::datastore
