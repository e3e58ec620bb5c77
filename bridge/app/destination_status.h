// What the running daemon says about its destinations: how fast each may be called, and what waits
// for it. A scheduler lives in the daemon's memory; the ledger does not know it.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

#include "app/settings.h"
#include "base/env.h"

namespace isthmus::app {

// The items of /v1/destinations of the daemon that listens on http.port; an empty array when none
// answers there.
nlohmann::ordered_json ask_destinations(Env& env, const Settings& settings);
// A line or two for each, for people: "cloud: 12 batches wait, the oldest 3 min; 0.2 starts to be
// had now (0.25/s); 3 of 5 job slots open; bucket and imports answer".
std::vector<std::string> destination_lines(const nlohmann::ordered_json& items);

}  // namespace isthmus::app
