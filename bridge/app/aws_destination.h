// kind=aws: what a site says of its bucket and its HealthImaging data store, made into clients.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/destinations.h"

namespace isthmus::app {

// Sentences about what is missing or does not fit in destinations.*, each naming its setting.
std::vector<std::string> destination_problems(const Settings& settings);

// Where a destination's cut-off uploads are noted.
FileSystem::Path upload_notes_directory(const Settings& settings, const std::string& name);

// Which hosts a destination speaks to. "config.endpoint" (permanent).
struct AwsEndpoints {
  std::string s3;
  std::string imaging;
  std::string sts;
};
Result<AwsEndpoints> aws_endpoints(const Settings& settings, const std::string& name);

// The clients of one destination. Nothing is sent before the first delivery is due: a cloud that
// cannot be reached does not keep the gateway from taking instances. Uploads that were cut off are
// noted in `notes`, which is made; empty: nowhere. "config.endpoint" (permanent).
Result<std::unique_ptr<ConfiguredDestination>> make_aws_destination(Env& env,
                                                                    const Settings& settings,
                                                                    const std::string& name,
                                                                    const FileSystem::Path& notes);

}  // namespace isthmus::app
