// Updates of imported metadata: planned when their study is imported, then done image set by image
// set at the pace of the service's quota.
//
// A call has no idempotency token. What keeps it from happening twice is the version that it names:
// the intent with that version is durable before the call, and whoever does not know what became of
// a call looks at the image set. A newer version with what was wanted is a call that happened; the
// same version is one that did not; a newer version without it is somebody else's, and then the
// update is planned anew if what it changes is untouched, or is a conflict that keeps both values.
//
// Error codes that stand in rows, besides those of MetadataService: "metadata.conflict" (somebody
// else changed what was to be changed), "metadata.no_image_set" (nothing of the study holds what
// was to be changed), "metadata.update_failed" (accepted, and not carried out).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "imports/metadata_service.h"
#include "ledger/updates.h"
#include "pipeline/step.h"

namespace isthmus {

struct UpdaterOptions {
  std::int64_t attempts = 10;  // calls in a row that failed, then the update has failed
  Milliseconds poll{1'000};    // of a change that was accepted
  Milliseconds busy{5'000};    // after which an image set that is locked is looked at again
  Backoff backoff;
};

// One destination's. References must outlive it.
std::unique_ptr<Step> make_updater(Env& env, MetadataUpdates& updates, std::string destination,
                                   MetadataService& service, UpdaterOptions options);

// What an update needs of each image set, as things stand now.
struct MetadataPlan {
  std::vector<MetadataStep> steps;
  MetadataUpdateEvent event = MetadataUpdateEvent::planned;  // values_differ, refused
  std::optional<Error> why;
};

// Reads, and changes nothing: what a dry run shows is what the updater would do. Errors are those
// of MetadataService ("metadata.busy" when an image set is being changed) and of the ledger.
Result<MetadataPlan> plan_metadata(MetadataUpdates& updates, MetadataService& service,
                                   const MetadataUpdateDetails& update);

}  // namespace isthmus
