#include "imports/healthimaging/calls.h"

#include "base/digest.h"
#include "wire/sigv4.h"

namespace isthmus::healthimaging {
namespace {

// SigV4 carries the body's digest in this header for S3 only; here it is our own note to sign().
constexpr std::string_view kPayloadHash = "x-amz-content-sha256";

}  // namespace

Calls::Calls(Env& env, http::Transport& transport, CredentialsSource& credentials,
             CallOptions options, ErrorOf error_of, std::string unreadable)
    : env_(env),
      credentials_(credentials),
      options_(std::move(options)),
      error_of_(std::move(error_of)),
      unreadable_(std::move(unreadable)),
      http_(env, transport, options_.retry,
            [this](http::Request& request) { return sign(request); }) {}

Result<void> Calls::sign(http::Request& request) {
  TRY_ASSIGN(const Credentials who, credentials_.credentials());
  const std::string payload_hash(request.headers.get(kPayloadHash));
  return wire::sigv4::sign(request, {who.access_key_id, who.secret_access_key, who.session_token},
                           options_.region, wire::healthimaging::kSigningName,
                           env_.clock.wall_now(), payload_hash);
}

Result<std::string> Calls::send(wire::healthimaging::Call call, std::uint64_t limit) {
  std::string_view endpoint = options_.endpoint;
  while (endpoint.ends_with('/')) endpoint.remove_suffix(1);
  http::Request request;
  request.method = call.method;
  request.url = fmt::format("{}{}", endpoint, call.target);
  request.headers.set(kPayloadHash, sha256(call.body).hex());
  if (!call.body.empty()) {
    request.headers.set("Content-Type", "application/json");
    request.body = source_of(std::move(call.body));
  }
  TRY_ASSIGN(http::Response response, http_.send(std::move(request)));
  if (response.status < 200 || response.status >= 300) {
    return error_of_(response, env_.clock.wall_now());
  }
  if (!response.body) return std::string();
  return read_all(*response.body, limit);
}

}  // namespace isthmus::healthimaging
