// Which host answers for an AWS service in a region: partitions, FIPS and dual-stack endpoints
// (contracts/healthimaging/endpoint-rule-set-1.json; "AWS service endpoints", AWS General
// Reference).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace isthmus {

struct AwsEndpointChoice {
  std::string region;       // "eu-central-1"; may be empty with a custom endpoint
  std::string custom = {};  // a URL that is used as it is; excludes fips and dual_stack
  bool fips = false;
  bool dual_stack = false;
};

// "https://medical-imaging-fips.us-east-1.api.aws" for the service "medical-imaging"; "s3" has
// forms of its own. Any thread. "config.endpoint" (permanent) says which choices do not go
// together: no region, a region that is none, FIPS or dual-stack beside a custom endpoint,
// dual-stack where the partition has none.
Result<std::string> aws_endpoint(std::string_view service, const AwsEndpointChoice& choice);

}  // namespace isthmus
