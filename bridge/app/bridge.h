// The whole gateway in one process: opened, started, stopped. The daemon's main and the Orthanc
// plugin hold one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "app/settings.h"
#include "base/env.h"
#include "http/http.h"
#include "ledger/ledger.h"
#include "senders/senders.h"
#include "spool/admission.h"
#include "spool/spool.h"

namespace isthmus::app {

struct BridgeAddresses {
  std::uint16_t dimse_port = 0;      // 0: not listening
  std::uint16_t dimse_tls_port = 0;  // likewise
  std::uint16_t http_port = 0;       // likewise
  std::uint16_t datastore_port = 0;  // 0: not listening
  std::string datastore_access_key_file;
};

// What a host in the same process works with where the daemon has listeners. Any thread; valid as
// long as the bridge, refusing everything once it was stopped.
struct BridgeParts {
  Ledger& ledger;
  Spool& spool;
  Admission& admission;
  const Senders& senders;
  http::Handler& gateway;     // what http.port serves
  std::string control_token;  // the bearer token of its control calls
};

class Bridge {
 public:
  virtual ~Bridge() = default;
  virtual BridgeAddresses addresses() const = 0;
  virtual BridgeParts parts() = 0;
  // Closes admission for good: our own storage can no longer be trusted. Any thread, never blocks.
  virtual void fail() = 0;
  // Receivers, steps, committer, in this order. Synchronous, safe twice.
  virtual void stop() = 0;
};

// Opens everything, goes on where an earlier run was killed, and listens. `program_directory` is
// where isthmus-import-worker is looked for. Errors are those of the parts, with what to do. `env`
// must outlive it.
Result<std::unique_ptr<Bridge>> open_bridge(Env& env, const Settings& settings,
                                            const FileSystem::Path& program_directory);

}  // namespace isthmus::app
