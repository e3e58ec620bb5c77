// The composition root of what deliveries are made with: joins clients to clouds, or to the
// embedded data store by loopback. The only code that knows both sides.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/settings.h"
#include "auth/credentials.h"
#include "auth/tokens.h"
#include "datastore/datastore.h"
#include "http/http.h"
#include "imports/metadata_service.h"
#include "ledger/ledger.h"
#include "pipeline/scheduler.h"
#include "pipeline/step.h"
#include "storage/upload_sessions.h"

namespace isthmus::app {

// Everything one destination is made of, in order of construction.
struct ConfiguredDestination {
  std::unique_ptr<http::Transport> transport;
  std::unique_ptr<http::Transport> local_transport;  // for what is on this machine; none: embedded
  std::unique_ptr<CredentialsSource> credentials;
  std::unique_ptr<TokenSource> storage_tokens;  // kind=google, as the next two
  std::unique_ptr<TokenSource> tokens;          // none: those of the storage
  std::unique_ptr<UploadSessions> sessions;     // none: embedded
  std::unique_ptr<ObjectStore> store;
  std::unique_ptr<ImportService> service;
  std::unique_ptr<MetadataService> metadata;
  std::unique_ptr<Destination> destination;
  std::unique_ptr<Scheduler> scheduler;
  std::unique_ptr<Preflight> preflight;
  std::string datastore_id;
};

// The access key of the data store: as configured, else the pair kept in its folder, made durable
// before it is first used.
Result<datastore::AccessKey> datastore_access_key(Env& env, const Settings& settings);

// The quotas of a destination's import service, as configured.
ImportLimits import_limits(const Settings& settings, const std::string& name);

// Sentences about destinations.*.upload_hours that cannot be read.
std::vector<std::string> scheduler_problems(const Settings& settings);
// What its steps share.
std::unique_ptr<Scheduler> make_destination_scheduler(Env& env, const Settings& settings,
                                                      const Destination& destination);

// Where its uploads that were cut off are kept: "<data_dir>/uploads/<name>".
Result<std::unique_ptr<UploadSessions>> open_destination_uploads(Env& env, const Settings& settings,
                                                                 const std::string& name);

// What its service would refuse, by the rules of its kind.
std::unique_ptr<Preflight> make_destination_preflight(const Settings& settings,
                                                      const std::string& name);
PreflightMode preflight_mode(const Settings& settings, const std::string& name);

// kind=embedded: provisions bucket and data store, then joins the clients to it by loopback. For
// the other kinds as their own headers say. `ledger` must outlive it.
Result<std::unique_ptr<ConfiguredDestination>> make_destination(Env& env, const Settings& settings,
                                                                const std::string& name,
                                                                datastore::DataStore& data_store,
                                                                const datastore::AccessKey& key,
                                                                Ledger& ledger);

}  // namespace isthmus::app
