#include "api/control.h"

#include <nlohmann/json.hpp>

#include "base/digest.h"

namespace isthmus::api {
namespace {

constexpr std::uint64_t kControlBodyBytes = 64 * KiB;

bool has_token(const http::Head& head, const std::string& token) {
  constexpr std::string_view kScheme = "Bearer ";
  const std::string_view given = head.headers.get("Authorization");
  return !token.empty() && given.starts_with(kScheme) &&
         equal_secrets(given.substr(kScheme.size()), token);
}

}  // namespace

http::Response problem(int status, const Error& error) {
  const nlohmann::json body{{"status", status}, {"code", error.code}, {"detail", error.message}};
  return http::text_response(status, "application/problem+json", body.dump());
}

http::RouteAction control_call(std::string token,
                               std::function<http::Response(const std::string& body)> act) {
  return
      [token = std::move(token), act = std::move(act)](
          const http::Head& head, const http::PathParameters&) -> std::unique_ptr<http::Exchange> {
        if (has_token(head, token)) return http::gather(kControlBodyBytes, act);
        return http::answer_with(
            problem(401, permanent_error("api.unauthorized",
                                         "Control calls need the token of this installation.")));
      };
}

}  // namespace isthmus::api
