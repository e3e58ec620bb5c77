#include "datastore/api/healthcare.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "datastore/api/google_errors.h"

namespace isthmus::datastore {

using nlohmann::json;

// A request that was let in, taken apart.
struct HealthcareCall {
  http::Head head;
  http::PathParameters path;
  std::map<std::string, std::string> query;
  std::string version;  // "v1", "v1beta1"
  std::string body;

  std::string part(const char* name) const {
    const auto found = path.find(name);
    return found == path.end() ? "" : found->second;
  }
  // Before and behind the colon of the last segment: "st1:import".
  std::string id(const char* name) const {
    const std::string text = part(name);
    return text.substr(0, text.rfind(':'));
  }
  std::string verb(const char* name) const {
    const std::string text = part(name);
    const std::size_t colon = text.rfind(':');
    return colon == std::string::npos ? "" : text.substr(colon + 1);
  }
  std::string parameter(const std::string& name) const {
    const auto found = query.find(name);
    return found == query.end() ? "" : found->second;
  }
  std::string location() const {
    return "projects/" + part("project") + "/locations/" + part("location");
  }
  std::string dataset() const { return location() + "/datasets/" + part("dataset"); }
  std::string store() const { return dataset() + "/dicomStores/" + id("store"); }
};

namespace {

constexpr std::uint64_t kMostBodyBytes = 1 * MiB;
constexpr std::size_t kPage = 100, kMostPage = 1000;
// Operation ids are digits, twenty of them as the documents print.
constexpr std::string_view kOperationBase = "1";
constexpr std::size_t kOperationDigits = 19;

Error invalid(std::string message) {
  return permanent_error("INVALID_ARGUMENT", std::move(message));
}

http::Response json_response(const json& value) {
  return http::text_response(200, "application/json; charset=UTF-8",
                             value.dump(-1, ' ', false, json::error_handler_t::replace));
}

// "[\p{L}\p{N}_\-\.]{1,256}"; letters beyond ASCII are taken as they are.
Result<void> check_id(const std::string& id) {
  const bool fits = !id.empty() && id.size() <= 256 && std::ranges::all_of(id, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '-' || c == '.' || (static_cast<unsigned char>(c) & 0x80U) != 0;
  });
  if (!fits) return invalid("invalid resource id");
  return {};
}

std::string operation_id(std::int64_t id) {
  const std::string digits = std::to_string(id);
  return std::string(kOperationBase) +
         std::string(kOperationDigits - std::min(kOperationDigits, digits.size()), '0') + digits;
}

Result<std::int64_t> parse_operation_id(std::string_view text) {
  std::int64_t id = 0;
  const bool shaped =
      text.size() == kOperationBase.size() + kOperationDigits && text.starts_with(kOperationBase);
  if (shaped) {
    text.remove_prefix(kOperationBase.size());
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (failure == std::errc{} && end == text.data() + text.size() && id > 0) return id;
  }
  return permanent_error("NOT_FOUND", "operation not found");
}

struct Page {
  std::string after;
  std::size_t size = kPage;
};
Result<Page> page_of(const HealthcareCall& call) {
  Page page;
  if (const std::string token = call.parameter("pageToken"); !token.empty()) {
    const std::optional<Bytes> after = from_base64(token);
    if (!after) return invalid("invalid page token");
    page.after = as_text(*after);
  }
  if (const std::string text = call.parameter("pageSize"); !text.empty()) {
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), page.size);
    if (failure != std::errc{} || end != text.data() + text.size()) {
      return invalid("invalid page size");
    }
    page.size = page.size == 0 ? kPage : std::min(page.size, kMostPage);
  }
  return page;
}

json print(const GoogleDataset& dataset) {
  json printed = {{"name", dataset.name}};
  if (!dataset.time_zone.empty()) printed["timeZone"] = dataset.time_zone;
  return printed;
}

json print(const GoogleStore& store) {
  json printed = {{"name", store.name}};
  json labels = json::parse(store.labels, nullptr, false);
  if (labels.is_object() && !labels.empty()) printed["labels"] = std::move(labels);
  return printed;
}

json name_only(const GoogleOperation& operation) {
  return {{"name", operation.dataset + "/operations/" + operation_id(operation.id)}};
}

