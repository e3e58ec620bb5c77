// Senders over the control interface of the command line:
//
//   POST /control/senders   an order (order_json) → {"done": "mr_1 is admitted: …"} (admin).
//                           400 api.bad_request, 409 with the code of SenderDesk, 503 when
//                           transient
#pragma once

#include <string>

#include "api/guarded_router.h"
#include "senders/desk.h"

namespace isthmus::api {

// `desk` must outlive the router.
void add_sender_routes(GuardedRouter& router, SenderDesk& desk);

std::string order_json(const SenderOrder& order);
// "api.bad_request" (permanent) with what is wrong.
Result<SenderOrder> order_from(const std::string& json);

}  // namespace isthmus::api
