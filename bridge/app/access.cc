#include "app/access.h"

#include "http/client.h"

namespace isthmus::app {
namespace {

bool asks_callers(const Settings& settings) {
  return settings.text("api.authentication") == "required";
}

bool is_url(const std::string& text) {
  return text.starts_with("https://") || text.starts_with("http://");
}

std::vector<std::string> scope_problems(const Settings& settings) {
  std::vector<std::string> names{"orthanc.scopes"};
  for (const std::string& user : settings.entries("orthanc_users")) {
    names.push_back("orthanc_users." + user + ".scopes");
  }
  std::vector<std::string> problems;
  for (const std::string& name : names) {
    for (const std::string& word : settings.list(name)) {
      if (api::parse_scope(word)) continue;
      std::string known;
      for (const api::Scope scope : api::kAllScopes) {
        known += (known.empty() ? "" : ", ") + std::string(api::to_string(scope));
      }
      problems.push_back(name + ": \"" + word + "\" is no scope; there are " + known + ".");
    }
  }
  return problems;
}

}  // namespace

std::unique_ptr<IdentityProvider> IdentityProvider::open(Env& env, const Settings& settings,
                                                         bool once) {
  auto made = std::make_unique<IdentityProvider>();
  const std::string keys = settings.text("api.oidc.keys");
  auth::KeySourceOptions source;
  if (is_url(keys)) {
    source.url = keys;
    made->transport_ =
        http::make_client(env, {.ca_file = settings.text("api.oidc.ca"), .proxy_url = {}});
  } else {
    source.file = keys;
  }
  made->keys_ = auth::make_key_source(env, made->transport_.get(), source);
  auth::JwtRules rules;
  rules.issuer = settings.text("api.oidc.issuer");
  rules.audience = settings.text("api.oidc.audience");
  rules.scopes_claim = settings.text("api.oidc.scopes_claim");
  rules.clock_skew = settings.duration("api.oidc.clock_skew_s");
  rules.once = once;
  made->verifier_ = std::make_unique<auth::JwtVerifier>(env, *made->keys_, rules);
  return made;
}

Result<std::unique_ptr<Access>> Access::open(Env& env, const Settings& settings, AccessRows& rows,
                                             std::string control_token) {
  std::unique_ptr<Access> access(new Access(env, rows));
  TRY(access->tokens_.load());
  if (!settings.text("api.oidc.issuer").empty()) {
    access->oidc_ = IdentityProvider::open(env, settings, settings.flag("api.oidc.once"));
  }
  api::GatekeeperOptions options;
  options.ask_nobody = !asks_callers(settings);
  options.control_token = std::move(control_token);
  options.oidc_scope_prefix = settings.text("api.oidc.scope_prefix");
  options.failures_per_minute = settings.integer("api.failures_per_minute");
  access->gatekeeper_ = std::make_unique<api::Gatekeeper>(
      env, options, &access->tokens_, access->oidc_ ? &access->oidc_->verifier() : nullptr);
  return access;
}

api::GuardedRouterOptions guarded_router_options(const Settings& settings) {
  api::GuardedRouterOptions options;
  options.limits.calls_per_second = settings.number("api.calls_per_second");
  options.limits.calls_at_once = static_cast<std::size_t>(settings.integer("api.calls_at_once"));
  options.over_tls = settings.flag("http.tls.enabled");
  return options;
}

std::vector<api::DestinationFace> destination_faces(const Settings& settings) {
  std::vector<api::DestinationFace> faces;
  for (const std::string& name : settings.destinations()) {
    const std::string prefix = "destinations." + name + ".";
    faces.push_back({name, settings.text(prefix + "kind"), settings.text(prefix + "bucket"),
                     settings.text(prefix + "object_prefix")});
  }
  return faces;
}

api::Scopes scopes_of(const Settings& settings, const std::string& name) {
  api::Scopes scopes;
  for (const std::string& word : settings.list(name)) {
    if (const auto scope = api::parse_scope(word)) scopes.add(*scope);
  }
  return scopes;
}

std::vector<std::string> access_problems(const Settings& settings) {
  std::vector<std::string> problems = scope_problems(settings);
  const auto exposed = api::check_exposure(settings.text("http.address"), asks_callers(settings),
                                           settings.flag("http.tls.enabled"));
  if (!exposed.ok()) problems.push_back(exposed.error().message);
  if (settings.text("api.oidc.issuer").empty()) {
    if (settings.flag("datastore.oidc")) {
      problems.emplace_back("datastore.oidc needs an identity provider: set api.oidc.issuer.");
    }
    return problems;
  }
  if (settings.text("api.oidc.audience").empty()) {
    problems.emplace_back(
        "api.oidc.issuer needs api.oidc.audience: else tokens for others would be accepted here.");
  }
  const std::string keys = settings.text("api.oidc.keys");
  if (keys.empty()) {
    problems.emplace_back("api.oidc.issuer needs api.oidc.keys: a file or a URL of a JWK set.");
  }
  if (keys.starts_with("http://")) {
    problems.emplace_back(
        "api.oidc.keys is fetched by https only: whoever changes it on the way is anybody.");
  }
  return problems;
}

}  // namespace isthmus::app
