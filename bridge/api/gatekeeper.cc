#include "api/gatekeeper.h"

#include <algorithm>

#include "base/digest.h"

namespace isthmus::api {
namespace {

constexpr std::string_view kBearer = "bearer ";
constexpr Milliseconds kMinute{60'000};
constexpr std::size_t kAddresses = 4096;  // whose failures are remembered

Error unauthorized() {
  return permanent_error("api.unauthorized", "This needs the token of somebody who may call.");
}

// What follows the scheme, whose name may be in either case (RFC 9110, section 11.1).
std::optional<std::string_view> bearer_token(std::string_view credentials) {
  if (credentials.size() < kBearer.size()) return std::nullopt;
  const auto same = [](char shown, char lower) {
    return (shown >= 'A' && shown <= 'Z' ? shown - 'A' + 'a' : shown) == lower;
  };
  if (!std::equal(kBearer.begin(), kBearer.end(), credentials.begin(),
                  [&](char lower, char shown) { return same(shown, lower); })) {
    return std::nullopt;
  }
  return credentials.substr(kBearer.size());
}

// "localhost:8080" without the port; "[::1]:8080" without brackets.
std::string_view host_of(std::string_view authority) {
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    return end == std::string_view::npos ? std::string_view() : authority.substr(1, end - 1);
  }
  return authority.substr(0, authority.find(':'));
}

// Scopes that nobody knows are refused, not left out.
Result<Caller> somebody_of_host(std::string_view said, const std::string& address) {
  const std::size_t end = said.find(';');
  if (end == std::string_view::npos || end + 1 == said.size()) return unauthorized();
  Caller caller{std::string(said.substr(end + 1)), {}, Authentication::control_token, address};
  if (end > 0) {
    TRY_ASSIGN(caller.scopes, Scopes::parse(said.substr(0, end)));
  }
  return caller;
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
  return permanent_error(
      "api.exposed", "http.address " + address + " is reached from other hosts, but " + missing +
                         ": set " + (asks_callers ? "" : "api.authentication=required ") +
                         (tls ? "" : "http.tls.enabled=true ") + "or listen on 127.0.0.1.");
}

Result<Caller> Gatekeeper::identify(const http::Head& head) {
  const auto shown = head.headers.find("Authorization");
  if (!shown) {
    if (options_.ask_nobody) return local(head);
    return unauthorized();
  }
  if (failed_too_often(head.peer_address)) {
    return transient_error("api.too_many_failures",
                           "Too many wrong credentials came from this address.");
  }
  auto caller = of_credentials(*shown, head);
  if (caller.ok() || caller.error().fate != Fate::permanent) return caller;
  note_failure(head.peer_address, caller.error().code);
  // What was wrong with them is not for whoever tries.
  if (caller.error().code == "auth.jwt_expired") {
    return permanent_error("api.expired", "The token is out of date: ask for a new one.");
  }
  if (caller.error().code == "api.expired") return caller;
  return unauthorized();
}

Result<Caller> Gatekeeper::of_credentials(std::string_view shown, const http::Head& head) {
  const std::string& address = head.peer_address;
  const auto bearer = bearer_token(shown);
  if (!bearer) return unauthorized();
  const std::string_view token = *bearer;
  if (!options_.control_token.empty() && equal_secrets(token, options_.control_token)) {
    const auto said = head.headers.find(kOnBehalfOfHeader);
    if (said) return somebody_of_host(*said, address);
    return Caller{"command line", Scopes::all(), Authentication::control_token, address};
  }
  if (TokenBook::looks_like_token(token)) {
    if (tokens_ == nullptr) return unauthorized();
    TRY_ASSIGN(const TokenBook::Holder holder, tokens_->find(token));
    return Caller{holder.name, holder.scopes, Authentication::token, address};
  }
  return of_jwt(token, address);
}

Result<Caller> Gatekeeper::of_jwt(std::string_view token, const std::string& address) {
  if (oidc_ == nullptr) return unauthorized();
  TRY_ASSIGN(const auth::JwtClaims claims, oidc_->verify(token));
  Caller caller{claims.subject, {}, Authentication::oidc, address};
  for (std::string_view word : claims.words) {
    if (!word.starts_with(options_.oidc_scope_prefix)) continue;
    word.remove_prefix(options_.oidc_scope_prefix.size());
    // Words that are no scopes of ours are others' business.
    if (const auto scope = parse_scope(word)) caller.scopes.add(*scope);
  }
  return caller;
}

bool Gatekeeper::failed_too_often(const std::string& address) {
  if (options_.failures_per_minute == 0) return false;
  const std::lock_guard lock(mutex_);
  const auto known = failures_.find(address);
  if (known == failures_.end()) return false;
  if (env_.clock.steady_now() - known->second.since >= kMinute) {
    failures_.erase(known);
    return false;
  }
  return known->second.count >= options_.failures_per_minute;
}

void Gatekeeper::note_failure(const std::string& address, const std::string& code) {
  env_.metrics
      .counter("api_credentials_refused_total", "Credentials that were refused, by why.",
               {{"code", code}})
      .add();
  if (options_.failures_per_minute == 0) return;
  const std::lock_guard lock(mutex_);
  const SteadyTime now = env_.clock.steady_now();
  if (failures_.size() >= kAddresses) {
    std::erase_if(failures_, [now](const auto& one) { return now - one.second.since >= kMinute; });
    if (failures_.size() >= kAddresses) failures_.clear();
  }
  Failures& failures = failures_[address];
  if (now - failures.since >= kMinute) failures = {now, 0};
  if (++failures.count == options_.failures_per_minute) {
    env_.log.warn("api.credentials_refused", {{"address", address}, {"times", failures.count}});
  }
}

// A page of another site that the browser of this machine shows may send requests here, too: by a
// name that it made point here, or from its own origin.
Result<Caller> Gatekeeper::local(const http::Head& head) const {
  const std::string_view host = head.headers.get("Host");
  const std::string_view origin = head.headers.get("Origin");
  const bool own_origin = origin.empty() || origin == "http://" + std::string(host) ||
                          origin == "https://" + std::string(host);
  if (!is_own_name(host) || !own_origin) {
    return permanent_error("api.bad_host",
                           "Nobody is asked who calls, so that only calls to localhost itself are "
                           "answered.");
  }
  return Caller{"local", Scopes::all(), Authentication::local, head.peer_address};
}

}  // namespace isthmus::api
