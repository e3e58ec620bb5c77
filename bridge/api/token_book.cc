#include "api/token_book.h"

#include <algorithm>
#include <array>

#include "base/digest.h"

namespace isthmus::api {
namespace {

constexpr std::string_view kPrefix = "ist_";
constexpr std::size_t kIdDigits = 16;
constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kTokenBytes = kPrefix.size() + kIdDigits + 1 + 2 * kSecretBytes;
constexpr std::size_t kNameBytes = 64;

bool is_good_name(const std::string& name) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view(".-_@").find(c) != std::string_view::npos;
  };
  return !name.empty() && name.size() <= kNameBytes && std::ranges::all_of(name, good);
}

std::string random_hex(Entropy& entropy, std::size_t bytes) {
  Bytes random(bytes);
  entropy.fill(random);
  return to_hex(random);
}

}  // namespace

Result<void> TokenBook::load() {
  TRY_ASSIGN(std::vector<TokenRow> rows, rows_.tokens());
  const std::lock_guard lock(mutex_);
  in_force_.clear();
  for (TokenRow& row : rows) {
    if (!row.revoked_at) in_force_.emplace(row.id, std::move(row));
  }
  return {};
}

Result<TokenBook::Issued> TokenBook::issue(const std::string& name, const Scopes& scopes,
                                           std::optional<Milliseconds> lifetime) {
  if (!is_good_name(name)) {
    return permanent_error("api.bad_token_name",
                           "A token's name has 1 to 64 letters, digits and .-_@.");
  }
  Issued issued;
  TokenRow& row = issued.row;
  row.id = random_hex(env_.entropy, kIdDigits / 2);
  row.name = name;
  row.scopes = scopes.text();
  row.created_at = env_.clock.wall_now();
  if (lifetime) row.expires_at = row.created_at + *lifetime;
  issued.token = std::string(kPrefix) + row.id + "_" + random_hex(env_.entropy, kSecretBytes);
  row.digest = sha256(issued.token).hex();
  if (auto added = rows_.add_token(row); !added.ok()) {
    if (added.error().code != "ledger.constraint") return added.error();
    return permanent_error("api.token_exists",
                           "A token of this name is in force: revoke it first.");
  }
  const std::lock_guard lock(mutex_);
  in_force_.emplace(row.id, row);
  return issued;
}

Result<void> TokenBook::revoke(std::string_view id_or_name) {
  TRY_ASSIGN(const bool revoked, rows_.revoke_token(id_or_name, env_.clock.wall_now()));
  if (!revoked) {
    return permanent_error("api.token.not_found", "No token of this name or id is in force.");
  }
  const std::lock_guard lock(mutex_);
  const auto meant = std::ranges::find_if(in_force_, [&](const auto& one) {
    return one.first == id_or_name || one.second.name == id_or_name;
  });
  if (meant != in_force_.end()) in_force_.erase(meant);
  return {};
}

Result<TokenBook::Holder> TokenBook::find(std::string_view token) const {
  const Error unknown =
      permanent_error("api.unauthorized", "This needs the token of somebody who may call.");
  if (token.size() != kTokenBytes || !looks_like_token(token)) return unknown;
  const std::string digest = sha256(token).hex();
  const std::lock_guard lock(mutex_);
  const auto known = in_force_.find(token.substr(kPrefix.size(), kIdDigits));
  if (known == in_force_.end()) return unknown;
  const TokenRow& row = known->second;
  if (!equal_secrets(digest, row.digest)) return unknown;
  if (row.expires_at && *row.expires_at <= env_.clock.wall_now()) {
    return permanent_error("api.expired", "The token is out of date: ask for a new one.");
  }
  auto scopes = Scopes::parse(row.scopes);
  if (!scopes.ok()) return unknown;  // of a newer version
  return Holder{row.name, *scopes};
}

}  // namespace isthmus::api
