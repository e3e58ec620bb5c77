// One place where credentials may be, and what providers share.
#pragma once

#include <optional>
#include <string>

#include "auth/aws.h"

namespace isthmus::aws {

// What every provider works with; outlives them all.
struct Means {
  Env& env;
  http::Transport& transport;
  const AwsCredentialOptions& options;

  // Of the environment; an empty value counts as none.
  std::optional<std::string> variable(const std::string& name) const;
};

// Nothing: not configured here, ask the next. An error: configured, but it cannot be had now.
using Found = Result<std::optional<Credentials>>;

// "auth.no_credentials" about `source` ("instance metadata").
Error no_credentials(const std::string& source, const std::string& why);

// A file of at most 1 MiB, without the space around it.
Result<std::string> read_secret_file(Env& env, const std::string& path);

// {AccessKeyId, SecretAccessKey, Token or SessionToken, Expiration}: as instance metadata,
// containers and credential_process answer.
Result<Credentials> parse_credentials_json(const std::string& source, const std::string& text);

// Asks what is on this machine: an answer of at most 64 KiB and status 200.
Result<std::string> fetch(Means& means, const std::string& source, http::Request request);

Found from_environment(Means& means);
Found from_web_identity_variables(Means& means);
Found from_profile(Means& means);
Found from_container(Means& means);
Found from_instance_metadata(Means& means);

}  // namespace isthmus::aws
