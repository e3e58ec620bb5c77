#include "wire/sigv4.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/digest.h"
#include "wire/text.h"

namespace isthmus::wire::sigv4 {

namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view kTerminator = "aws4_request";
constexpr std::string_view kSignatureParameter = "X-Amz-Signature";
constexpr std::chrono::seconds kLongestPresigned{604'800};  // X-Amz-Expires: "604800 (seven days)"

// Headers that a client, a proxy or a server in between may add or rewrite: never part of a
// signature.
constexpr std::array<std::string_view, 18> kUnsignable = {"accept",
                                                          "accept-encoding",
                                                          "authorization",
                                                          "cache-control",
                                                          "connection",
                                                          "content-length",
                                                          "expect",
                                                          "from",
                                                          "keep-alive",
                                                          "max-forwards",
                                                          "pragma",
                                                          "referer",
                                                          "te",
                                                          "trailer",
                                                          "transfer-encoding",
                                                          "upgrade",
                                                          "user-agent",
                                                          "x-amzn-trace-id"};

bool signable(std::string_view lower_name) {
  return std::ranges::find(kUnsignable, lower_name) == kUnsignable.end() &&
         !lower_name.starts_with("proxy-");
}

// Removes dot segments (RFC 3986 section 5.2.4) and empty segments; keeps a slash at the end.
std::string normalized_path(std::string_view path) {
  std::vector<std::string_view> kept;
  std::string_view last;
  for (std::string_view rest = path; !rest.empty();) {
    const std::size_t slash = rest.find('/');
    last = rest.substr(0, slash);
    if (last == "..") {
      if (!kept.empty()) kept.pop_back();
    } else if (!last.empty() && last != ".") {
      kept.push_back(last);
    }
    rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
  }
  std::string joined;
  for (const std::string_view segment : kept) joined.append("/").append(segment);
  const bool ends_in_folder = path.ends_with('/') || last == "." || last == "..";
  if (joined.empty() || ends_in_folder) joined += '/';
  return joined;
}

std::string canonical_path(std::string_view path, PathRule rule) {
  if (path.empty()) return "/";
  if (rule == PathRule::encoded_twice) return http::percent_encode(normalized_path(path), true);
  // A sender may leave characters bare that the canonical form escapes. A slash that was sent as
  // %2F becomes bare here, as it does in Amazon's own computation over the decoded key.
  const auto decoded = http::percent_decode(path);
  return decoded ? http::percent_encode(*decoded, true) : std::string(path);
}

std::string canonical_query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> pairs = http::parse_query(query);
  for (auto& [name, value] : pairs) {
    name = http::percent_encode(name, false);
    value = http::percent_encode(value, false);
  }
  std::ranges::sort(pairs);
  std::string joined;
  for (const auto& [name, value] : pairs) {
    if (!joined.empty()) joined += '&';
    joined.append(name).append("=").append(value);
  }
  return joined;
}

// Trimmed, runs of blanks made one.
std::string canonical_value(std::string_view value) {
  std::string out;
  bool blank = false;
  for (const char c : value) {
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      blank = !out.empty();
      continue;
    }
    if (blank) out += ' ';
    blank = false;
    out += c;
  }
  return out;
}

std::string joined(std::span<const std::string> names) {
  std::string text;
  for (const std::string& name : names) {
    if (!text.empty()) text += ';';
    text += name;
  }
  return text;
}

Error refused(std::string code, std::string message) {
  return permanent_error("sigv4." + std::move(code), std::move(message));
}

// The signing time in the form of X-Amz-Date; nothing when the request has none that can be read.
std::optional<std::string> date_of(const http::Headers& headers) {
  if (const auto stated = headers.find("x-amz-date")) {
    if (!from_amz_date(*stated)) return std::nullopt;
    return std::string(*stated);
  }
  const std::string_view date = headers.get("date");
  if (from_amz_date(date)) return std::string(date);
  if (const auto time = http::from_http_date(date)) return to_amz_date(*time);
  return std::nullopt;
}

