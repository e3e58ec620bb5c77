// Stands in for what Google's client libraries get their tokens from: the metadata server of a
// virtual machine, and the token endpoint of service accounts. Source: contracts/google-healthcare
// section 7. Any thread.
#pragma once

#include <memory>
#include <string>

#include "datastore/api/google_account.h"
#include "datastore/api/google_tokens.h"
#include "http/http.h"

namespace isthmus::datastore {

struct GoogleIdentityOptions {
  // Answer as the metadata server does: a token for whoever asks from a loopback address. Google's
  // is trusted in the same way by what runs on the machine.
  bool metadata_server = false;
  std::string project_id = "isthmus";
};

class GoogleIdentity : public http::Handler {
 public:
  GoogleIdentity(Env& env, GoogleAccount& account, GoogleTokens& tokens,
                 GoogleIdentityOptions options)
      : env_(env), account_(account), tokens_(tokens), options_(std::move(options)) {}
  std::unique_ptr<http::Exchange> open(const http::Head& head) override;
  // "/computeMetadata/…", and "/", where libraries look whether there is a metadata server; and the
  // token endpoint, a form posted to "/token".
  static bool claims(const http::Head& head);

 private:
  Result<http::Response> answer(const http::Head& head);
  Result<http::Response> service_account(std::string_view what);
  Result<std::string> token_answer();
  // RFC 6749 section 5, RFC 7523 section 2.1.
  http::Response grant(const http::Head& head, const std::string& form);

  Env& env_;
  GoogleAccount& account_;
  GoogleTokens& tokens_;
  const GoogleIdentityOptions options_;
};

}  // namespace isthmus::datastore
