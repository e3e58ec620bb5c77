#include "auth/jwt.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/digest.h"

namespace isthmus::auth {
namespace {

using nlohmann::json;

constexpr std::size_t kTokenBytes = 16 * KiB;
constexpr std::size_t kSubjectBytes = 128;
constexpr std::size_t kWordsMost = 256;
constexpr std::size_t kUsedMost = 100'000;

Error refused(const char* code, const char* why) {
  return permanent_error(code, why);
}

struct Parts {
  std::string_view signed_part;  // header and claims, as they were signed
  json header;
  json claims;
  Bytes signature;
};

std::string_view without_padding(std::string_view part) {
  for (int i = 0; i < 2 && part.ends_with('='); ++i) part.remove_suffix(1);
  return part;
}

std::optional<json> json_of(std::string_view part) {
  const auto bytes = from_base64url(part);
  if (!bytes) return std::nullopt;
  const auto* text = reinterpret_cast<const char*>(bytes->data());
  json value = json::parse(text, text + bytes->size(), nullptr, false);
  if (!value.is_object()) return std::nullopt;
  return value;
}

// RFC 7515 section 7.1.
std::optional<Parts> take_apart(std::string_view token, bool padded_too) {
  if (token.size() > kTokenBytes) return std::nullopt;
  const std::size_t first = token.find('.');
  const std::size_t last = token.rfind('.');
  if (first == std::string_view::npos || first == last || token.find('.', first + 1) != last) {
    return std::nullopt;
  }
  const auto part = [&](std::size_t begin, std::size_t end) {
    const std::string_view text = token.substr(begin, end - begin);
    return padded_too ? without_padding(text) : text;
  };
  auto header = json_of(part(0, first));
  auto claims = json_of(part(first + 1, last));
  auto signature = from_base64url(part(last + 1, token.size()));
  if (!header || !claims || !signature) return std::nullopt;
  return Parts{token.substr(0, last), *std::move(header), *std::move(claims),
               *std::move(signature)};
}

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<SignatureAlgorithm> algorithm_of(const json& header) {
  const std::string word = text_of(header, "alg");
  if (word == "RS256") return SignatureAlgorithm::rs256;
  if (word == "ES256") return SignatureAlgorithm::es256;
  return std::nullopt;
}

// The key of that id; without an id, the only one for the algorithm.
const VerificationKey* find_key(const std::vector<NamedKey>& keys, const std::string& id,
                                SignatureAlgorithm algorithm) {
  const VerificationKey* found = nullptr;
  for (const NamedKey& one : keys) {
    if (one.key->algorithm() != algorithm || (!id.empty() && one.id != id)) continue;
    if (found != nullptr) return nullptr;
    found = one.key.get();
  }
  return found;
}

// NumericDate (RFC 7519 section 2): seconds, perhaps with a fraction.
std::optional<WallTime> time_of(const json& claims, const char* name) {
  const auto found = claims.find(name);
  if (found == claims.end() || !found->is_number()) return std::nullopt;
  const double seconds = found->get<double>();
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e11) return std::nullopt;
  return WallTime(Milliseconds(static_cast<std::int64_t>(seconds * 1000)));
}

std::vector<std::string> audiences_of(const json& claims) {
  std::vector<std::string> audiences;
  const auto found = claims.find("aud");
  if (found == claims.end()) return audiences;
  if (found->is_string()) audiences.push_back(found->get<std::string>());
  if (found->is_array()) {
    for (const json& one : *found) {
      if (one.is_string()) audiences.push_back(one.get<std::string>());
    }
  }
  return audiences;
}

std::vector<std::string> words_of(const json& claims, const std::string& name) {
  std::vector<std::string> words;
  const auto found = claims.find(name);
  if (found == claims.end()) return words;
  const auto split = [&](std::string_view text) {
    while (!text.empty() && words.size() < kWordsMost) {
      const std::size_t space = text.find(' ');
      if (space != 0) words.emplace_back(text.substr(0, space));
      text = space == std::string_view::npos ? std::string_view() : text.substr(space + 1);
    }
  };
  if (found->is_string()) split(found->get_ref<const std::string&>());
  if (found->is_array()) {
    for (const json& one : *found) {
      if (one.is_string()) split(one.get_ref<const std::string&>());
    }
  }
  return words;
}

bool printable_subject(const std::string& subject) {
  return !subject.empty() && subject.size() <= kSubjectBytes &&
         std::ranges::all_of(subject, [](char c) { return c > 32 && c < 127; });
}

Result<void> check_dates(const json& claims, WallTime now, Milliseconds skew) {
  const auto until = time_of(claims, "exp");
  if (!until) return refused("auth.jwt_claims", "The token does not say until when it is good.");
  if (*until + skew <= now) return refused("auth.jwt_expired", "The token is out of date.");
  for (const char* name : {"nbf", "iat"}) {
    if (!claims.contains(name)) continue;
    const auto from = time_of(claims, name);
    if (!from) return refused("auth.jwt_claims", "A date of the token is none.");
    if (*from > now + skew) return refused("auth.jwt_not_yet", "The token is not good yet.");
  }
  return {};
}

}  // namespace

