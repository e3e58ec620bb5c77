// Who may call: every request's Signature Version 4 is held against the keys configured. No keys
// means everybody may (tests).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "datastore/api/aws_chunked.h"
#include "datastore/datastore.h"
#include "http/http.h"

namespace isthmus::datastore {

// Any thread.
class Gate {
 public:
  Gate(Env& env, const DataStoreOptions& options);

  // `payload_hash` is what stands for the body in the signature. Gives what chunk signatures
  // continue from, when keys are configured. Errors: those of wire/sigv4.h, and "sigv4.unknown_key"
  // (permanent).
  Result<std::optional<ChunkSigning>> admit(const http::Head& head, std::string_view service,
                                            std::string_view payload_hash) const;
  // The key that an admitted request is signed with; none when everybody may call.
  const AccessKey* key_of(const http::Head& head) const;
  bool open_to_all() const { return keys_.empty(); }
  // Whether the request's signature is in its query.
  static bool presigned(const http::Head& head);
  // The service that the signature's scope names; nothing when it has none.
  static std::optional<std::string> claimed_service(const http::Head& head);

 private:
  const AccessKey* find_key(std::string_view access_key_id) const;
  Result<void> allow_buckets(const AccessKey& key, const http::Head& head) const;

  Env& env_;
  const std::vector<AccessKey> keys_;
  const std::string region_;
  const std::vector<std::string> virtual_hosts_;
  const Milliseconds clock_skew_;
};

}  // namespace isthmus::datastore