// Host and everything that Amazon gives a meaning to must be covered, or a third party could change
// it.
Result<void> check_coverage(const http::Headers& headers,
                            std::span<const std::string> signed_headers) {
  const auto covered = [&](std::string_view name) {
    return std::ranges::find(signed_headers, name) != signed_headers.end();
  };
  if (!covered("host")) return refused("unsigned_header", "The signature must cover header host.");
  for (const auto& [name, value] : headers.all()) {
    const std::string lower = lower_case(name);
    if (lower.starts_with("x-amz-") && !covered(lower)) {
      return refused("unsigned_header", "Every x-amz- header must be covered by the signature.");
    }
  }
  return {};
}

// The three parts that a header and a query both have; nothing when they are malformed.
std::optional<Authorization> claim_of(std::string_view credential, std::string_view signed_headers,
                                      std::string_view given) {
  // An access key id may itself hold slashes: the scope is the last four parts.
  const std::vector<std::string_view> parts = split(credential, '/');
  if (parts.size() < 5 || parts.back() != kTerminator) return std::nullopt;
  const std::size_t at = parts.size() - 4;
  Authorization claim;
  claim.access_key_id =
      credential.substr(0, static_cast<std::size_t>(parts[at].data() - credential.data()) - 1);
  claim.scope = {std::string(parts[at]), std::string(parts[at + 1]), std::string(parts[at + 2])};
  for (const std::string_view name : split(signed_headers, ';')) {
    if (name.empty() || name != lower_case(name)) return std::nullopt;
    claim.signed_headers.emplace_back(name);
  }
  claim.signature = given;
  if (claim.access_key_id.empty() || claim.scope.date.size() != 8 || given.size() != 64 ||
      given.find_first_not_of("0123456789abcdef") != std::string_view::npos) {
    return std::nullopt;
  }
  return claim;
}

// Everything of the query but the signature, which is of the rest.
std::string without_signature(std::string_view query) {
  std::string kept;
  for (const std::string_view part : split(query, '&')) {
    if (part.substr(0, part.find('=')) == kSignatureParameter) continue;
    if (!kept.empty()) kept += '&';
    kept += part;
  }
  return kept;
}

}  // namespace

std::string Scope::text() const {
  return fmt::format("{}/{}/{}/{}", date, region, service, kTerminator);
}

std::string to_amz_date(WallTime time) {
  const CivilTime at = civil_of(time);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", at.year, at.month, at.day, at.hour,
                     at.minute, at.second);
}

std::optional<WallTime> from_amz_date(std::string_view text) {
  if (text.size() != 16 || text[8] != 'T' || text[15] != 'Z') return std::nullopt;
  const auto year = digits(text.substr(0, 4)), month = digits(text.substr(4, 2)),
             day = digits(text.substr(6, 2)), hour = digits(text.substr(9, 2)),
             minute = digits(text.substr(11, 2)), second = digits(text.substr(13, 2));
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  return wall_time_of({static_cast<int>(*year), static_cast<unsigned>(*month),
                       static_cast<unsigned>(*day), static_cast<unsigned>(*hour),
                       static_cast<unsigned>(*minute), static_cast<unsigned>(*second)});
}

PathRule path_rule_of(std::string_view service) {
  return service == "s3" ? PathRule::s3 : PathRule::encoded_twice;
}

Parts parts_of(const http::Head& head) {
  return {head.method, head.path(), head.query(), head.headers};
}

std::string canonical_request(const Parts& parts, std::span<const std::string> signed_headers,
                              std::string_view payload_hash, PathRule rule) {
  std::string text;
  text.append(parts.method).append("\n");
  text.append(canonical_path(parts.path, rule)).append("\n");
  text.append(canonical_query(parts.query)).append("\n");
  for (const std::string& wanted : signed_headers) {
    std::string values;
    bool first = true;
    for (const auto& [name, value] : parts.headers.all()) {
      if (lower_case(name) != wanted) continue;
      if (!first) values += ',';
      first = false;
      values += canonical_value(value);
    }
    text.append(wanted).append(":").append(values).append("\n");
  }
  text.append("\n").append(joined(signed_headers)).append("\n").append(payload_hash);
  return text;
}

std::string string_to_sign(std::string_view amz_date, const Scope& scope,
                           std::string_view canonical_request_text) {
  return fmt::format("{}\n{}\n{}\n{}", kAlgorithm, amz_date, scope.text(),
                     sha256(canonical_request_text).hex());
}

