// A cloud service whose imported metadata can be changed, image set by image set.
//
// An image set has versions, counted from 1; a change names the newest one that its caller saw and
// makes the next. It is accepted first and done later: status() says `changing` until then. Nothing
// keeps an accepted change apart from another caller's but what it leaves behind: whoever lost an
// answer looks at status() and values().
//
// Any thread. Errors: "metadata.stale" (permanent: the version is not the newest, nothing
// happened), "metadata.busy" (transient: the image set is locked by another change),
// "metadata.throttled", "metadata.unavailable" (transient: it may have happened),
// "metadata.denied", "metadata.invalid", "metadata.too_large", "metadata.not_found" (permanent),
// and those of Transport. No message holds a value.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "model/metadata.h"

namespace isthmus {

struct MetadataLimits {
  double updates_per_second = 0.25;  // UpdateImageSetMetadata, contracts/healthimaging/quotas.json
  std::int64_t update_burst = 1;
};

// What one call changes: of each attribute what is wanted, and what is stored now (removals quote
// it). Attributes that have what is wanted already are left out by the caller.
struct MetadataUpdate {
  MetadataChange change;
  MetadataValues stored;  // one per attribute
  // Patient and study level, of a primary image set: all primary image sets of the study change
  // with it, or none does.
  bool include_study_image_sets = false;
};

class MetadataService {
 public:
  virtual ~MetadataService() = default;
  virtual MetadataLimits limits() const = 0;
  // An image set that is not known is Phase::gone.
  virtual Result<ImageSetStatus> status(const std::string& image_set_id) = 0;
  // What this version holds of the attributes that the change names, in its order. What its levels
  // do not have (another series, an instance that is not there) is absent.
  virtual Result<MetadataValues> values(const std::string& image_set_id, std::int64_t version,
                                        const MetadataChange& change) = 0;
  // Accepted as the version that it gives, one above `seen`.
  virtual Result<std::int64_t> update(const std::string& image_set_id, const MetadataUpdate& update,
                                      std::int64_t seen) = 0;
  // The image set becomes again what its version `to` holds; accepted likewise.
  virtual Result<std::int64_t> revert(const std::string& image_set_id, std::int64_t to,
                                      std::int64_t seen) = 0;
};

}  // namespace isthmus
