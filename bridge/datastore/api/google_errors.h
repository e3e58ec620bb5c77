// Errors as Google's APIs answer them: the JSON body of google.rpc.Status by name, with the list
// that Cloud Storage's clients read. Source: contracts/google-healthcare section 4, google-storage
// section 1. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/env.h"
#include "http/http.h"

namespace isthmus::datastore {

// A status name stands as the code of an Error: permanent_error("NOT_FOUND", …).
struct GoogleStatus {
  std::string_view name;  // "NOT_FOUND"; "CONDITION_NOT_MET" and "RANGE_NOT_SATISFIABLE" are ours
  int http = 500;
  int rpc = 13;             // google.rpc.Code
  std::string_view reason;  // Cloud Storage's word
};
// Of an error of the engine, or one whose code is a status name; INTERNAL for what is neither.
const GoogleStatus& google_status(const Error& error);

// The answer. What is INTERNAL is logged under `log_event`, and its message is not told.
http::Response google_refusal(Env& env, const Error& error, std::string_view log_event);

}  // namespace isthmus::datastore
