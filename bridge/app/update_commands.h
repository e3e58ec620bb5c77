// isthmus updates.
#pragma once

#include <string>

#include "app/commands.h"

namespace isthmus::app {

int show_updates(const Invocation& invocation, bool json);
// One with its image sets and its history, as JSON.
int show_update(const Invocation& invocation, const std::string& id);
int retry_update(const Invocation& invocation, const std::string& id);

}  // namespace isthmus::app
