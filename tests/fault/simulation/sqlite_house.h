// The real ledger on a real file, for the simulation.
#pragma once

#include "fault/simulation/simulation.h"

namespace isthmus::test {

std::unique_ptr<LedgerHouse> sqlite_house(Env& env, std::vector<std::string> destinations);

}  // namespace isthmus::test
