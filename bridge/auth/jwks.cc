#include "auth/jwks.h"

#include <nlohmann/json.hpp>

#include "auth/jwt.h"
#include "auth/openssl/keys.h"

namespace isthmus::auth {
namespace {

using nlohmann::json;

constexpr std::size_t kMostKeys = 64;
constexpr std::uint64_t kSetBytes = 256 * KiB;

Error bad_keys(const char* why) {
  return permanent_error("auth.bad_keys", why);
}

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<Bytes> bytes_of(const json& object, const char* name) {
  return from_base64url(text_of(object, name));
}

std::shared_ptr<const VerificationKey> key_of(const json& jwk) {
  const std::string type = text_of(jwk, "kty");
  const std::string use = text_of(jwk, "use");
  const std::string algorithm = text_of(jwk, "alg");
  if (!use.empty() && use != "sig") return nullptr;
  if (type == "RSA" && (algorithm.empty() || algorithm == "RS256")) {
    const auto n = bytes_of(jwk, "n"), e = bytes_of(jwk, "e");
    return n && e ? make_rsa_key(*n, *e) : nullptr;
  }
  if (type == "EC" && text_of(jwk, "crv") == "P-256" &&
      (algorithm.empty() || algorithm == "ES256")) {
    const auto x = bytes_of(jwk, "x"), y = bytes_of(jwk, "y");
    return x && y ? make_p256_key(*x, *y) : nullptr;
  }
  return nullptr;
}

class CachedKeys : public KeySource {
 public:
  CachedKeys(Env& env, http::Transport* transport, KeySourceOptions options)
      : env_(env), transport_(transport), options_(std::move(options)) {}

  Result<Keys> keys(bool unknown) override {
    if (!claim_look(unknown)) return in_force();
    // One thread looks; the others go on with what there is.
    auto text = options_.file.empty() ? fetch() : read_file();
    auto parsed = text.ok() ? parse_jwks(*text) : Result<std::vector<NamedKey>>(text.error());
    {
      const std::lock_guard lock(mutex_);
      looking_ = false;
      if (parsed.ok()) {
        keys_ = std::make_shared<const std::vector<NamedKey>>(std::move(parsed).value());
        taken_at_ = env_.clock.steady_now();
      }
    }
    if (!parsed.ok()) env_.log.warn("auth.keys_not_read", {{"code", parsed.error().code}});
    return in_force();
  }

 private:
  bool claim_look(bool unknown) {
    const std::lock_guard lock(mutex_);
    const SteadyTime now = env_.clock.steady_now();
    const bool due = keys_ == nullptr || unknown || now - taken_at_ >= options_.fresh_for;
    const bool too_soon = looked_at_ && now - *looked_at_ < options_.least_interval;
    if (!due || too_soon || looking_) return false;
    looking_ = true;
    looked_at_ = now;
    return true;
  }

  Result<Keys> in_force() {
    const std::lock_guard lock(mutex_);
    if (keys_ != nullptr && env_.clock.steady_now() - taken_at_ < options_.usable_for) return keys_;
    return transient_error("auth.keys_unavailable",
                           "The keys of the identity provider cannot be read: see api.oidc.keys.");
  }

  Result<std::string> read_file() {
    TRY_ASSIGN(auto file, env_.files.open(options_.file, FileSystem::Mode::read_only));
    TRY_ASSIGN(const std::uint64_t size, file->size());
    const auto source = source_of_file(std::move(file), 0, size);
    return read_all(*source, kSetBytes);
  }

  Result<std::string> fetch() {
    ASSERT(transport_ != nullptr);
    http::Request request;
    request.url = options_.url;
    request.headers.set("Accept", "application/json");
    request.timeout = options_.request_timeout;
    TRY_ASSIGN(const http::Response response, transport_->send(std::move(request)));
    if (response.status != 200 || !response.body) {
      return transient_error("auth.keys_unavailable", "The identity provider gives no keys.");
    }
    return read_all(*response.body, kSetBytes);
  }

  Env& env_;
  http::Transport* const transport_;
  const KeySourceOptions options_;
  std::mutex mutex_;
  Keys keys_;  // shared with calls that verify by them
  SteadyTime taken_at_{};
  std::optional<SteadyTime> looked_at_;
  bool looking_ = false;
};

}  // namespace

Result<std::vector<NamedKey>> parse_jwks(std::string_view text) {
  const json set = json::parse(text, nullptr, false);
  if (!set.is_object() || !set.contains("keys") || !set["keys"].is_array()) {
    return bad_keys("This is no JWK set: {\"keys\": […]}.");
  }
  if (set["keys"].size() > kMostKeys) return bad_keys("The JWK set has more than 64 keys.");
  std::vector<NamedKey> keys;
  for (const json& jwk : set["keys"]) {
    if (!jwk.is_object()) continue;
    if (auto key = key_of(jwk)) keys.push_back({text_of(jwk, "kid"), std::move(key)});
  }
  if (keys.empty()) {
    return bad_keys("The JWK set has no RSA key of 2,048 bits or more and no key on P-256.");
  }
  return keys;
}

std::unique_ptr<KeySource> make_key_source(Env& env, http::Transport* transport,
                                           KeySourceOptions options) {
  return std::make_unique<CachedKeys>(env, transport, std::move(options));
}

}  // namespace isthmus::auth
