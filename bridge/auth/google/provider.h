// One kind of credentials, and what all kinds share. Private to auth/.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "auth/google.h"

namespace isthmus::google {

// What every provider works with; outlives them all.
struct Means {
  Env& env;
  http::Transport& transport;
  const GoogleCredentialOptions& options;

  http::Transport& local() const {
    return options.local_transport == nullptr ? transport : *options.local_transport;
  }
  // Of the environment; an empty value counts as none.
  std::optional<std::string> variable(const std::string& name) const;
  std::string scopes() const;  // joined by spaces
};

struct AccessToken {
  std::string value;
  std::optional<WallTime> expires_at;
};

// "auth.no_credentials" about `source` ("the service account's key").
Error no_credentials(const std::string& source, const std::string& why);

// The file that the chain comes to first; nothing when it ends at the machine's metadata server.
Result<std::optional<std::string>> find_credentials_file(const Means& means);
// "auth.no_credentials" when it is no JSON object.
Result<nlohmann::json> read_credentials(const Means& means, const std::string& file);

// A file of at most 1 MiB.
Result<std::string> read_file(Env& env, const std::string& path);
std::string text_in(const nlohmann::json& object, const char* name);

using Form = std::vector<std::pair<std::string, std::string>>;
// POST as a form (application/x-www-form-urlencoded).
http::Request form_request(const std::string& url, const Form& form);
// The JSON of an answer of status 200 and at most 64 KiB; other answers become errors with the
// OAuth error that they name (RFC 6749 section 5.2).
Result<nlohmann::json> ask(http::Transport& transport, const std::string& source,
                           http::Request request);
// {access_token, expires_in} (RFC 6749 section 5.1).
Result<AccessToken> token_of(Env& env, const std::string& source, const nlohmann::json& answer);

// Compact JWS of these claims, signed with RSASSA-PKCS1-v1_5 and SHA-256 (RFC 7515, RFC 7518).
Result<std::string> signed_jwt(const std::string& private_key_pem, const std::string& key_id,
                               const nlohmann::json& claims);

// By the type that the document names. `depth` counts credentials within credentials.
Result<AccessToken> from_document(Means& means, const nlohmann::json& document, int depth = 0);
Result<AccessToken> from_service_account(Means& means, const nlohmann::json& document);
Result<AccessToken> from_external_account(Means& means, const nlohmann::json& document);
Result<AccessToken> from_authorized_user(Means& means, const nlohmann::json& document);
Result<AccessToken> from_metadata_server(Means& means);
// The mail address of the machine's service account.
Result<std::string> account_of_machine(Means& means);

GoogleIdentity identity_in(const nlohmann::json& document);

// The service account behind `url` (…:generateAccessToken), in whose name `who` may act.
Result<AccessToken> impersonate(Means& means, const std::string& url, const AccessToken& who,
                                const std::vector<std::string>& delegates,
                                std::int64_t lifetime_seconds);

}  // namespace isthmus::google
