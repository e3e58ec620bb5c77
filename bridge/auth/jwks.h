// Public keys of an identity provider (JWK sets, RFC 7517), from a file or a URL, kept for a while.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "http/http.h"

namespace isthmus::auth {

enum class SignatureAlgorithm { rs256, es256 };

// One key, which verifies by one algorithm. Immutable.
class VerificationKey {
 public:
  virtual ~VerificationKey() = default;
  virtual SignatureAlgorithm algorithm() const = 0;
  // Whether `signature` (as JWS has it: for ES256 r and s, 32 bytes each) is of `message`.
  virtual bool verifies(ByteSpan message, ByteSpan signature) const = 0;
};

struct NamedKey {
  std::string id;                              // "kid"; may be empty
  std::shared_ptr<const VerificationKey> key;  // shared by the sets and calls that use it
};

// Keys of a set that are for signatures and of a kind known here: RSA of 2,048 to 8,192 bits, EC on
// P-256. Others are passed over. "auth.bad_keys" (permanent) when it is no JWK set, or has no such
// key, or more than 64.
Result<std::vector<NamedKey>> parse_jwks(std::string_view json);

// Any thread.
class KeySource {
 public:
  using Keys = std::shared_ptr<const std::vector<NamedKey>>;
  virtual ~KeySource() = default;
  // The keys in force. `unknown`: a key that was asked for is not among those told before; then
  // newer ones are looked for, if that was not done just now. "auth.keys_unavailable" (transient)
  // while there are none.
  virtual Result<Keys> keys(bool unknown) = 0;
};

struct KeySourceOptions {
  FileSystem::Path file = {};  // or
  std::string url = {};        // over `transport`
  Milliseconds fresh_for{300'000};
  Milliseconds least_interval{10'000};  // between two looks, whatever is asked for
  Milliseconds usable_for{86'400'000};  // when no newer ones can be had
  Milliseconds request_timeout{5'000};
};

// `transport` may be null with a file; else it must outlive the source.
std::unique_ptr<KeySource> make_key_source(Env& env, http::Transport* transport,
                                           KeySourceOptions options);

}  // namespace isthmus::auth
