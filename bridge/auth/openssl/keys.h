// Verification keys on OpenSSL. Private to auth/.
#pragma once

#include "auth/jwks.h"

namespace isthmus::auth {

// From the members of a JWK, big-endian. Null when it is no such key, or too weak.
std::shared_ptr<const VerificationKey> make_rsa_key(ByteSpan modulus, ByteSpan exponent);
std::shared_ptr<const VerificationKey> make_p256_key(ByteSpan x, ByteSpan y);

}  // namespace isthmus::auth
