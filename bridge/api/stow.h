// The gateway's STOW-RS receiver (PS3.18 section 10.5; what it does where the standard leaves it
// open stands in docs/CONFORMANCE.md):
//
//   POST /dicom-web/studies                 instances of any studies
//   POST /dicom-web/studies/{study}         all of that study; others fail one by one
//
// Bodies are taken as they come, part by part: Part 10 files straight into the spool, metadata
// (JSON or XML) and bulk data into a scratch file first; none is held in memory. An answer is given
// when every instance that it calls stored would survive a power cut. Who may send, how fast and
// where it goes is the policy of senders/, with the caller's name as calling AE title.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/guarded_router.h"
#include "senders/senders.h"
#include "senders/shares.h"
#include "spool/admission.h"
#include "spool/spool.h"

namespace isthmus::api {

struct StowOptions {
  std::uint64_t max_body_bytes = 16 * GiB;     // without its content coding; beyond: 413
  std::uint64_t max_instance_bytes = 4 * GiB;  // beyond: that instance fails with A700
  std::uint64_t max_metadata_bytes = 4 * MiB;  // of one part in JSON or XML; beyond: 413
  std::size_t max_parts = 10'000;              // beyond: 413
  std::size_t requests = 64;                   // worked on at once; beyond: 503 with Retry-After
  SenderCounts* counts = nullptr;              // what senders hold by other ways in, too
  Milliseconds request_timeout{14'400'000};    // for a whole body; beyond: 408
  // In front of "/studies/…" in the answers' RetrieveURLs; empty: they stay empty (Type 2), for
  // the gateway itself does not serve instances.
  std::string retrieve_url = {};
  // Where parts of metadata and bulk data are kept until their instances are put together; on the
  // spool's disk.
  FileSystem::Path scratch_directory = {};
  bool accept_unknown_sop_classes = true;
  std::vector<std::string> extra_sop_classes = {};
};

// Metrics: stow_requests_total{status}, stow_instances_total{status}, stow_requests_open,
// stow_request_seconds. Log: stow.answered, instance.refused, stow.refused.
class StowReceiver {
 public:
  virtual ~StowReceiver() = default;
  // Once, before the first request: removes what a process that was killed left of unanswered
  // requests. Errors of the disk.
  virtual Result<void> recover() = 0;
  // For a router that this receiver outlives.
  virtual void add_routes(GuardedRouter& router) = 0;
};

// References outlive it, and it the requests in progress.
std::unique_ptr<StowReceiver> make_stow_receiver(Env& env, Spool& spool, Admission& admission,
                                                 Senders& senders, StowOptions options);

}  // namespace isthmus::api
