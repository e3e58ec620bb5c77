#include "plugin/routes.h"

#include <algorithm>

#include "api/gatekeeper.h"

namespace isthmus::plugin {
namespace {

constexpr std::uint64_t kLongestAnswer = 64 * MiB;

std::string method_of(OrthancPluginHttpMethod method) {
  switch (method) {
    case OrthancPluginHttpMethod_Post:
      return "POST";
    case OrthancPluginHttpMethod_Put:
      return "PUT";
    case OrthancPluginHttpMethod_Delete:
      return "DELETE";
    default:
      return "GET";
  }
}

HostRequest request_of(const char* url, const OrthancPluginHttpRequest& request) {
  HostRequest made;
  made.method = method_of(request.method);
  made.url = url;
  for (std::uint32_t i = 0; i < request.getCount; ++i) {
    made.query.emplace_back(request.getKeys[i], request.getValues[i]);
  }
  for (std::uint32_t i = 0; i < request.headersCount; ++i) {
    made.headers.emplace_back(request.headersKeys[i], request.headersValues[i]);
  }
  made.body_bytes = request.bodySize;
  return made;
}

// Orthanc has calls of its own for these two, and refuses them in the general one.
void send(OrthancPluginContext* context, OrthancPluginRestOutput* output,
          const http::Response& response, const std::string& body) {
  const std::string type(response.headers.get("Content-Type", "application/octet-stream"));
  for (const auto& [name, value] : response.headers.all()) {
    if (name == "Content-Type" || name == "Content-Length") continue;
    OrthancPluginSetHttpHeader(context, output, name.c_str(), value.c_str());
  }
  const auto size = static_cast<std::uint32_t>(body.size());
  if (response.status == 405) {
    const std::string allow(response.headers.get("Allow", "GET"));
    OrthancPluginSendMethodNotAllowed(context, output, allow.c_str());
  } else if (response.status == 401) {
    OrthancPluginSendUnauthorized(context, output, "Isthmus");
  } else if (response.status == 200) {
    OrthancPluginAnswerBuffer(context, output, body.data(), size, type.c_str());
  } else {
    OrthancPluginSetHttpHeader(context, output, "Content-Type", type.c_str());
    OrthancPluginSendHttpStatus(context, output, static_cast<std::uint16_t>(response.status),
                                body.data(), size);
  }
}

}  // namespace

std::string header_of(const OrthancPluginHttpRequest& request, std::string_view name) {
  http::Headers headers;
  for (std::uint32_t i = 0; i < request.headersCount; ++i) {
    headers.add(request.headersKeys[i], request.headersValues[i]);
  }
  return std::string(headers.get(name));
}

http::Head head_of(const HostRequest& request, const Spokesman& spokesman) {
  http::Head head;
  head.method = request.method;
  std::string path = request.url;
  if (path.starts_with(kMount)) path.erase(0, std::string_view(kMount).size());
  if (path.empty()) path = "/";
  head.target = http::percent_encode(path, /*keep_slash=*/true);
  char separator = '?';
  for (const auto& [key, value] : request.query) {
    head.target += separator;
    head.target += http::percent_encode(key, false) + "=" + http::percent_encode(value, false);
    separator = '&';
  }
  for (const auto& [name, value] : request.headers) head.headers.add(name, value);
  const std::string meant(head.headers.get("X-Isthmus-Method"));
  const std::size_t query = meant.find('?');
  const std::string_view method = std::string_view(meant).substr(0, query);
  if (head.method == "POST" && query != std::string::npos &&
      (method == "PATCH" || method == "POST")) {
    head.method = method;
    head.target += meant.substr(query);
  }
  // What the client said was for Orthanc.
  head.headers.set("Authorization", "Bearer " + spokesman.control_token);
  head.headers.set(api::kOnBehalfOfHeader, spokesman.on_behalf_of);
  head.content_length = request.body_bytes;
  return head;
}

http::Response answer(http::Handler& gateway, const http::Head& head, ByteSpan body) {
  const auto exchange = gateway.open(head);
  if (!body.empty()) exchange->feed(body);
  return exchange->finish();
}

OrthancPluginErrorCode serve(OrthancPluginContext* context, http::Handler& gateway,
                             const Spokesman& spokesman, OrthancPluginRestOutput* output,
                             const char* url, const OrthancPluginHttpRequest* request) {
  const http::Head head = head_of(request_of(url, *request), spokesman);
  const ByteSpan body(static_cast<const std::byte*>(request->body), request->bodySize);
  const http::Response response = answer(gateway, head, body);
  std::string text;
  if (response.body) {
    auto read = read_all(*response.body, kLongestAnswer);
    if (!read.ok()) return OrthancPluginErrorCode_InternalError;
    text = std::move(read).value();
  }
  send(context, output, response, text);
  return OrthancPluginErrorCode_Success;
}

}  // namespace isthmus::plugin