std::string signature(std::string_view secret_access_key, const Scope& scope,
                      std::string_view string_to_sign_text) {
  const std::string seed = "AWS4" + std::string(secret_access_key);
  Digest key = hmac_sha256(as_bytes(seed), as_bytes(scope.date));
  for (const std::string_view step :
       {std::string_view(scope.region), std::string_view(scope.service), kTerminator}) {
    key = hmac_sha256(key.raw(), as_bytes(step));
  }
  return hmac_sha256(key.raw(), as_bytes(string_to_sign_text)).hex();
}

Result<void> sign(http::Request& request, const Keys& keys, std::string_view region,
                  std::string_view service, WallTime now, std::string_view payload_hash) {
  TRY_ASSIGN(const http::Url url, http::parse_url(request.url));
  http::Headers& headers = request.headers;
  for (const char* stale :
       {"authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"}) {
    headers.remove(stale);
  }
  const std::string amz_date = to_amz_date(now);
  headers.set("Host", std::string(url.authority));
  headers.set("X-Amz-Date", amz_date);
  if (!keys.session_token.empty()) headers.set("X-Amz-Security-Token", keys.session_token);
  if (service == "s3") headers.set("x-amz-content-sha256", std::string(payload_hash));

  std::vector<std::string> names;
  for (const auto& [name, value] : headers.all()) {
    std::string lower = lower_case(name);
    if (signable(lower)) names.push_back(std::move(lower));
  }
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());

  const Scope scope{amz_date.substr(0, 8), std::string(region), std::string(service)};
  const Parts parts{request.method, url.path(), url.query(), headers};
  const std::string text = string_to_sign(
      amz_date, scope, canonical_request(parts, names, payload_hash, path_rule_of(service)));
  headers.set("Authorization",
              fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", kAlgorithm,
                          keys.access_key_id, scope.text(), joined(names),
                          signature(keys.secret_access_key, scope, text)));
  return {};
}

Result<Authorization> parse_authorization(std::string_view header_value) {
  const Error malformed = refused("malformed", "The Authorization header cannot be read.");
  if (header_value.empty()) return refused("missing", "The request is not signed.");
  const std::size_t blank = header_value.find(' ');
  if (header_value.substr(0, blank) != kAlgorithm) {
    return refused("unsupported", "Only AWS4-HMAC-SHA256 signatures are understood.");
  }
  if (blank == std::string_view::npos) return malformed;
  std::string_view credential, signed_headers, given;
  for (std::string_view part : split(header_value.substr(blank + 1), ',')) {
    part = trimmed(part);
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) return malformed;
    const std::string_view name = part.substr(0, equals), value = part.substr(equals + 1);
    std::string_view* const slot = name == "Credential"      ? &credential
                                   : name == "SignedHeaders" ? &signed_headers
                                   : name == "Signature"     ? &given
                                                             : nullptr;
    if (slot == nullptr || !slot->empty() || value.empty()) return malformed;
    *slot = value;
  }
  auto claim = claim_of(credential, signed_headers, given);
  if (!claim) return malformed;
  return std::move(*claim);
}

Result<void> verify(const Parts& parts, const Authorization& claim,
                    std::string_view secret_access_key, std::string_view region,
                    std::string_view service, WallTime now, Milliseconds skew,
                    std::string_view payload_hash) {
  const auto amz_date = date_of(parts.headers);
  if (!amz_date) return refused("no_date", "The request has no date that can be read.");
  if (claim.scope != Scope{amz_date->substr(0, 8), std::string(region), std::string(service)}) {
    return refused("wrong_scope",
                   "The credential's date, region or service is not that of the request.");
  }
  const WallTime at = *from_amz_date(*amz_date);
  if (at < now - skew || at > now + skew) {
    return refused("skewed", "The request's date is too far from the server's clock.");
  }
  TRY(check_coverage(parts.headers, claim.signed_headers));
  const std::string canonical =
      canonical_request(parts, claim.signed_headers, payload_hash, path_rule_of(service));
  const std::string expected =
      signature(secret_access_key, claim.scope, string_to_sign(*amz_date, claim.scope, canonical));
  if (!equal_secrets(expected, claim.signature)) {
    return refused("mismatch", "The signature does not match: check the secret key.");
  }
  return {};
}

bool is_presigned(std::string_view query) {
  for (const auto& [name, value] : http::parse_query(query)) {
    if (name == kSignatureParameter || name == "X-Amz-Algorithm" || name == "X-Amz-Credential") {
      return true;
    }
  }
  return false;
}

