// A transport that calls a handler of the same process: the embedded data store's client code runs
// the way it runs against a cloud, without a socket.
#pragma once

#include "http/http.h"

namespace isthmus::http {

// Every request goes to `handler`, whatever its host; "Host" is set from the URL. Requests carry
// Content-Length. `handler` must outlive the transport.
std::unique_ptr<Transport> make_loopback(Handler& handler);

}  // namespace isthmus::http
