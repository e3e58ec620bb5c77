// The HTTP client: cpprestsdk behind Transport. For every call that leaves this process.
#pragma once

#include "http/http.h"

namespace isthmus::http {

struct ClientOptions {
  std::string ca_file;              // PEM of additional trusted roots; empty: the system's
  std::string proxy_url;            // empty: none
  std::size_t threads = 8;          // of the process-wide pool, set by the first client made
};

// Connections are kept and reused per host. Bodies are streamed in pieces of at most 256 KiB.
std::unique_ptr<Transport> make_client(Env& env, ClientOptions options);

}  // namespace isthmus::http
