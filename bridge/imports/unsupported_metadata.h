// MetadataService of a service that changes nothing of what it has imported.
#pragma once

#include <memory>
#include <string>

#include "imports/metadata_service.h"

namespace isthmus {

// Each call is answered "metadata.unsupported" (permanent) with this sentence: an update fails at
// once, before anything was sent. Any thread.
std::unique_ptr<MetadataService> make_unsupported_metadata(std::string sentence);

}  // namespace isthmus
