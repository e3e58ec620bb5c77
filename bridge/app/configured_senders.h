// Senders and routes as the configuration has them.
#pragma once

#include <string>
#include <vector>

#include "app/settings.h"
#include "senders/senders.h"

namespace isthmus::app {

struct ConfiguredSenders {
  SenderPolicy policy;
  std::vector<std::string> problems;  // one sentence each; what is wrong is left out of the policy
};

ConfiguredSenders configured_senders(const Settings& settings);

}  // namespace isthmus::app
