// What all requests of the receiver share, and what is known of one of them. Private to api/stow.
#pragma once

#include <string>

#include "api/stow.h"
#include "api/stow/plan.h"
#include "base/thread.h"
#include "senders/shares.h"

namespace isthmus::api::stow {

// References are those given to make_stow_receiver.
struct Core {
  Env& env;
  Spool& spool;
  Admission& admission;
  Senders& senders;
  const StowOptions options;
  SenderShares shares;
  Gauge& open;
  Histogram& seconds;
  WorkerPool commits;  // of parts whose request goes on
};

struct Asking {
  Plan plan;
  Sender sender;
  Origin origin;  // its association_id is the request's id, in log and ledger
};

}  // namespace isthmus::api::stow
