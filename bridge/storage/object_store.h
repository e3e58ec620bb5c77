// A bucket: put is atomic and repeatable, readers see the whole object or none.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/env.h"
#include "model/layout.h"

namespace isthmus {

struct StoredObject {
  ObjectKey key;
  std::uint64_t size_bytes = 0;
  std::string etag;
};

// Any thread, many at once. Errors:
// - "store.not_found" (permanent)
// - "store.bad_digest" (permanent): the caller's bytes are not those of `expected`; its copy is
// damaged
// - "store.denied", "store.no_bucket" (transient: they end when somebody mends the destination)
// - "store.slow_down", "store.unavailable" (transient), with retry_after when the store says so
// - "store.protocol" (permanent): an answer that makes no sense; endpoint or region is wrong
// - those of http::Transport and of CredentialsSource, and what reading the source gave.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;
  // Stores the whole source under the key; the store itself verifies its best checksum. Again with
  // the same bytes: the same result. The source is rewound as needed.
  virtual Result<StoredObject> put(const ObjectKey& key, std::shared_ptr<ByteSource> bytes,
                                   const Digest& expected) = 0;
  virtual Result<StoredObject> head(const ObjectKey& key) = 0;
  virtual Result<std::unique_ptr<ByteSource>> get(const ObjectKey& key) = 0;
  // Every object whose key begins with `prefix`, in key order, until the callback says false.
  virtual Result<void> list(std::string_view prefix,
                            const std::function<bool(const StoredObject&)>& each) = 0;
  // Removing nothing succeeds.
  virtual Result<void> remove(const ObjectKey& key) = 0;
  // The bucket is there and may be listed.
  virtual Result<void> check() = 0;
};

}  // namespace isthmus
