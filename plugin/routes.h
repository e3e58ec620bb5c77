// The gateway's own handlers on Orthanc's HTTP server, under /isthmus: whoever Orthanc lets in, by
// its own authentication, may use them.
#pragma once

#include <orthanc/OrthancCPlugin.h>

#include <functional>
#include <string>

#include "http/http.h"

namespace isthmus::plugin {

// Where they are mounted; everything behind it is the handler's path.
constexpr const char* kMount = "/isthmus";

// Gives one request of Orthanc's server to `gateway` and its answer back. `control_token` is what
// control calls need: Orthanc has asked for a name and a password already. Any thread.
OrthancPluginErrorCode serve(OrthancPluginContext* context, http::Handler& gateway,
                             const std::string& control_token, OrthancPluginRestOutput* output,
                             const char* url, const OrthancPluginHttpRequest* request);

// The same without Orthanc's types, for tests: from what Orthanc says of a request to its head.
struct HostRequest {
  std::string method;
  std::string url;  // decoded, with kMount
  std::vector<std::pair<std::string, std::string>> query;
  std::vector<std::pair<std::string, std::string>> headers;
  std::uint64_t body_bytes = 0;
};
// Orthanc's server knows no PATCH, reads X-HTTP-Method-Override itself (HttpServer.cpp, 1.10.1),
// and tells no plugin the query of a POST. So a POST may say both in a header:
// "X-Isthmus-Method: PATCH?dryRun=true", or POST and its query. PATCH without a query is not taken
// for one: a dry run whose query was lost would be an order.
http::Head head_of(const HostRequest& request, const std::string& control_token);

// Feeds the whole body and finishes.
http::Response answer(http::Handler& gateway, const http::Head& head, ByteSpan body);

}  // namespace isthmus::plugin
