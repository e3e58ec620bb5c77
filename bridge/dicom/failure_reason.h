// What requesters of storage commitment are told of one reference (0008,1197), PS3.3 C.14.1.1.
#pragma once

#include "dicom/sop_class.h"
#include "dicom/status.h"
#include "model/commitment.h"

namespace isthmus::dicom {

// The ledger knows what was received, not what can be: an instance that never came is 0112H, and
// 0122H when its SOP class is of a service that stores nothing (a procedure step, a film session),
// because then none ever comes. Classes that only a policy refuses stay 0112H: another sender, or
// another way in, may be allowed them. Any thread.
inline std::uint16_t failure_reason_of(const CommitmentResult& result) {
  const bool can_never_come = result.reason == FailureReason::no_such_instance &&
                              sop_class_kind(result.sop_class_uid) == SopClassKind::not_storage;
  return can_never_come ? kSopClassNotSupported : static_cast<std::uint16_t>(result.reason);
}

}  // namespace isthmus::dicom
