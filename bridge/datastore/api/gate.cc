#include "datastore/api/gate.h"

#include <algorithm>

namespace isthmus::datastore {

namespace sigv4 = wire::sigv4;

namespace {

std::optional<std::string> bucket_of(std::string_view path) {
  if (path.starts_with('/')) path.remove_prefix(1);
  return http::percent_decode(path.substr(0, path.find('/')));
}

// Where it goes, and where a copy comes from.
Result<void> allow_buckets(const AccessKey& key, const http::Head& head) {
  if (key.data_store.empty()) return {};
  const auto mine = [&](const std::optional<std::string>& bucket) {
    return bucket && std::ranges::find(key.buckets, *bucket) != key.buckets.end();
  };
  const auto source = head.headers.find("x-amz-copy-source");
  if (mine(bucket_of(head.path())) && (!source || mine(bucket_of(*source)))) return {};
  return permanent_error("sigv4.not_allowed", "This access key is not for this bucket.");
}

}  // namespace

Gate::Gate(Env& env, const DataStoreOptions& options)
    : env_(env),
      keys_(options.access_keys),
      region_(options.region),
      clock_skew_(options.clock_skew) {}

Result<std::optional<ChunkSigning>> Gate::admit(const http::Head& head, std::string_view service,
                                                std::string_view payload_hash) const {
  if (keys_.empty()) return std::optional<ChunkSigning>{};
  TRY_ASSIGN(const sigv4::Authorization claim,
             sigv4::parse_authorization(head.headers.get("Authorization")));
  const AccessKey* const key = find_key(claim.access_key_id);
  if (key == nullptr) {
    return permanent_error("sigv4.unknown_key", "There is no such access key.");
  }
  TRY(sigv4::verify(sigv4::parts_of(head), claim, key->secret_access_key, region_, service,
                    env_.clock.wall_now(), clock_skew_, payload_hash));
  if (service == "s3") TRY(allow_buckets(*key, head));
  return std::optional<ChunkSigning>(ChunkSigning{
      key->secret_access_key, claim.scope,
      std::string(head.headers.get("X-Amz-Date", head.headers.get("Date"))), claim.signature});
}

const AccessKey* Gate::find_key(std::string_view access_key_id) const {
  for (const AccessKey& key : keys_) {
    if (key.access_key_id == access_key_id) return &key;
  }
  return nullptr;
}

const AccessKey* Gate::key_of(const http::Head& head) const {
  const auto claim = sigv4::parse_authorization(head.headers.get("Authorization"));
  return claim ? find_key(claim->access_key_id) : nullptr;
}

std::optional<std::string> Gate::claimed_service(const http::Head& head) {
  const auto header = head.headers.find("Authorization");
  if (!header) return std::nullopt;
  const auto claim = sigv4::parse_authorization(*header);
  if (!claim) return std::nullopt;
  return claim->scope.service;
}

}  // namespace isthmus::datastore