json print(const GoogleOperation& operation, const std::string& version) {
  json printed = name_only(operation);
  std::string method = operation.method;
  const std::string in_v1 = ".v1.";
  if (const std::size_t at = method.find(in_v1); at != std::string::npos) {
    method.replace(at, in_v1.size(), "." + version + ".");
  }
  json metadata = {
      {"@type", "type.googleapis.com/google.cloud.healthcare." + version + ".OperationMetadata"},
      {"apiMethodName", method},
      {"createTime", to_rfc3339(operation.created_at)}};
  if (operation.ended_at) metadata["endTime"] = to_rfc3339(*operation.ended_at);
  if (operation.cancel_requested) metadata["cancelRequested"] = true;
  if (!operation.job.empty()) {
    metadata["logsUrl"] = "https://console.cloud.google.com/logs/query;query=operation.id%3D%22" +
                          operation_id(operation.id) + "%22";
    // int64 as text, and none that is 0 (protobuf's JSON).
    json counter = json::object();
    const auto count = [&](const char* name, std::int64_t value) {
      if (value != 0) counter[name] = std::to_string(value);
    };
    count("success", operation.success);
    count("failure", operation.failure);
    count("pending", operation.pending);
    metadata["counter"] = std::move(counter);
  }
  printed["metadata"] = std::move(metadata);
  if (!operation.ended_at) return printed;
  printed["done"] = true;
  if (operation.error_code != 0) {
    printed["error"] = {{"code", operation.error_code}, {"message", operation.error_message}};
    return printed;
  }
  json response = json::parse(operation.response, nullptr, false);
  if (response.is_object()) printed["response"] = std::move(response);
  return printed;
}

Result<json> object_of(const std::string& body) {
  json object = json::parse(body.empty() ? "{}" : body, nullptr, false);
  if (!object.is_object()) return invalid("Invalid JSON payload received.");
  return object;
}

std::string text_in(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// Protobuf's JSON takes both spellings.
json member(const json& object, const char* camel, const char* snake) {
  const auto found = object.contains(camel) ? object.find(camel) : object.find(snake);
  return found == object.end() ? json() : *found;
}

}  // namespace

HealthcareApi::HealthcareApi(Env& env, Parts parts) : env_(env), parts_(std::move(parts)) {
  const std::string datasets = "projects/{project}/locations/{location}/datasets";
  const std::string dataset = datasets + "/{dataset}";
  const std::string stores = dataset + "/dicomStores", store = stores + "/{store}";
  route("POST", datasets, &HealthcareApi::create_dataset);
  route("GET", datasets, &HealthcareApi::list_datasets);
  route("GET", dataset, &HealthcareApi::get_dataset);
  route("DELETE", dataset, &HealthcareApi::delete_dataset);
  route("POST", stores, &HealthcareApi::create_store);
  route("GET", stores, &HealthcareApi::list_stores);
  route("GET", store, &HealthcareApi::get_store);
  route("DELETE", store, &HealthcareApi::delete_store);
  route("POST", store, &HealthcareApi::on_store);
  route("GET", dataset + "/operations", &HealthcareApi::list_operations);
  route("GET", dataset + "/operations/{operation}", &HealthcareApi::get_operation);
  route("POST", dataset + "/operations/{operation}", &HealthcareApi::on_operation);
  route("GET", store + "/dicomWeb/studies/{study}", &HealthcareApi::study_metrics);
  route("GET", store + "/dicomWeb/studies/{study}/series/{series}", &HealthcareApi::study_metrics);
  const std::string study = store + "/dicomWeb/studies/{study}";
  for (const char* below : {"", "/series/{series}", "/series/{series}/instances/{instance}"}) {
    route("DELETE", study + below, &HealthcareApi::delete_instances);
  }
  router_.add("POST", "/v2/entries:list",
              [this](const http::Head& head, const http::PathParameters& path) {
                return http::gather(kMostBodyBytes, [this, head, path](std::string body) {
                  return finished(list_entries({head, path, {}, "v2", std::move(body)}));
                });
              });
  router_.on_not_found([this](const http::Head&, const http::PathParameters&) {
    return http::answer_with(finished(permanent_error("NOT_FOUND", "Method not found.")));
  });
}

