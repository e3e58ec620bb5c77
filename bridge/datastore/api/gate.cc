#include "datastore/api/gate.h"

namespace isthmus::datastore {

namespace sigv4 = wire::sigv4;

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
  const AccessKey* key = nullptr;
  for (const AccessKey& candidate : keys_) {
    if (candidate.access_key_id == claim.access_key_id) key = &candidate;
  }
  if (key == nullptr) {
    return permanent_error("sigv4.unknown_key", "There is no such access key.");
  }
  TRY(sigv4::verify(sigv4::parts_of(head), claim, key->secret_access_key, region_, service,
                    env_.clock.wall_now(), clock_skew_, payload_hash));
  return std::optional<ChunkSigning>(ChunkSigning{
      key->secret_access_key, claim.scope,
      std::string(head.headers.get("X-Amz-Date", head.headers.get("Date"))), claim.signature});
}

std::optional<std::string> Gate::claimed_service(const http::Head& head) {
  const auto header = head.headers.find("Authorization");
  if (!header) return std::nullopt;
  const auto claim = sigv4::parse_authorization(*header);
  if (!claim) return std::nullopt;
  return claim->scope.service;
}

}  // namespace isthmus::datastore
