// kind=aws: what a site says of its bucket and its HealthImaging data store, made into clients.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/destinations.h"

namespace isthmus::app {

// Sentences about what is missing or does not fit in destinations.*, each naming its setting.
std::vector<std::string> destination_problems(const Settings& settings);

// Which hosts a destination speaks to. "config.endpoint" (permanent).
struct AwsEndpoints {
  std::string s3;
  std::string imaging;
  std::string sts;
};
Result<AwsEndpoints> aws_endpoints(const Settings& settings, const std::string& name);

// The clients of one destination. Nothing is sent before the first delivery is due: a cloud that
// cannot be reached does not keep the gateway from taking instances. Without `uploads` (null), as
// for looking at the destination alone, no upload outlives the process. "config.endpoint"
// (permanent).
Result<std::unique_ptr<ConfiguredDestination>> make_aws_destination(
    Env& env, const Settings& settings, const std::string& name,
    std::unique_ptr<UploadSessions> uploads);

}  // namespace isthmus::app