bool HealthcareApi::claims_path(std::string_view path) {
  return path.starts_with("/v1/projects/") || path.starts_with("/v1beta1/projects/") ||
         path == "/v2/entries:list";
}

std::unique_ptr<http::Exchange> HealthcareApi::open(const http::Head& head) {
  if (const Result<void> admitted = parts_.tokens.admit(head); !admitted) {
    return http::answer_with(finished(admitted.error()));
  }
  return router_.open(head);
}

void HealthcareApi::route(std::string method, const std::string& below_version, Action action) {
  for (const char* version : {"v1", "v1beta1"}) {
    router_.add(method, "/" + std::string(version) + "/" + below_version,
                [this, action, version](const http::Head& head, const http::PathParameters& path) {
                  HealthcareCall call{head, path, {}, version, ""};
                  std::string query(head.query());
                  std::ranges::replace(query, '+', ' ');  // before decoding: "%2B" is a plus
                  for (auto& [name, value] : http::parse_query(query)) {
                    call.query.insert_or_assign(std::move(name), std::move(value));
                  }
                  return http::gather(
                      kMostBodyBytes,
                      [this, action, call = std::move(call)](std::string body) -> http::Response {
                        HealthcareCall whole = call;
                        whole.body = std::move(body);
                        return finished((this->*action)(whole));
                      });
                });
  }
}

http::Response HealthcareApi::finished(Answer answer) {
  return answer ? std::move(*answer)
                : google_refusal(env_, answer.error(), "datastore.healthcare_failed");
}

HealthcareApi::Answer HealthcareApi::create_dataset(const HealthcareCall& call) {
  const std::string id = call.parameter("datasetId");
  TRY(check_id(id));
  TRY_ASSIGN(const json wanted, object_of(call.body));
  TRY_ASSIGN(const GoogleOperation operation,
             parts_.stores.create_dataset(
                 {call.location() + "/datasets/" + id, text_in(wanted, "timeZone")}));
  return json_response(print(operation, call.version));
}

HealthcareApi::Answer HealthcareApi::list_datasets(const HealthcareCall& call) {
  TRY_ASSIGN(const Page page, page_of(call));
  TRY_ASSIGN(const std::vector<GoogleDataset> datasets,
             parts_.stores.datasets(call.location(), page.after, page.size));
  json answer = json::object();
  for (const GoogleDataset& dataset : datasets) answer["datasets"].push_back(print(dataset));
  if (datasets.size() == page.size) {
    answer["nextPageToken"] = to_base64(as_bytes(datasets.back().name));
  }
  return json_response(answer);
}

HealthcareApi::Answer HealthcareApi::get_dataset(const HealthcareCall& call) {
  TRY_ASSIGN(const GoogleDataset dataset, parts_.stores.dataset(call.dataset()));
  return json_response(print(dataset));
}

HealthcareApi::Answer HealthcareApi::delete_dataset(const HealthcareCall& call) {
  TRY_ASSIGN(const std::vector<std::string> garbage, parts_.stores.remove_dataset(call.dataset()));
  parts_.objects.collect_deleted(garbage);
  return json_response(json::object());
}

HealthcareApi::Answer HealthcareApi::create_store(const HealthcareCall& call) {
  const std::string id = call.parameter("dicomStoreId");
  TRY(check_id(id));
  TRY_ASSIGN(const json wanted, object_of(call.body));
  const json labels = member(wanted, "labels", "labels");
  TRY_ASSIGN(
      const GoogleStore store,
      parts_.stores.create_store(call.dataset(), id, labels.is_object() ? labels.dump() : "{}"));
  return json_response(print(store));
}

HealthcareApi::Answer HealthcareApi::list_stores(const HealthcareCall& call) {
  TRY_ASSIGN(const Page page, page_of(call));
  TRY_ASSIGN(const std::vector<GoogleStore> stores,
             parts_.stores.stores(call.dataset(), page.after, page.size));
  json answer = json::object();
  for (const GoogleStore& store : stores) answer["dicomStores"].push_back(print(store));
  if (stores.size() == page.size) {
    answer["nextPageToken"] = to_base64(as_bytes(stores.back().name));
  }
  return json_response(answer);
}

