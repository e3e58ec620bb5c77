// The AWS credential chain: where a process finds out who it is towards AWS, in the order that the
// SDKs have made customary (AWS SDKs and Tools Reference Guide, "Standardized credential
// providers").
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/credentials.h"
#include "http/http.h"

namespace isthmus {

struct AwsCredentialOptions {
  // The value of an environment variable. Credentials never come from elsewhere in the process.
  std::function<std::optional<std::string>(const std::string&)> variable = {};
  // Runs a profile's credential_process and gives what it printed (base/command.h).
  std::function<Result<std::string>(const std::vector<std::string>&)> run = {};
  // Asks what is on this machine: container agents and instance metadata, never by a proxy. None:
  // the transport that STS is asked by.
  http::Transport* local_transport = nullptr;
  std::string profile = {};          // empty: AWS_PROFILE, then "default"
  std::string region = "us-east-1";  // whose STS is asked
  std::string role_arn = {};         // assumed with what the chain gives; empty: none
  std::string external_id = {};      // sent with role_arn when not empty
  std::string session_name = "isthmus";
  std::string sts_endpoint = {};  // empty: AWS_ENDPOINT_URL_STS, then the region's own
  // Temporary credentials are renewed this long before they expire; should that fail, the old ones
  // are used until they do.
  Milliseconds refresh_before{5 * 60'000};
};

// The first that is configured decides, and its failure is the answer: a broken configuration never
// falls through to somebody else's identity.
//  1. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; not when options.profile is set
//  2. AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN: AssumeRoleWithWebIdentity; not with a profile
//  3. the profile of AWS_CONFIG_FILE (~/.aws/config) and AWS_SHARED_CREDENTIALS_FILE
//     (~/.aws/credentials): role_arn by source_profile, credential_source or
//     web_identity_token_file; keys; credential_process
//  4. AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI (containers, pods)
//  5. instance metadata, version 2 only; not when AWS_EC2_METADATA_DISABLED is true
// Any thread; one asks while the others wait. credentials() gives "auth.no_credentials" (transient:
// a caller tries again by its own pace) with the step that failed and what to do, and never a
// secret. Each renewal is logged with its source and the date of expiry.
// `env`, `transport` and options.local_transport must outlive it.
std::unique_ptr<CredentialsSource> make_aws_credentials(Env& env, http::Transport& transport,
                                                        AwsCredentialOptions options);

}  // namespace isthmus
