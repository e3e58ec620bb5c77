// Orthanc's users, and what each may do under /isthmus: Orthanc asks for name and password
// (AuthenticationEnabled, RegisteredUsers) or lets a plugin do so, and tells its plugins the
// headers of the request; who it was stands in them.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "api/access.h"

namespace isthmus::plugin {

class Users {
 public:
  // `others`: of whoever has no entry in `named`. `are_checked`: Orthanc asks for passwords
  // (configuration.h); else anybody may write any name, and everybody is one of the others.
  Users(std::map<std::string, api::Scopes, std::less<>> named, api::Scopes others,
        bool are_checked = true)
      : named_(std::move(named)), others_(others), are_checked_(are_checked) {}

  // `authorization`: the header as Orthanc accepted it, or empty. Without a name in it (no
  // authentication, or a plugin's) it is one of the others. The name in the audit log is
  // "orthanc/jane", printable and not too long.
  api::Caller of(std::string_view authorization) const;

 private:
  const std::map<std::string, api::Scopes, std::less<>> named_;
  const api::Scopes others_;
  const bool are_checked_;
};

}  // namespace isthmus::plugin
