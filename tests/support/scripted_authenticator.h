// An Authenticator that says what a test told it: everybody is `tester`, with all scopes at first.
#pragma once

#include "api/access.h"

namespace isthmus::test {

class ScriptedAuthenticator : public api::Authenticator {
 public:
  Result<api::Caller> identify(const http::Head&) override {
    if (refusal) return *refusal;
    return caller;
  }

  api::Caller caller{"tester", api::Scopes::all(), api::Authentication::token, "192.0.2.1"};
  std::optional<Error> refusal;
};

}  // namespace isthmus::test
