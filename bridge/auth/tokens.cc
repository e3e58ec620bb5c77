#include "auth/tokens.h"

namespace isthmus {
namespace {

constexpr int kUnauthorized = 401;

class StaticToken : public TokenSource {
 public:
  explicit StaticToken(std::string token) : token_(std::move(token)) {}

  Result<std::string> token() override {
    if (!token_.empty()) return token_;
    return transient_error("auth.no_credentials", "No access token is configured.");
  }
  void refused(const std::string&) override {}

 private:
  const std::string token_;
};

}  // namespace

std::unique_ptr<TokenSource> make_static_token(std::string token) {
  return std::make_unique<StaticToken>(std::move(token));
}

Result<http::Response> BearerTransport::send(http::Request request) {
  TRY_ASSIGN(const std::string token, tokens_.token());
  http::Request first = request;
  first.headers.set("Authorization", "Bearer " + token);
  TRY_ASSIGN(http::Response response, next_.send(std::move(first)));
  if (response.status != kUnauthorized) return response;
  tokens_.refused(token);
  TRY_ASSIGN(const std::string renewed, tokens_.token());
  if (renewed == token) return response;
  response.body.reset();  // the first answer's connection is free again
  if (request.body) TRY(request.body->rewind());
  request.headers.set("Authorization", "Bearer " + renewed);
  return next_.send(std::move(request));
}

}  // namespace isthmus
