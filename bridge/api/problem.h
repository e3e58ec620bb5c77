// How an error is told over HTTP: one function, one form (RFC 9457).
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "http/http.h"

namespace isthmus::api {

// application/problem+json: type ("urn:isthmus:error:<code>"), title, status, detail (the message),
// code. Retry-After with 429 and 503.
http::Response problem(int status, const Error& error);
// The same with the status that the error's code and fate stand for: transient 503, fatal 500,
// permanent by its code ("….not_found" 404, "ledger.no_transition" and "ledger.constraint" 409,
// "api.bad_…" 400, …), else 409.
http::Response problem(const Error& error);
int status_of(const Error& error);

http::Response json_answer(int status, const nlohmann::json& body);

}  // namespace isthmus::api
