// Commands about the embedded data store.
#pragma once

#include <string>

#include "app/commands.h"

namespace isthmus::app {

// Prints what it found as one line of JSON, problems to standard error.
int verify_datastore(const Invocation& invocation, bool content);

struct GoogleKeyOrder {
  std::string url;  // empty: where the data store listens
  std::string universe_domain = "googleapis.com";
};
// Prints a new key file of the data store's service account.
int add_google_key(const Invocation& invocation, const GoogleKeyOrder& order);
// Prints the ids of its keys.
int list_google_keys(const Invocation& invocation);
int remove_google_key(const Invocation& invocation, const std::string& id);

}  // namespace isthmus::app
