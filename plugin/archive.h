// What the plugin asks of the Orthanc that it stands in, by Orthanc's own REST API: a port, so that
// everything but the adapter (sdk.h) is tested without Orthanc.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace isthmus::plugin {

// Paths are those of Orthanc's REST API: "/instances/<id>/file". Any thread but one that is in a
// callback of Orthanc. Errors: "orthanc.not_found" (permanent), "orthanc.refused" (permanent:
// Orthanc answered 4xx), "orthanc.failed" (transient: everything else).
class Archive {
 public:
  virtual ~Archive() = default;
  virtual Result<std::string> get(const std::string& path) = 0;
  virtual Result<std::string> post(const std::string& path, const std::string& body) = 0;
  virtual Result<void> put(const std::string& path, const std::string& body) = 0;
  virtual Result<void> remove(const std::string& path) = 0;
  // A line of ours in Orthanc's own database: it is lost, copied and restored with it. Empty before
  // the first keep_note(). "orthanc.failed".
  virtual Result<std::string> note() = 0;
  virtual Result<void> keep_note(const std::string& line) = 0;
};

}  // namespace isthmus::plugin
