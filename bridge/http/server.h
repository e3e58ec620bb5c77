// The HTTP server (Boost.Beast): one listener in front of a Handler, with strict framing and
// limits, and back-pressure to the socket. Content-Length with Transfer-Encoding, doubled or
// overflowing Content-Length and malformed chunks are refused with 400 and the connection is closed
// (RFC 9112 sections 6.1, 6.3, 7.1).
#pragma once

#include "http/http.h"

namespace isthmus::tls {
class Certificates;
}

namespace isthmus::http {

struct ServerOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;                         // 0: any free one; see port()
  std::size_t connections = 256;                  // beyond: accepted, answered 503, closed
  std::size_t live_answers = 32;                  // beyond: cut after their beginning (http/live.h)
  std::size_t threads = 8;                        // requests worked on at once
  std::uint64_t header_bytes = 32 * KiB;          // beyond: 431
  std::uint64_t body_bytes = 5 * GiB + 64 * MiB;  // beyond: 413
  Milliseconds header_timeout{15'000};      // from the first byte of a request to its last header
  Milliseconds body_idle_timeout{60'000};   // between two pieces of a body
  Milliseconds keep_alive_timeout{75'000};  // between two requests
  // Set: the listener speaks TLS and nothing else, each connection by what is in force when it
  // comes. Must outlive the server.
  const tls::Certificates* certificates = nullptr;
};

class Server {
 public:
  virtual ~Server() = default;
  // Stops accepting, lets requests in progress finish for a short while, then closes. Safe twice.
  virtual void stop() = 0;
  virtual std::uint16_t port() const = 0;
};

// Listens at once. "http.bind" (permanent) when the address is taken or not ours.
Result<std::unique_ptr<Server>> listen(Env& env, Handler& handler, ServerOptions options);

}  // namespace isthmus::http
