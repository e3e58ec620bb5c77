// bridge/docs/STATES.md, made of the state tables; a test holds the file against it.
#pragma once

#include <string>

namespace isthmus::app {

std::string states_markdown();

}  // namespace isthmus::app