HealthcareApi::Answer HealthcareApi::get_store(const HealthcareCall& call) {
  const std::string verb = call.verb("store");
  if (verb == "getDICOMStoreMetrics") return metrics(call, "name", "", "");
  if (!verb.empty()) return permanent_error("NOT_FOUND", "Method not found.");
  TRY_ASSIGN(const GoogleStore store, parts_.stores.store(call.store()));
  return json_response(print(store));
}

HealthcareApi::Answer HealthcareApi::delete_store(const HealthcareCall& call) {
  TRY_ASSIGN(const std::vector<std::string> garbage, parts_.stores.remove_store(call.store()));
  parts_.objects.collect_deleted(garbage);
  return json_response(json::object());
}

HealthcareApi::Answer HealthcareApi::on_store(const HealthcareCall& call) {
  if (call.verb("store") != "import") return permanent_error("NOT_FOUND", "Method not found.");
  TRY_ASSIGN(const json request, object_of(call.body));
  const json source = member(request, "gcsSource", "gcs_source");
  if (!source.is_object()) return invalid("exactly one source must be given: gcsSource");
  const std::string uri = text_in(source, "uri");
  TRY(ObjectPattern::parse(uri));
  const json settings = member(request, "blobStorageSettings", "blob_storage_settings");
  if (settings.is_object()) {
    const json storage = member(settings, "blobStorageClass", "blob_storage_class");
    const bool known = storage.is_null() || storage == "STANDARD" || storage == "NEARLINE" ||
                       storage == "COLDLINE" || storage == "ARCHIVE" ||
                       storage == "BLOB_STORAGE_CLASS_UNSPECIFIED";
    if (!known) return invalid("invalid blobStorageClass");
  }
  TRY_ASSIGN(const GoogleStore store, parts_.stores.store(call.store()));
  TRY_ASSIGN(const GoogleOperation operation, parts_.stores.import(store, uri));
  if (parts_.job_accepted) parts_.job_accepted();
  return json_response(name_only(operation));
}

HealthcareApi::Answer HealthcareApi::list_operations(const HealthcareCall& call) {
  if (call.parameter("returnPartialSuccess") == "true") {
    return permanent_error("UNIMPLEMENTED", "returnPartialSuccess is not supported");
  }
  std::optional<bool> done;
  std::string filter = call.parameter("filter");
  std::erase(filter, ' ');
  if (filter == "done=true" || filter == "done:true" || filter == "done") done = true;
  if (filter == "done=false" || filter == "done:false" || filter == "NOTdone") done = false;
  if (!filter.empty() && !done) return invalid("the filter is not supported: only done is");
  TRY_ASSIGN(const Page page, page_of(call));
  std::int64_t after = 0;
  if (!page.after.empty()) {
    TRY_ASSIGN(after, parse_operation_id(page.after));
  }
  TRY_ASSIGN(const std::vector<GoogleOperation> operations,
             parts_.stores.operations(call.dataset(), done, after, page.size));
  json answer = json::object();
  for (const GoogleOperation& operation : operations) {
    answer["operations"].push_back(print(operation, call.version));
  }
  if (operations.size() == page.size) {
    answer["nextPageToken"] = to_base64(as_bytes(operation_id(operations.back().id)));
  }
  return json_response(answer);
}

HealthcareApi::Answer HealthcareApi::get_operation(const HealthcareCall& call) {
  TRY_ASSIGN(const std::int64_t id, parse_operation_id(call.part("operation")));
  TRY_ASSIGN(const GoogleOperation operation, parts_.stores.operation(call.dataset(), id));
  return json_response(print(operation, call.version));
}

HealthcareApi::Answer HealthcareApi::on_operation(const HealthcareCall& call) {
  if (call.verb("operation") != "cancel") return permanent_error("NOT_FOUND", "Method not found.");
  TRY_ASSIGN(const std::int64_t id, parse_operation_id(call.id("operation")));
  TRY(parts_.stores.cancel(call.dataset(), id));
  return json_response(json::object());
}