Result<Presigned> parse_presigned(std::string_view query) {
  const Error malformed =
      refused("malformed_query", "The query parameters of the signature cannot be read.");
  std::string algorithm, credential, date, expires, signed_headers, given;
  for (auto& [name, value] : http::parse_query(query)) {
    std::string* const slot = name == "X-Amz-Algorithm"       ? &algorithm
                              : name == "X-Amz-Credential"    ? &credential
                              : name == "X-Amz-Date"          ? &date
                              : name == "X-Amz-Expires"       ? &expires
                              : name == "X-Amz-SignedHeaders" ? &signed_headers
                              : name == kSignatureParameter   ? &given
                                                              : nullptr;
    if (slot == nullptr) continue;
    if (!slot->empty()) return malformed;
    *slot = std::move(value);
  }
  auto claim = claim_of(credential, signed_headers, given);
  const auto seconds = digits(expires);
  if (algorithm != kAlgorithm || !claim || !from_amz_date(date) || !seconds || *seconds < 1 ||
      *seconds > kLongestPresigned.count()) {
    return malformed;
  }
  return Presigned{std::move(*claim), std::move(date), std::chrono::seconds(*seconds)};
}

Result<void> verify_presigned(const Parts& parts, const Presigned& presigned,
                              std::string_view secret_access_key, std::string_view region,
                              std::string_view service, WallTime now, Milliseconds skew,
                              std::string_view payload_hash) {
  const Authorization& claim = presigned.claim;
  const Scope scope{presigned.amz_date.substr(0, 8), std::string(region), std::string(service)};
  if (claim.scope != scope) {
    return refused("wrong_scope",
                   "The credential's date, region or service is not that of the request.");
  }
  const WallTime at = *from_amz_date(presigned.amz_date);
  if (at > now + skew) return refused("not_yet_valid", "Request is not yet valid");
  if (now > at + presigned.expires) return refused("expired", "Request has expired");
  TRY(check_coverage(parts.headers, claim.signed_headers));
  const std::string query = without_signature(parts.query);
  const std::string canonical =
      canonical_request({parts.method, parts.path, query, parts.headers}, claim.signed_headers,
                        payload_hash, path_rule_of(service));
  const std::string expected =
      signature(secret_access_key, scope, string_to_sign(presigned.amz_date, scope, canonical));
  if (!equal_secrets(expected, claim.signature)) {
    return refused("mismatch", "The signature does not match: check the secret key.");
  }
  return {};
}

Result<void> presign(http::Request& request, const Keys& keys, std::string_view region,
                     std::string_view service, WallTime now, std::chrono::seconds expires) {
  std::vector<std::string> names;
  {
    TRY_ASSIGN(const http::Url url, http::parse_url(request.url));
    request.headers.set("Host", std::string(url.authority));
  }
  for (const auto& [name, value] : request.headers.all()) {
    std::string lower = lower_case(name);
    if (signable(lower)) names.push_back(std::move(lower));
  }
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  const std::string amz_date = to_amz_date(now);
  const Scope scope{amz_date.substr(0, 8), std::string(region), std::string(service)};
  std::string added = fmt::format(
      "X-Amz-Algorithm={}&X-Amz-Credential={}&X-Amz-Date={}&X-Amz-Expires={}&X-Amz-SignedHeaders={"
      "}",
      kAlgorithm, http::percent_encode(keys.access_key_id + "/" + scope.text(), false), amz_date,
      expires.count(), http::percent_encode(joined(names), false));
  if (!keys.session_token.empty()) {
    added += "&X-Amz-Security-Token=" + http::percent_encode(keys.session_token, false);
  }
  request.url += (request.url.find('?') == std::string::npos ? "?" : "&") + added;
  TRY_ASSIGN(const http::Url url, http::parse_url(request.url));
  const std::string text =
      string_to_sign(amz_date, scope,
                     canonical_request({request.method, url.path(), url.query(), request.headers},
                                       names, kUnsignedPayload, path_rule_of(service)));
  request.url +=
      fmt::format("&{}={}", kSignatureParameter, signature(keys.secret_access_key, scope, text));
  return {};
}

}  // namespace isthmus::wire::sigv4
