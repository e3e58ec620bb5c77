// New key pairs for whoever is to sign tokens for us (RS256, RFC 7518 section 3.3).
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace isthmus::auth {

struct RsaKeyPair {
  std::string private_key;  // PEM, PKCS #8, not encrypted
  Bytes modulus;            // big-endian, as a JWK has them
  Bytes exponent;
};

// 2,048 bits. "auth.no_key" (transient) when there is not enough randomness. Takes about 0.1 s.
Result<RsaKeyPair> make_rsa_key_pair();

}  // namespace isthmus::auth
