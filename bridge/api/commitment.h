// Storage commitment over DICOMweb (PS3.18, Storage Commitment Service): asked by POST, looked up
// by GET, and decided by the same evaluator over the same rows as DIMSE's (pipeline/commitment.h).
//
//   POST /dicom-web/commitment-requests/{transaction}   (store) DICOM JSON with a Referenced SOP
//        Sequence (0008,1199) → 202, or 200 with the result when it stands already; 409 when
//        another list is active under this Transaction UID; 503 when as many requests as allowed
//        wait
//   GET  /dicom-web/commitment-requests/{transaction}   (store) 202 while it is decided, with
//        Retry-After; 200 with the result: Referenced SOP Sequence of what is committed, Failed SOP
//        Sequence (0008,1198) with Failure Reasons; 404; 410 when its list was forgotten
//
// A transaction is of the caller that asked it: others do not see it. Nobody is told anything: the
// result waits to be asked for.
#pragma once

#include <string>
#include <string_view>

#include "api/guarded_router.h"
#include "ledger/commitments.h"

namespace isthmus::api {

struct WebCommitmentOptions {
  std::size_t max_references = 50'000;  // of one request; more: 413
  std::int64_t max_active = 10'000;
  Milliseconds unknown_after{3'600'000};
  Milliseconds answer_by{24 * 3'600'000};
};

// References outlive the router.
void add_commitment_routes(GuardedRouter& router, Env& env, Commitments& commitments,
                           WebCommitmentOptions options);

// As whom a caller stands in the ledger beside AE titles, which have 16 characters at most.
std::string web_requester(const Caller& caller);
bool is_web_requester(std::string_view calling_ae_title);

}  // namespace isthmus::api
