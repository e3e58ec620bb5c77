// kind=google: what a site says of its bucket and its DICOM store, made into clients.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/destinations.h"
#include "auth/google.h"

namespace isthmus::app {

// Sentences about what is missing or does not fit in destinations.*, each naming its setting.
std::vector<std::string> google_destination_problems(const Settings& settings);

// Which servers a destination speaks to.
struct GoogleEndpoints {
  std::string storage;
  std::string healthcare;
};
GoogleEndpoints google_endpoints(const Settings& settings, const std::string& name);

// Where its operations are noted in the bucket.
std::string google_notes_prefix(const Settings& settings, const std::string& name);

// Whom its credentials stand for. "auth.no_credentials" (transient).
Result<GoogleIdentity> google_identity(Env& env, const Settings& settings, const std::string& name,
                                       http::Transport& transport, http::Transport& local);

// The clients of one destination. Nothing is sent before the first delivery is due: a cloud that
// cannot be reached does not keep the gateway from taking instances. Without `uploads` and `ledger`
// (null), as for looking at the destination alone, no upload outlives the process, no instance
// is known and no metadata can be changed.
Result<std::unique_ptr<ConfiguredDestination>> make_google_destination(
    Env& env, const Settings& settings, const std::string& name,
    std::unique_ptr<UploadSessions> uploads, Ledger* ledger);

}  // namespace isthmus::app
