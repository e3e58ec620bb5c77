// The HTTP client: cpprestsdk behind Transport. For every call that leaves this process.
#pragma once

#include "http/http.h"

namespace isthmus::http {

struct ClientOptions {
  std::string ca_file;      // PEM of additional trusted roots; empty: the system's
  std::string proxy_url;    // empty: none
  std::size_t threads = 8;  // of the process-wide pool, set by the first client made
};

// Connections are kept and reused per host. Bodies are streamed in pieces of at most 256 KiB;
// request bodies have a Content-Length, are read in the client's own threads, and are not read any
// more once send() has returned. Response bodies of at most 1 MiB, and those of untold length
// (chunked; at most 64 MiB), are there whole when send() returns. A request on a reused connection
// that the server closed before it answered anything is sent again, once, on a new one.
std::unique_ptr<Transport> make_client(Env& env, ClientOptions options);

}  // namespace isthmus::http
