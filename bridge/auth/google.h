// Google's application default credentials: where a process finds out who it is towards Google
// Cloud ("How Application Default Credentials works", and the file formats of google.auth: AIP-4110
// to AIP-4118).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/tokens.h"
#include "base/env.h"
#include "http/http.h"

namespace isthmus {

struct GoogleCredentialOptions {
  // The value of an environment variable. Credentials never come from elsewhere in the process.
  std::function<std::optional<std::string>(const std::string&)> variable = {};
  // Runs an external account's program and gives what it printed (base/command.h).
  std::function<Result<std::string>(const std::vector<std::string>&)> run = {};
  // Asks what is on this machine: the metadata server and an external account's local token
  // service, never by a proxy. None: the transport that token endpoints are asked by.
  http::Transport* local_transport = nullptr;
  std::string credentials_file = {};  // empty: as the chain below says
  std::vector<std::string> scopes = {"https://www.googleapis.com/auth/cloud-platform"};
  // Not empty: a service account's key signs the tokens itself, for this audience
  // ("https://healthcare.googleapis.com/"), and no token endpoint is asked (AIP-4111).
  std::string self_signed_audience = {};
  // URLs asked instead of those that credentials name or that are Google's own; claims stay as they
  // would be. Empty: none.
  std::string token_endpoint = {};
  std::string sts_endpoint = {};
  std::string impersonation_endpoint = {};
  std::string metadata_endpoint = {};  // empty: GCE_METADATA_HOST, then 169.254.169.254
  // Tokens are renewed this long before they expire; should that fail, the old one is used until it
  // does. contracts/google-healthcare section 7.
  Milliseconds refresh_before{5 * 60'000};
};

// The first that is configured decides, and its failure is the answer: a broken configuration never
// falls through to somebody else's identity.
//  1. options.credentials_file
//  2. the file that GOOGLE_APPLICATION_CREDENTIALS names
//  3. gcloud's application_default_credentials.json (CLOUDSDK_CONFIG, else ~/.config/gcloud)
//  4. the metadata server of the machine; not when NO_GCE_CHECK is "true"
// Files are of type service_account (JWT grant RFC 7523, or self-signed), external_account (token
// exchange RFC 8693; subject token by file, URL or program; impersonation), authorized_user, or
// impersonated_service_account.
// Any thread; one asks while the others use the token that is still good, or wait. Each renewal is
// logged with its source and the date of expiry. `env`, `transport` and options.local_transport
// must outlive it.
std::unique_ptr<TokenSource> make_google_credentials(Env& env, http::Transport& transport,
                                                     GoogleCredentialOptions options);

// Whom that chain stands for, read from the file, or asked of the metadata server: no token is
// asked for, and nothing of it is a secret. For people, not for decisions.
struct GoogleIdentity {
  std::string type;  // of the file; "metadata_server"
  std::string name;  // a service account, or an external account's audience; empty: it is not told
};
// "auth.no_credentials" (transient).
Result<GoogleIdentity> read_google_identity(Env& env, http::Transport& transport,
                                            const GoogleCredentialOptions& options);

}  // namespace isthmus
