// How OpenSSL reads and writes our socket. Its own socket BIO would raise SIGPIPE, and knows
// neither bytes that were read before nor when to stop reading for somebody who only keeps us busy.
#pragma once

#include "base/bytes.h"
#include "tls/openssl/owned.h"

namespace isthmus::tls {

struct SocketState {
  int descriptor = -1;
  bool quick_ack = false;
  bool closed = false;  // the peer's end was seen, or the network failed
  Bytes received;       // given out first
  std::size_t given = 0;
  // Reads of the socket left in this call: a peer that sends records without content (key updates,
  // empty ones) as fast as it can would keep OpenSSL in one call for ever.
  int reads_left = 0;
};

// Of `state`, which must outlive it.
OwnedBio make_socket_bio(SocketState& state);

}  // namespace isthmus::tls
