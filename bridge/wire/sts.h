// The calls of AWS Security Token Service that credentials are made with, and the one that says
// whose they are (query protocol, API version 2011-06-15): what goes into the form, what comes out
// of the XML. Both directions, no I/O. Any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"

namespace isthmus::wire::sts {

inline constexpr std::uint64_t kMaxXmlBytes = 256 * 1024;

struct AssumeRole {
  std::string role_arn;
  std::string session_name;
  std::string external_id;         // empty: not sent
  std::string web_identity_token;  // AssumeRoleWithWebIdentity when there is one; else AssumeRole
  std::optional<int> duration_seconds;

  bool operator==(const AssumeRole&) const = default;
};

// application/x-www-form-urlencoded, and back: "sts.malformed" (permanent) for another Action, or
// without RoleArn or RoleSessionName.
std::string print(const AssumeRole& request);
Result<AssumeRole> parse_assume_role(std::string_view form);

struct AssumedRole {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;
  WallTime expires_at;

  bool operator==(const AssumedRole&) const = default;
};
// The answer to either call; reading gives "sts.malformed" (permanent) when something is missing.
std::string print(const AssumedRole& answer, bool by_web_identity);
Result<AssumedRole> parse_assumed_role(std::string_view xml);

// Who the caller is: GetCallerIdentity, which every identity may ask.
std::string print_caller_identity_request();
struct CallerIdentity {
  std::string account;
  std::string arn;
  std::string user_id;

  bool operator==(const CallerIdentity&) const = default;
};
// Reading gives "sts.malformed" (permanent) without an ARN.
std::string print(const CallerIdentity& answer);
Result<CallerIdentity> parse_caller_identity(std::string_view xml);

struct ErrorBody {
  std::string code;  // "AccessDenied", "ExpiredTokenException"
  std::string message;
};
std::string print(const ErrorBody& error);
Result<ErrorBody> parse_error(std::string_view xml);

}  // namespace isthmus::wire::sts
