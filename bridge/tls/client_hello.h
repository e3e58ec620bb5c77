// The first bytes of a connection, looked at before OpenSSL is: whether they are TLS at all, and
// where the ClientHello ends. OpenSSL keeps some 60 KB for each handshake, and reserves what a
// message announces; a peer that never sends its whole ClientHello costs us its own bytes only.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace isthmus::tls {

// Real ones are 200 to 2,000 bytes, and about 2 KB more with post-quantum key shares.
constexpr std::size_t kMaxClientHelloBytes = 8 * KiB;
// Of records that carry it: fragments of one byte need six times as much as they carry.
constexpr std::size_t kMaxClientHelloRecordBytes = 16 * KiB;

enum class Hello {
  incomplete,  // so far it may become one
  complete,    // a whole ClientHello, and perhaps more
  not_tls,     // the first byte is of something else: a plain client
  malformed,   // a TLS record, but no ClientHello, or one beyond the limits
};

// Pure; the verdict on bytes is the same however they were cut.
Hello examine_client_hello(ByteSpan bytes);

// Whether these are the first bytes of a TLS record with a handshake message: what a TLS client
// sends to a port that speaks no TLS. At least two bytes.
bool looks_like_tls(ByteSpan bytes);

}  // namespace isthmus::tls
