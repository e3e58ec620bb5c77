// Updates of metadata in this process: a service and an updater for each destination that can be
// asked for them.
#pragma once

#include <memory>
#include <vector>

#include "api/metadata.h"
#include "app/destinations.h"
#include "app/settings.h"
#include "ledger/ledger.h"
#include "pipeline/pause.h"
#include "pipeline/runner.h"

namespace isthmus::app {

// Adds one updater per destination, which rests while that is paused; gives what the routes ask.
// Before runner.start(); all must outlive runner and routes.
api::MetadataServices add_metadata_steps(
    Env& env, const Settings& settings, Runner& runner, Ledger& ledger, const PauseBoard& pauses,
    const std::vector<std::unique_ptr<ConfiguredDestination>>& destinations);

}  // namespace isthmus::app