std::optional<Bytes> from_base64url(std::string_view text) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::string plain(text);
  for (char& c : plain) {
    if (c == '+' || c == '/' || c == '=') return std::nullopt;
    c = c == '-' ? '+' : c == '_' ? '/' : c;
  }
  plain.append((4 - plain.size() % 4) % 4, '=');
  return from_base64(plain);
}

std::string to_base64url(ByteSpan bytes) {
  std::string text = to_base64(bytes);
  while (text.ends_with('=')) text.pop_back();
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

JwtVerifier::JwtVerifier(Env& env, KeySource& keys, JwtRules rules)
    : env_(env), keys_(keys), rules_(std::move(rules)) {
  ASSERT(!rules_.issuer.empty() && rules_.audience.empty() == rules_.any_audience);
}

Result<JwtClaims> JwtVerifier::verify(std::string_view token) {
  const auto parts = take_apart(token, rules_.padded_too);
  if (!parts || parts->header.contains("crit")) {
    return refused("auth.jwt_malformed", "This is no signed token in compact form.");
  }
  const auto algorithm = algorithm_of(parts->header);
  if (!algorithm) return refused("auth.jwt_algorithm", "Tokens are signed by RS256 or ES256.");

  const std::string key_id = text_of(parts->header, "kid");
  TRY_ASSIGN(KeySource::Keys keys, keys_.keys(false));
  const VerificationKey* key = find_key(*keys, key_id, *algorithm);
  if (key == nullptr) {
    TRY_ASSIGN(keys, keys_.keys(true));
    key = find_key(*keys, key_id, *algorithm);
  }
  if (key == nullptr) return refused("auth.jwt_key", "No key is known that this is signed by.");
  if (!key->verifies(as_bytes(parts->signed_part), parts->signature)) {
    return refused("auth.jwt_signature", "The signature is not of this token.");
  }

  const json& claims = parts->claims;
  if (text_of(claims, "iss") != rules_.issuer) {
    return refused("auth.jwt_issuer", "The token is of another issuer.");
  }
  std::vector<std::string> audiences = audiences_of(claims);
  if (!rules_.any_audience && std::ranges::find(audiences, rules_.audience) == audiences.end()) {
    return refused("auth.jwt_audience", "The token is for another audience.");
  }
  const WallTime now = env_.clock.wall_now();
  TRY(check_dates(claims, now, rules_.clock_skew));
  JwtClaims told{text_of(claims, rules_.subject_claim.c_str()),
                 words_of(claims, rules_.scopes_claim), *time_of(claims, "exp"),
                 std::move(audiences)};
  if (!printable_subject(told.subject)) {
    return refused("auth.jwt_claims", "The token does not say in print who its subject is.");
  }
  if (rules_.once) {
    const std::string id = text_of(claims, "jti");
    if (id.empty()) return refused("auth.jwt_claims", "The token has no id, and needs one.");
    TRY(take_once(sha256(id).hex(), told.expires_at + rules_.clock_skew));
  }
  return told;
}

Result<void> JwtVerifier::take_once(const std::string& id, WallTime until) {
  const std::lock_guard lock(mutex_);
  const WallTime now = env_.clock.wall_now();
  if (used_.size() >= kUsedMost) {
    std::erase_if(used_, [now](const auto& one) { return one.second <= now; });
  }
  if (used_.contains(id)) return refused("auth.jwt_replayed", "The token was used before.");
  if (used_.size() >= kUsedMost) {
    return transient_error("auth.replay_full", "Too many tokens are in force at once.");
  }
  used_.emplace(id, until);
  return {};
}

}  // namespace isthmus::auth
