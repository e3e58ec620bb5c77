// One C-STORE from its command to its commit: bytes go to the spool as they were received, never
// decoded; their head is looked at on the way and compared with what the command announced.
#pragma once

#include <optional>
#include <string>

#include "intake/instance_intake.h"

namespace isthmus::dimse {

struct StoreRequest {
  std::string sop_class_uid;          // of the command, unchecked
  std::string sop_instance_uid;       // of the command, unchecked
  std::string context_sop_class_uid;  // of the presentation context
  std::string transfer_syntax_uid;    // of the presentation context
  bool context_stores = true;         // false: a Verification context
  RouteInstance route;
};

// One thread at a time. Once something is wrong, what was spooled is given up at once; the rest of
// the data set is taken and dropped, because a sender may not listen before it has sent everything
// (PS3.7 section 9.1.1.2).
class StoreOperation {
 public:
  // `spool` and `origin` outlive it.
  StoreOperation(Spool& spool, const Origin& origin, StoreRequest request,
                 std::uint64_t max_instance_bytes);

  void append(ByteSpan fragment);
  // After the last fragment: the instance is durable, or why it is not. Once. Codes: those of the
  // spool and of dicom/probe.h, "dicom.mismatch", "dicom.invalid_sop_instance",
  // "dicom.sop_class_not_supported", "dicom.instance_too_large".
  Result<Receipt> finish();
  // The sender goes on and on after its instance was given up: abort the association.
  bool is_hopeless() const { return received_bytes_ / 2 > max_instance_bytes_; }
  // (0008,0016) or (0008,0018) when that is what does not match.
  std::optional<std::uint32_t> offending_element() const { return offending_element_; }
  std::uint64_t received_bytes() const { return received_bytes_; }
  const StoreRequest& request() const { return request_; }

 private:
  Result<void> begin(Spool& spool, const Origin& origin);
  Result<void> compare();
  Result<Receipt> commit();

  StoreRequest request_;
  const std::uint64_t max_instance_bytes_;
  std::optional<InstanceIntake> intake_;
  std::uint64_t received_bytes_ = 0;
  std::optional<Error> failure_;
  std::optional<std::uint32_t> offending_element_;
};

}  // namespace isthmus::dimse
