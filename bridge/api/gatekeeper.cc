#include "api/gatekeeper.h"

#include <algorithm>

#include "base/digest.h"

namespace isthmus::api {
namespace {

constexpr std::string_view kBearer = "Bearer ";

Error unauthorized() {
  return permanent_error("api.unauthorized", "This needs the token of somebody who may call.");
}

// "localhost:8080" without the port; "[::1]:8080" without brackets.
std::string_view host_of(std::string_view authority) {
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    return end == std::string_view::npos ? std::string_view() : authority.substr(1, end - 1);
  }
  return authority.substr(0, authority.find(':'));
}

bool is_own_name(std::string_view authority) {
  const std::string_view host = host_of(authority);
  return host == "localhost" || is_loopback(host);
}

}  // namespace

bool is_loopback(std::string_view address) {
  if (address == "::1") return true;
  if (!address.starts_with("127.")) return false;
  const auto of_address = [](char c) { return c == '.' || (c >= '0' && c <= '9'); };
  return std::ranges::all_of(address, of_address) && std::ranges::count(address, '.') == 3;
}

Result<void> check_exposure(const std::string& address, bool asks_callers, bool tls) {
  if (is_loopback(address) || (asks_callers && tls)) return {};
  std::string missing;
  if (!asks_callers) missing = "callers are not asked who they are";
  if (!tls) missing += std::string(missing.empty() ? "" : " and ") + "there is no TLS";
  return permanent_error("api.exposed", "http.address " + address +
                                            " is reached from other hosts, but " + missing +
                                            ": listen on 127.0.0.1.");
}

Result<Caller> Gatekeeper::identify(const http::Head& head) {
  const std::string_view shown = head.headers.get("Authorization");
  if (shown.empty()) {
    if (options_.ask_nobody) return local(head);
    return unauthorized();
  }
  if (!shown.starts_with(kBearer)) return unauthorized();
  const std::string_view token = shown.substr(kBearer.size());
  if (!options_.control_token.empty() && equal_secrets(token, options_.control_token)) {
    return Caller{"command line", Scopes::all(), Authentication::control_token, head.peer_address};
  }
  return unauthorized();
}

// A page of another site that the browser of this machine shows may send requests here, too: by a
// name that it made point here, or from its own origin.
Result<Caller> Gatekeeper::local(const http::Head& head) const {
  const std::string_view host = head.headers.get("Host");
  const std::string_view origin = head.headers.get("Origin");
  const bool own_origin = origin.empty() || origin == "http://" + std::string(host);
  if (!is_own_name(host) || !own_origin) {
    return permanent_error("api.bad_host",
                           "Nobody is asked who calls, so that only calls to localhost itself are "
                           "answered.");
  }
  return Caller{"local", Scopes::all(), Authentication::local, head.peer_address};
}

}  // namespace isthmus::api
