#include "api/problem.h"

#include <array>
#include <nlohmann/json.hpp>

namespace isthmus::api {
namespace {

struct CodeStatus {
  std::string_view code;
  int status;
};
constexpr std::array kStatuses{
    CodeStatus{"ledger.bad_reason", 400},
    CodeStatus{"api.unauthorized", 401},
    CodeStatus{"api.expired", 401},
    CodeStatus{"api.forbidden", 403},
    CodeStatus{"api.bad_host", 421},
    CodeStatus{"api.not_found", 404},
    CodeStatus{"api.method_not_allowed", 405},
    CodeStatus{"api.not_acceptable", 406},
    CodeStatus{"api.too_large", 413},
    CodeStatus{"api.media_type", 415},
    CodeStatus{"api.too_many_calls", 429},
    CodeStatus{"api.too_many_failures", 429},
    CodeStatus{"api.not_implemented", 501},
};

std::string_view title_of(int status) {
  switch (status) {
    case 400:
      return "The request is not understood";
    case 401:
      return "The caller is not known";
    case 403:
      return "The caller may not do this";
    case 404:
      return "There is no such thing";
    case 405:
      return "The method is not allowed here";
    case 406:
      return "No form of the answer is acceptable";
    case 409:
      return "The state of things does not allow it";
    case 413:
      return "The request is too large";
    case 415:
      return "The form of the request is not known here";
    case 421:
      return "The request is for another host";
    case 429:
      return "Too many calls";
    case 503:
      return "Not now";
    default:
      return "The request could not be worked on";
  }
}

}  // namespace

int status_of(const Error& error) {
  for (const CodeStatus& known : kStatuses) {
    if (known.code == error.code) return known.status;
  }
  if (error.fate == Fate::transient) return 503;
  if (error.fate == Fate::fatal) return 500;
  if (error.code.ends_with(".not_found")) return 404;
  return error.code.starts_with("api.bad_") ? 400 : 409;
}

http::Response problem(int status, const Error& error) {
  const nlohmann::ordered_json body{{"type", "urn:isthmus:error:" + error.code},
                                    {"title", title_of(status)},
                                    {"status", status},
                                    {"detail", error.message},
                                    {"code", error.code}};
  using Json = nlohmann::ordered_json;
  http::Response response =
      http::text_response(status, "application/problem+json",
                          body.dump(-1, ' ', false, Json::error_handler_t::replace));
  if (status == 429 || status == 503) response.headers.set("Retry-After", "1");
  if (status == 401) response.headers.set("WWW-Authenticate", "Bearer realm=\"isthmus\"");
  return response;
}

http::Response problem(const Error& error) {
  return problem(status_of(error), error);
}

http::Response json_answer(int status, const nlohmann::json& body) {
  using Json = nlohmann::json;
  return http::text_response(status, "application/json",
                             body.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace isthmus::api
