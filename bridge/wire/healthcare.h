// The Cloud Healthcare API as a client speaks it: imports, operations, metrics, searches, answers
// of STOW-RS, log entries of refused files. No I/O. Source: contracts/google-healthcare.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"

namespace isthmus::wire::healthcare {

// google.rpc.Code, those that we tell apart.
constexpr int kCancelled = 1, kInvalidArgument = 3, kNotFound = 5, kAlreadyExists = 6,
              kFailedPrecondition = 9, kOutOfRange = 11, kUnimplemented = 12;

// {"gcsSource":{"uri":…}}; an empty storage class is left out.
std::string print_import(std::string_view uri, std::string_view storage_class);

struct Operation {
  std::string name;  // "projects/…/operations/1"
  std::string api_method;
  std::optional<WallTime> created_at;
  bool done = false;
  std::int64_t success = 0, failure = 0, pending = 0;
  int error_code = 0;  // google.rpc.Code; 0: none
  std::string error_message;

  std::string id() const;  // of the name's end
  std::int64_t counted() const { return success + failure + pending; }
};
struct OperationPage {
  std::vector<Operation> operations;
  std::string next_page_token;
};
// "healthcare.malformed" (permanent), as of all parsers here.
Result<Operation> parse_operation(std::string_view json);
Result<OperationPage> parse_operations(std::string_view json);

// "instanceCount" of a study's metrics.
Result<std::int64_t> parse_instance_count(std::string_view json);

struct FoundInstance {
  std::string series_instance_uid;
  std::string sop_instance_uid;
  auto operator<=>(const FoundInstance&) const = default;
};
// QIDO-RS on instances: an array of DICOM JSON; an empty body is an empty array.
Result<std::vector<FoundInstance>> parse_instances(std::string_view json);

// The answer of STOW-RS in JSON: one object, or an array around it (contracts/dicomweb-stow.md).
struct StoreAnswer {
  struct Failure {
    std::string sop_instance_uid;
    int reason = 0;    // (0008,1197)
    std::string text;  // GOOGLE's FailureDetailJSON (0009,1097)
  };
  std::vector<std::string> stored;  // SOP Instance UIDs
  std::vector<Failure> failed;
  bool other_failures = false;  // something that could not be read
};
Result<StoreAnswer> parse_store_answer(std::string_view json);

// Of Cloud Logging's entries.list.
struct RefusedFile {
  std::string source;  // "gs://bucket/key"
  int code = 0;        // google.rpc.Code
  std::string message;
};
struct RefusedPage {
  std::vector<RefusedFile> files;
  std::string next_page_token;
};
std::string print_log_query(std::string_view project, std::string_view operation_id,
                            std::string_view page_token);
Result<RefusedPage> parse_log_entries(std::string_view json);

// {"error":{"code":…,"status":…,"message":…}}; empty where it does not say.
struct ErrorBody {
  std::string status;  // "RESOURCE_EXHAUSTED"
  std::string message;
};
ErrorBody read_error(std::string_view body);

}  // namespace isthmus::wire::healthcare
