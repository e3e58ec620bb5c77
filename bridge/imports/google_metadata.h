// MetadataService over a DICOM store that has no change of metadata (contracts/google-healthcare
// section 6): instances are replaced. Fetched, changed, deleted and stored anew, one after the
// other, with the original in the bucket before anything of it is deleted
// (decisions/0026-replacing-in-a-dicom-store.md).
#pragma once

#include <memory>
#include <string>

#include "auth/tokens.h"
#include "http/http.h"
#include "http/retrying.h"
#include "imports/metadata_service.h"
#include "storage/object_store.h"

namespace isthmus {

struct GoogleReplacingOptions {
  std::string endpoint = "https://healthcare.googleapis.com";
  std::string dicom_store;  // "projects/p/locations/l/datasets/d/dicomStores/s"
  // In the bucket: "<prefix>replacements/…" has what was ordered and how it ended, and is kept for
  // good; "<prefix>originals/…" has the instances as they were, for as long as a revert is wanted.
  std::string prefix = {};
  FileSystem::Path scratch;          // a folder of its own on this machine, for one instance or two
  Milliseconds work_at_once{5'000};  // of one status()
  Milliseconds longest_pause{60'000};  // between tries that fail; the first ones follow in seconds
  MetadataLimits limits = {};
  http::RetryPolicy retry = {};
};

// An "image set" is a series: "studies/<uid>/series/<uid>", as imports name it. Its versions are
// counted in the bucket, from what was replaced by this gateway: others' changes are not seen.
//
// update() and revert() note the order and return. status() carries it out, for a while each time:
// it notes which instances the order is about; puts every original into the bucket and tries the
// change on it; and only then deletes and stores, instance by instance. What it finds in the store
// decides what is left to do, so that it goes on after a crash at any point: the original goes, the
// new form comes, nothing else is touched. An instance that is neither (somebody else's) or that
// the store will not have undoes the order: all originals are put back, and the version ends as
// update_failed. From when an order was noted, status() answers `changing` until its end, whatever
// fails meanwhile: it logs "metadata.replacing_waits" and tries again, and nobody gives it up.
//
// revert() puts originals back. "metadata.unsupported" (permanent) names what cannot be done.
// References must outlive it.
Result<std::unique_ptr<MetadataService>> make_google_replacing(Env& env, http::Transport& transport,
                                                               TokenSource& tokens,
                                                               ObjectStore& bucket,
                                                               GoogleReplacingOptions options);

}  // namespace isthmus
