// What the running daemon says about taking instances: the ledger does not know it, the disk alone
// does not tell it (what is in flight, what may be written again, how fast it fills).
#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>

#include "app/settings.h"
#include "base/env.h"

namespace isthmus::app {

// The body of /readyz of the daemon that listens on http.port; nothing when none answers there.
std::optional<nlohmann::ordered_json> ask_intake(Env& env, const Settings& settings);
// "intake open, 12.3 GB available, full in 3 h at the present rate", for people.
std::string intake_text(const std::optional<nlohmann::ordered_json>& intake);

}  // namespace isthmus::app
