#include "wire/healthcare.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

namespace isthmus::wire::healthcare {
namespace {

using nlohmann::json;

constexpr const char* kSeriesInstanceUid = "0020000E";
constexpr const char* kSopInstanceUid = "00080018";
constexpr const char* kReferencedSopInstanceUid = "00081155";
constexpr const char* kFailureReason = "00081197";
constexpr const char* kFailedSopSequence = "00081198";
constexpr const char* kReferencedSopSequence = "00081199";
constexpr const char* kOtherFailuresSequence = "0008119A";
constexpr const char* kFailureDetail = "00091097";
constexpr std::size_t kMostStatus = 64;
constexpr std::size_t kMostMessage = 500;
constexpr int kLogPage = 1000;

Error malformed(const char* what) {
  return permanent_error("healthcare.malformed", std::string("The answer is no ") + what + ".");
}

const json& member(const json& object, const char* name) {
  static const json kNone;
  if (!object.is_object()) return kNone;
  const auto found = object.find(name);
  return found == object.end() ? kNone : *found;
}

std::string text_in(const json& object, const char* name) {
  const json& value = member(object, name);
  return value.is_string() ? value.get<std::string>() : std::string();
}

// int64 is text in protobuf's JSON, and 0 is left out; a number is taken as well.
std::int64_t count_in(const json& object, const char* name) {
  const json& value = member(object, name);
  if (value.is_number_integer()) return value.get<std::int64_t>();
  std::int64_t count = 0;
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    std::from_chars(text.data(), text.data() + text.size(), count);
  }
  return count;
}

Result<Operation> operation_of(const json& document) {
  Operation operation;
  operation.name = text_in(document, "name");
  if (operation.name.empty()) return malformed("operation");
  const json& metadata = member(document, "metadata");
  operation.api_method = text_in(metadata, "apiMethodName");
  operation.created_at = from_rfc3339(text_in(metadata, "createTime"));
  operation.done = member(document, "done") == json(true);
  const json& counter = member(metadata, "counter");
  operation.success = count_in(counter, "success");
  operation.failure = count_in(counter, "failure");
  operation.pending = count_in(counter, "pending");
  const json& error = member(document, "error");
  if (error.is_object()) {
    operation.error_code = static_cast<int>(count_in(error, "code"));
    operation.error_message = text_in(error, "message").substr(0, kMostMessage);
  }
  return operation;
}

std::string uid_in(const json& dataset, const char* tag) {
  const json& values = member(member(dataset, tag), "Value");
  return values.is_array() && !values.empty() && values[0].is_string()
             ? values[0].get<std::string>()
             : std::string();
}

}  // namespace

std::string Operation::id() const {
  return name.substr(name.rfind('/') + 1);
}

std::string print_import(std::string_view uri, std::string_view storage_class) {
  json body{{"gcsSource", {{"uri", uri}}}};
  if (!storage_class.empty()) body["blobStorageSettings"] = {{"blobStorageClass", storage_class}};
  return body.dump();
}

Result<Operation> parse_operation(std::string_view text) {
  return operation_of(json::parse(text, nullptr, false));
}

Result<OperationPage> parse_operations(std::string_view text) {
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object()) return malformed("list of operations");
  OperationPage page;
  page.next_page_token = text_in(document, "nextPageToken");
  const json& operations = member(document, "operations");
  if (!operations.is_array()) return page;
  for (const json& one : operations) {
    TRY_ASSIGN(Operation operation, operation_of(one));
    page.operations.push_back(std::move(operation));
  }
  return page;
}

Result<std::int64_t> parse_instance_count(std::string_view text) {
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object()) return malformed("metrics");
  return count_in(document, "instanceCount");
}

Result<std::vector<FoundInstance>> parse_instances(std::string_view text) {
  std::vector<FoundInstance> instances;
  if (text.empty()) return instances;
  const json document = json::parse(text, nullptr, false);
  if (!document.is_array()) return malformed("search result");
  for (const json& dataset : document) {
    FoundInstance one{uid_in(dataset, kSeriesInstanceUid), uid_in(dataset, kSopInstanceUid)};
    if (one.series_instance_uid.empty() || one.sop_instance_uid.empty()) {
      return malformed("search result with UIDs");
    }
    instances.push_back(std::move(one));
  }
  return instances;
}

Result<StoreAnswer> parse_store_answer(std::string_view text) {
  json document = json::parse(text, nullptr, false);
  if (document.is_array() && !document.empty()) document = json(document[0]);
  if (!document.is_object()) return malformed("answer of a store");
  const auto items = [&](const char* tag) -> const json& {
    return member(member(document, tag), "Value");
  };
  StoreAnswer answer;
  for (const json& item : items(kReferencedSopSequence)) {
    answer.stored.push_back(uid_in(item, kReferencedSopInstanceUid));
  }
  for (const json& item : items(kFailedSopSequence)) {
    StoreAnswer::Failure failure{uid_in(item, kReferencedSopInstanceUid), 0,
                                 uid_in(item, kFailureDetail).substr(0, kMostMessage)};
    const json& reason = member(member(item, kFailureReason), "Value");
    if (reason.is_array() && !reason.empty() && reason[0].is_number_integer()) {
      failure.reason = reason[0].get<int>();
    }
    answer.failed.push_back(std::move(failure));
  }
  answer.other_failures = !items(kOtherFailuresSequence).empty();
  return answer;
}

std::string print_log_query(std::string_view project, std::string_view operation_id,
                            std::string_view page_token) {
  json body{{"resourceNames", {"projects/" + std::string(project)}},
            {"filter", "operation.id=\"" + std::string(operation_id) + "\""},
            {"pageSize", kLogPage}};
  if (!page_token.empty()) body["pageToken"] = page_token;
  return body.dump();
}

Result<RefusedPage> parse_log_entries(std::string_view text) {
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object()) return malformed("list of log entries");
  RefusedPage page;
  page.next_page_token = text_in(document, "nextPageToken");
  const json& entries = member(document, "entries");
  if (!entries.is_array()) return page;
  for (const json& entry : entries) {
    const json& payload = member(entry, "jsonPayload");
    const json& error = member(payload, "error");
    RefusedFile file{text_in(payload, "source"), static_cast<int>(count_in(error, "code")),
                     text_in(error, "message").substr(0, kMostMessage)};
    if (!file.source.empty() && error.is_object()) page.files.push_back(std::move(file));
  }
  return page;
}

ErrorBody read_error(std::string_view body) {
  const json document = json::parse(body, nullptr, false);
  const json& error = member(document, "error");
  ErrorBody said{text_in(error, "status").substr(0, kMostStatus),
                 text_in(error, "message").substr(0, kMostMessage)};
  const bool plain =
      std::ranges::all_of(said.status, [](char c) { return (c >= 'A' && c <= 'Z') || c == '_'; });
  if (!plain) said.status.clear();
  return said;
}

}  // namespace isthmus::wire::healthcare
