// The gateway's own handlers on Orthanc's HTTP server, under /isthmus: for whom Orthanc lets in, by
// its own authentication, as far as the scopes of that user go (users.h).
#pragma once

#include <orthanc/OrthancCPlugin.h>

#include <functional>
#include <string>

#include "http/http.h"

namespace isthmus::plugin {

// Where they are mounted; everything behind it is the handler's path.
constexpr const char* kMount = "/isthmus";

// How we speak for a user of Orthanc: `control_token` is the installation's own, `on_behalf_of` is
// what api::kOnBehalfOfHeader says with it.
struct Spokesman {
  std::string control_token;
  std::string on_behalf_of;
};

// Gives one request of Orthanc's server to `gateway` and its answer back. Any thread.
OrthancPluginErrorCode serve(OrthancPluginContext* context, http::Handler& gateway,
                             const Spokesman& spokesman, OrthancPluginRestOutput* output,
                             const char* url, const OrthancPluginHttpRequest* request);

// A header of the request, whose names Orthanc writes in lower case; empty when there is none.
std::string header_of(const OrthancPluginHttpRequest& request, std::string_view name);

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
http::Head head_of(const HostRequest& request, const Spokesman& spokesman);

// Feeds the whole body and finishes.
http::Response answer(http::Handler& gateway, const http::Head& head, ByteSpan body);

}  // namespace isthmus::plugin