// A study or series is deleted by an operation, an instance at once (contracts/google-healthcare
// section 6). The operation is over when it is told.
HealthcareApi::Answer HealthcareApi::delete_instances(const HealthcareCall& call) {
  TRY_ASSIGN(const GoogleStore store, parts_.stores.store(call.store()));
  const InstancePath path{call.part("study"), call.part("series"), call.part("instance")};
  TRY_ASSIGN(const GoogleStores::Removal removal, parts_.stores.remove(store, path));
  parts_.objects.collect_deleted(removal.garbage);
  if (!path.instance.empty()) return json_response(json::object());
  return json_response(print(removal.operation, call.version));
}

HealthcareApi::Answer HealthcareApi::study_metrics(const HealthcareCall& call) {
  if (call.verb("series") == "getSeriesMetrics") {
    return metrics(call, "series", call.part("study"), call.id("series"));
  }
  if (call.verb("study") == "getStudyMetrics" && call.part("series").empty()) {
    return metrics(call, "study", call.id("study"), "");
  }
  return permanent_error("NOT_FOUND", "Method not found.");
}

HealthcareApi::Answer HealthcareApi::metrics(const HealthcareCall& call, const char* of,
                                             const std::string& study, const std::string& series) {
  TRY_ASSIGN(const GoogleStore store, parts_.stores.store(call.store()));
  TRY_ASSIGN(const StoreMetrics metrics, parts_.stores.metrics(store, study, series));
  std::string name = store.name;
  if (!study.empty()) name += "/dicomWeb/studies/" + study;
  if (!series.empty()) name += "/series/" + series;
  json answer = {{of, name},
                 {"instanceCount", std::to_string(metrics.instances)},
                 {"blobStorageSizeBytes", std::to_string(metrics.blob_bytes)},
                 {"structuredStorageSizeBytes", "0"}};
  if (series.empty()) answer["seriesCount"] = std::to_string(metrics.series);
  if (study.empty()) answer["studyCount"] = std::to_string(metrics.studies);
  return json_response(answer);
}

// Cloud Logging's entries.list, as far as it goes here: a project, and the filter operation.id="…".
HealthcareApi::Answer HealthcareApi::list_entries(const HealthcareCall& call) {
  TRY_ASSIGN(const json request, object_of(call.body));
  const json names = member(request, "resourceNames", "resource_names");
  if (!names.is_array() || names.size() != 1 || !names[0].is_string() ||
      !names[0].get<std::string>().starts_with("projects/")) {
    return invalid("resourceNames must hold one projects/{project}");
  }
  std::int64_t wanted = 0;
  if (const std::string filter = text_in(request, "filter"); !filter.empty()) {
    constexpr std::string_view kOperation = "operation.id=\"";
    if (!filter.starts_with(kOperation) || !filter.ends_with('"')) {
      return invalid("the filter is not supported: only operation.id=\"…\" is");
    }
    TRY_ASSIGN(wanted, parse_operation_id(std::string_view(filter).substr(
                           kOperation.size(), filter.size() - kOperation.size() - 1)));
  }
  TRY_ASSIGN(const std::vector<ImportRefusal> refusals,
             parts_.stores.refusals(names[0].get<std::string>() + "/", wanted, kMostPage));
  json answer = json::object();
  for (const ImportRefusal& refusal : refusals) {
    // projects/p/locations/l/datasets/d/dicomStores/s
    std::vector<std::string> parts;
    for (std::size_t at = 0; at <= refusal.store.size();) {
      const std::size_t end = std::min(refusal.store.find('/', at), refusal.store.size());
      parts.push_back(refusal.store.substr(at, end - at));
      at = end + 1;
    }
    if (parts.size() != 8) continue;
    answer["entries"].push_back(
        {{"jsonPayload",
          {{"@type", "type.googleapis.com/google.cloud.healthcare.logging.ImportDicomLogEntry"},
           {"source", refusal.source},
           {"error", {{"code", refusal.code}, {"message", refusal.message}}}}},
         {"operation", {{"id", operation_id(refusal.operation)}, {"producer", "import_dicom"}}},
         {"resource",
          {{"type", "healthcare_dicom_store"},
           {"labels",
            {{"project_id", parts[1]},
             {"location", parts[3]},
             {"dataset_id", parts[5]},
             {"dicom_store_id", parts[7]}}}}},
         {"severity", "ERROR"}});
  }
  return json_response(answer);
}

}  // namespace isthmus::datastore
