// AWS Signature Version 4, both sides: what a client adds to a request and what a server
// recomputes. Pure functions: no clock, no key store. Rules: "Signature Version 4 signing process"
// (AWS General Reference) and "Authenticating Requests: Using the Authorization Header" (Amazon S3
// API Reference). Any thread. Secrets are never in an error.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "http/http.h"

namespace isthmus::wire::sigv4 {

// Stands where the payload's hash would, when the sender does not sign the body.
inline constexpr std::string_view kUnsignedPayload = "UNSIGNED-PAYLOAD";
// SHA-256 of nothing.
inline constexpr std::string_view kEmptyPayloadHash =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

struct Keys {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;  // empty: none
};

// What a signature is good for: one day, region and service.
struct Scope {
  std::string date;  // "20150830"
  std::string region;
  std::string service;  // "s3", "medical-imaging"
  // "20150830/us-east-1/s3/aws4_request"
  std::string text() const;
  bool operator==(const Scope&) const = default;
};

// "20150830T123600Z" (UTC, whole seconds), and back; nothing when it is not that form.
std::string to_amz_date(WallTime time);
std::optional<WallTime> from_amz_date(std::string_view text);

// How the path enters the canonical request.
enum class PathRule {
  // Amazon S3: the percent-encoding of the path sent, put into its one canonical form (every octet
  // but
  // unreserved ones and '/' as %XX); no dot segment is resolved, no slash removed.
  s3,
  // Everything else: dot segments and doubled slashes are resolved, then what was sent (already
  // percent-encoded) is encoded once more.
  encoded_twice,
};
PathRule path_rule_of(std::string_view service);

// A request as it is on the wire. The views must outlive the call.
struct Parts {
  std::string_view method;
  std::string_view path;   // raw, before '?'
  std::string_view query;  // raw, after '?'
  const http::Headers& headers;
};
Parts parts_of(const http::Head& head);

// `signed_headers` are lower-case names, in order; a name without a field counts as an empty value.
// `payload_hash` is 64 hex digits, kUnsignedPayload or one of the STREAMING-… words.
std::string canonical_request(const Parts& parts, std::span<const std::string> signed_headers,
                              std::string_view payload_hash, PathRule rule);
std::string string_to_sign(std::string_view amz_date, const Scope& scope,
                           std::string_view canonical_request_text);
// 64 lower-case hex digits.
std::string signature(std::string_view secret_access_key, const Scope& scope,
                      std::string_view string_to_sign_text);

// Signs a request that is about to be sent. Sets Host (the URL's authority), X-Amz-Date, and for a
// session X-Amz-Security-Token; for "s3" also x-amz-content-sha256; then Authorization. Every
// header present is signed, but for those that a transport may change on its way (Connection,
// Content-Length, Expect, Transfer-Encoding, User-Agent and the like). Signing again replaces all
// of it. "http.bad_url".
Result<void> sign(http::Request& request, const Keys& keys, std::string_view region,
                  std::string_view service, WallTime now, std::string_view payload_hash);

// What a client claims in "Authorization: AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…,
// Signature=…".
struct Authorization {
  std::string access_key_id;
  Scope scope;
  std::vector<std::string> signed_headers;  // as sent
  std::string signature;
};

// "sigv4.missing" (no such header), "sigv4.unsupported" (another scheme), "sigv4.malformed";
// permanent.
Result<Authorization> parse_authorization(std::string_view header_value);

// What a client claims in the query of a presigned URL (X-Amz-Algorithm, -Credential, -Date,
// -Expires, -SignedHeaders, -Signature): "Authenticating Requests: Using Query Parameters" (Amazon
// S3 API Reference).
struct Presigned {
  Authorization claim;
  std::string amz_date;
  std::chrono::seconds expires{0};  // after amz_date; 1 s to 7 days
};
// Whether the query says that it is signed, well or badly.
bool is_presigned(std::string_view query);
// "sigv4.malformed_query" (permanent).
Result<Presigned> parse_presigned(std::string_view query);
// Holds it against the key it names; the payload hash is kUnsignedPayload unless the request says
// another. All permanent, in this order: "sigv4.wrong_scope", "sigv4.not_yet_valid" (its date is
// more than `skew` ahead), "sigv4.expired", "sigv4.unsigned_header", "sigv4.mismatch".
Result<void> verify_presigned(const Parts& parts, const Presigned& presigned,
                              std::string_view secret_access_key, std::string_view region,
                              std::string_view service, WallTime now, Milliseconds skew,
                              std::string_view payload_hash = kUnsignedPayload);
// Makes the request's URL one that is good for `expires`. Headers it has must be sent with it.
// "http.bad_url".
Result<void> presign(http::Request& request, const Keys& keys, std::string_view region,
                     std::string_view service, WallTime now, std::chrono::seconds expires);

// Holds the claim against the key it names. `secret_access_key` belongs to claim.access_key_id; the
// payload hash is what x-amz-content-sha256 says (for services without it: the SHA-256 of the
// body). The date is X-Amz-Date, else Date. Checked, in this order, all permanent: "sigv4.no_date",
// "sigv4.wrong_scope" (date, region or service of the scope is another), "sigv4.skewed" (more than
// `skew` away from `now`), "sigv4.unsigned_header" (host or an x-amz-* header present but not
// signed), "sigv4.mismatch". Compared without telling by duration.
Result<void> verify(const Parts& parts, const Authorization& claim,
                    std::string_view secret_access_key, std::string_view region,
                    std::string_view service, WallTime now, Milliseconds skew,
                    std::string_view payload_hash);

}  // namespace isthmus::wire::sigv4
