// `isthmus senders …`: who may send, who was refused, and where instances would go.
#pragma once

#include <string>
#include <vector>

#include "app/commands.h"
#include "senders/desk.h"

namespace isthmus::app {

// Configured, admitted and blocked senders, and refused ones that wait for a person.
int show_senders(const Invocation& invocation, bool json);

// By the daemon when it runs, in the ledger itself when it does not.
int order_sender(const Invocation& invocation, const SenderOrder& order);

// A dry run of the routes: of what is said, or of a DICOM file (what is said wins).
struct RouteTrial {
  std::string file;
  std::string from;  // the sender's address; empty: it is told by its AE title alone
  RouteAttributes attributes;
};
int try_route(const Invocation& invocation, const RouteTrial& trial);

}  // namespace isthmus::app
