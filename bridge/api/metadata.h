// Metadata of what was imported, over HTTP (docs/METADATA.md):
//
//   PATCH /v1/studies/{study}                                         update; dryRun=true reads
//   only PATCH /v1/studies/{study}/series/{series}                         likewise PATCH
//   /v1/studies/{study}/series/{series}/instances/{instance}    likewise POST  /v1/patients/merge
//   update; dryRun=true likewise POST  /v1/image-sets/{imageSet}/metadata update GET
//   /v1/metadata-updates            study, state, limit, before: read GET /v1/metadata-updates/{id}
//   of an update or of a parent: read POST  /v1/metadata-updates/{id}/revert, …/retry update
//
// Orders answer 202 with the update resource and its Location. Values are in answers to callers
// with read-phi alone.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "api/guarded_router.h"
#include "imports/metadata_service.h"
#include "ledger/updates.h"

namespace isthmus::api {

// By destination.
using MetadataServices = std::map<std::string, MetadataService*, std::less<>>;

// All must outlive the router.
void add_metadata_routes(GuardedRouter& router, MetadataUpdates& updates,
                         const MetadataServices& services);

}  // namespace isthmus::api
