// What cannot wait, by the rules of stat.when: which lane an instance is of.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "app/settings.h"
#include "model/batch.h"
#include "model/delivery.h"
#include "senders/senders.h"

namespace isthmus::app {

// Sentences about stat.when that cannot be used.
std::vector<std::string> stat_problems(const Settings& settings);

// Looks at what the ledger keeps of an instance. The attribute `sender` is the first sender of the
// instance's calling AE title. None (empty) without rules. `senders` must outlive it; any thread.
std::function<Lane(const WaitingDelivery&)> stat_lane_rule(const Settings& settings,
                                                           const Senders& senders);

}  // namespace isthmus::app
