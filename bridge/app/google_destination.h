// kind=google: what a site says of its bucket and its DICOM store, made into clients.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/destinations.h"

namespace isthmus::app {

// Sentences about what is missing or does not fit in destinations.*, each naming its setting.
std::vector<std::string> google_destination_problems(const Settings& settings);

// The clients of one destination. Nothing is sent before the first delivery is due: a cloud that
// cannot be reached does not keep the gateway from taking instances.
std::unique_ptr<ConfiguredDestination> make_google_destination(Env& env, const Settings& settings,
                                                               const std::string& name,
                                                               Ledger& ledger);

}  // namespace isthmus::app
