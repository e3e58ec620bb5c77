// Roles: temporary credentials of the Security Token Service.
#pragma once

#include "auth/aws/provider.h"
#include "wire/sts.h"

namespace isthmus::aws {

// AssumeRole, signed with `who`; or AssumeRoleWithWebIdentity, which its token proves.
Result<Credentials> assume_role(Means& means, const wire::sts::AssumeRole& role,
                                const std::optional<Credentials>& who, const std::string& region);

}  // namespace isthmus::aws
