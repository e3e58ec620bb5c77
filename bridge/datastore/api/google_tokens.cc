#include "datastore/api/google_tokens.h"

namespace isthmus::datastore {
namespace {

constexpr std::size_t kMostTokens = 100'000;

}  // namespace

Result<std::string> GoogleTokens::issue() {
  Bytes random(32);
  env_.entropy.fill(random);
  const std::string token = "ya29.isthmus-" + to_hex(random);
  const WallTime now = env_.clock.wall_now();
  const std::lock_guard lock(mutex_);
  if (ends_.size() >= kMostTokens) {
    std::erase_if(ends_, [&](const auto& one) { return one.second < now; });
  }
  if (ends_.size() >= kMostTokens) {
    return permanent_error("RESOURCE_EXHAUSTED", "Too many tokens are in force.");
  }
  ends_.emplace(sha256(token), now + kGoodFor);
  return token;
}

bool GoogleTokens::is_ours(std::string_view token) {
  const Digest digest = sha256(token);
  const std::lock_guard lock(mutex_);
  const auto found = ends_.find(digest);
  if (found == ends_.end()) return false;
  if (env_.clock.wall_now() < found->second) return true;
  ends_.erase(found);
  return false;
}

Result<void> GoogleTokens::admit(const http::Head& head) {
  if (open_to_all_) return {};
  if (const auto token = bearer_token(head)) {
    if (is_ours(*token)) return {};
    if (account_.verify_bearer(*token, head.headers.get("Host"))) return {};
    if (oidc_.admit(*token)) return {};
  }
  return permanent_error("UNAUTHENTICATED",
                         "Request had invalid authentication credentials. Expected OAuth 2 access"
                         " token.");
}

}  // namespace isthmus::datastore
