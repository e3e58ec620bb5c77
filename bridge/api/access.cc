#include "api/access.h"

namespace isthmus::api {

std::string_view to_string(Scope scope) {
  switch (scope) {
    case Scope::store:
      return "store";
    case Scope::read:
      return "read";
    case Scope::read_phi:
      return "read-phi";
    case Scope::operate:
      return "operate";
    case Scope::update:
      return "update";
    case Scope::admin:
      return "admin";
  }
  return "unknown";
}

std::optional<Scope> parse_scope(std::string_view word) {
  for (const Scope scope : kAllScopes) {
    if (to_string(scope) == word) return scope;
  }
  return std::nullopt;
}

Scopes Scopes::all() {
  Scopes scopes;
  for (const Scope scope : kAllScopes) scopes.add(scope);
  return scopes;
}

Result<Scopes> Scopes::parse(std::string_view words) {
  Scopes scopes;
  while (!words.empty()) {
    const std::size_t end = words.find_first_of(" ,");
    const std::string_view word = words.substr(0, end);
    words = end == std::string_view::npos ? std::string_view() : words.substr(end + 1);
    if (word.empty()) continue;
    const auto scope = parse_scope(word);
    if (!scope) {
      return permanent_error("api.bad_scope",
                             "Scopes are store, read, read-phi, operate, update and admin.");
    }
    scopes.add(*scope);
  }
  if (scopes.empty()) return permanent_error("api.bad_scope", "Name one scope at least.");
  return scopes;
}

bool Scopes::has(Scope scope) const {
  const auto set = [this](Scope one) { return bits_.test(static_cast<std::size_t>(one)); };
  return set(scope) || (scope == Scope::read && set(Scope::read_phi));
}

std::string Scopes::text() const {
  std::string words;
  for (const Scope scope : kAllScopes) {
    if (!bits_.test(static_cast<std::size_t>(scope))) continue;
    if (!words.empty()) words += ' ';
    words += to_string(scope);
  }
  return words;
}

std::string_view to_string(Authentication how) {
  switch (how) {
    case Authentication::local:
      return "local";
    case Authentication::control_token:
      return "control_token";
    case Authentication::token:
      return "token";
    case Authentication::oidc:
      return "oidc";
  }
  return "unknown";
}

}  // namespace isthmus::api
