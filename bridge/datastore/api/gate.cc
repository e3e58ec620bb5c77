#include "datastore/api/gate.h"

#include <algorithm>

#include "datastore/api/s3_names.h"

namespace isthmus::datastore {

namespace sigv4 = wire::sigv4;

namespace {

// What the request says of its signature, in its header or in its query.
struct Claim {
  sigv4::Authorization authorization;
  std::optional<sigv4::Presigned> presigned;
};

bool in_query(const http::Head& head) {
  return !head.headers.contains("Authorization") && sigv4::is_presigned(head.query());
}

Result<Claim> claim_of(const http::Head& head) {
  Claim claim;
  if (in_query(head)) {
    TRY_ASSIGN(claim.presigned, sigv4::parse_presigned(head.query()));
    claim.authorization = claim.presigned->claim;
  } else {
    TRY_ASSIGN(claim.authorization, sigv4::parse_authorization(head.headers.get("Authorization")));
  }
  return claim;
}

}  // namespace

Gate::Gate(Env& env, const DataStoreOptions& options)
    : env_(env),
      keys_(options.access_keys),
      region_(options.region),
      virtual_hosts_(options.virtual_hosts),
      clock_skew_(options.clock_skew) {}

Result<std::optional<ChunkSigning>> Gate::admit(const http::Head& head, std::string_view service,
                                                std::string_view payload_hash) const {
  if (keys_.empty()) return std::optional<ChunkSigning>{};
  TRY_ASSIGN(const Claim claim, claim_of(head));
  const AccessKey* const key = find_key(claim.authorization.access_key_id);
  if (key == nullptr) {
    return permanent_error("sigv4.unknown_key", "There is no such access key.");
  }
  const WallTime now = env_.clock.wall_now();
  if (claim.presigned) {
    TRY(sigv4::verify_presigned(sigv4::parts_of(head), *claim.presigned, key->secret_access_key,
                                region_, service, now, clock_skew_, payload_hash));
  } else {
    TRY(sigv4::verify(sigv4::parts_of(head), claim.authorization, key->secret_access_key, region_,
                      service, now, clock_skew_, payload_hash));
  }
  if (service == "s3") TRY(allow_buckets(*key, head));
  return std::optional<ChunkSigning>(ChunkSigning{
      key->secret_access_key, claim.authorization.scope,
      claim.presigned ? claim.presigned->amz_date
                      : std::string(head.headers.get("X-Amz-Date", head.headers.get("Date"))),
      claim.authorization.signature});
}

// Where it goes, and where a copy comes from.
Result<void> Gate::allow_buckets(const AccessKey& key, const http::Head& head) const {
  if (key.data_store.empty()) return {};
  const auto mine = [&](const Result<ObjectName>& name) {
    return name && std::ranges::find(key.buckets, name->bucket) != key.buckets.end();
  };
  const http::Head whole = with_query_headers(head);
  const auto source = whole.headers.find("x-amz-copy-source");
  if (mine(s3_name_of(whole, virtual_hosts_)) && (!source || mine(s3_copy_source(*source)))) {
    return {};
  }
  return permanent_error("sigv4.not_allowed", "This access key is not for this bucket.");
}

const AccessKey* Gate::find_key(std::string_view access_key_id) const {
  for (const AccessKey& key : keys_) {
    if (key.access_key_id == access_key_id) return &key;
  }
  return nullptr;
}

const AccessKey* Gate::key_of(const http::Head& head) const {
  const auto claim = claim_of(head);
  return claim ? find_key(claim->authorization.access_key_id) : nullptr;
}

std::optional<std::string> Gate::claimed_service(const http::Head& head) {
  const auto claim = claim_of(head);
  if (!claim) return std::nullopt;
  return claim->authorization.scope.service;
}

bool Gate::presigned(const http::Head& head) {
  return in_query(head);
}

}  // namespace isthmus::datastore
