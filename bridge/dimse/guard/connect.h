// The way out: a connection to somebody who listens, plain or by TLS, for the associations that we
// open ourselves (storage commitment reports). What comes back is a Channel as the acceptor's are:
// give it to a GuardedConnection.
#pragma once

#include <string>

#include "base/env.h"
#include "dimse/guard/channel.h"
#include "dimse/guard/connection.h"
#include "tls/context.h"

namespace isthmus::dimse {

struct ConnectTarget {
  std::string host;  // a name or a numeric address; with TLS the certificate must be for it
  std::uint16_t port = 0;
  // For connection and handshake together; a name server has times of its own.
  Milliseconds timeout{15'000};
  // Of Role::client: Certificates::current() of the moment, which is free to be replaced
  // afterwards. Nothing: plain.
  const tls::Context* tls = nullptr;
  // SHA-256 of the listener's certificate, hex: in place of authority, name and dates.
  std::string pin_sha256 = {};
};

// Blocks the calling thread. All errors are transient, because a listener may be mended:
// "dimse.unknown_host", "dimse.connect" (refused, unreachable, or not in time), "dimse.stopping",
// and "dimse.tls", whose message ends with the reason of tls/session.h.
Result<Channel> connect(Env& env, const ConnectTarget& target, const StopSignal& stop);

}  // namespace isthmus::dimse
