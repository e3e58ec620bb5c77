// Signatures of our own on OpenSSL. Private to auth/.
#pragma once

#include <string_view>

#include "base/bytes.h"

namespace isthmus::auth {

// RSASSA-PKCS1-v1_5 with SHA-256 (RS256, RFC 7518 section 3.3) by a private key in PEM (PKCS #8 or
// #1, not encrypted). "auth.bad_key" (permanent) when it is none.
Result<Bytes> sign_rs256(std::string_view private_key_pem, ByteSpan message);

}  // namespace isthmus::auth
