#include "dicom/status.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace isthmus::dicom {
namespace {

constexpr std::size_t kMaxComment = 64;  // LO (PS3.7 Annex C, (0000,0902))

constexpr std::array kTable{
    Status{kSuccess, "success", "Stored durably, or stored before with the same bytes.",
           "PS3.4 Table B.2-1"},
    Status{kProcessingFailure, "processing_failure",
           "Failed for a reason that has no other status.", "PS3.7 Annex C.5.20"},
    Status{kInvalidSopInstance, "invalid_sop_instance",
           "The Affected SOP Instance UID breaks the rules of UIDs.", "PS3.7 Annex C.5.16"},
    Status{kSopClassNotSupported, "sop_class_not_supported",
           "Policy refuses this SOP class although its context was accepted.",
           "PS3.7 Annex C.5.24"},
    Status{kNotAuthorized, "not_authorized", "This peer may not store.", "PS3.7 Annex C.5.17"},
    Status{kDuplicateInvocation, "duplicate_invocation", "The Message ID is in use.",
           "PS3.7 Annex C.5.9"},
    Status{kUnrecognizedOperation, "unrecognized_operation",
           "The service does not have this operation.", "PS3.7 Annex C.5.26"},
    Status{kMistypedArgument, "mistyped_argument",
           "The command is malformed or announces no data set.", "PS3.7 Annex C.5.13"},
    Status{kOutOfResources, "out_of_resources",
           "There is no room now, the instance is larger than allowed, or storage failed: send it "
           "again later.",
           "PS3.4 Table B.2-1"},
    Status{kDataSetMismatch, "data_set_mismatch",
           "SOP Class or SOP Instance UID of the data set are not those of the command.",
           "PS3.4 Table B.2-1"},
    Status{kCannotUnderstand, "cannot_understand",
           "The data set cannot be read in the negotiated transfer syntax.", "PS3.4 Table B.2-1"},
    Status{kMissingUid, "missing_uid", "An identifying UID is missing or empty.",
           "PS3.4 Table B.2-1"},
    Status{kInvalidUid, "invalid_uid", "An identifying UID breaks the rules of UIDs.",
           "PS3.4 Table B.2-1"},
};

struct Mapping {
  std::string_view error_code;
  std::uint16_t status;
  std::string_view comment;
};

constexpr std::array kMappings{
    Mapping{"dicom.unreadable", kCannotUnderstand, "Data set is not readable"},
    Mapping{"dicom.truncated", kCannotUnderstand, "Data set is truncated"},
    Mapping{"dicom.too_deep", kCannotUnderstand, "Sequences nested too deep"},
    Mapping{"dicom.too_many_elements", kCannotUnderstand, "Too many elements"},
    Mapping{"dicom.inflate_bomb", kCannotUnderstand, "Data set inflates too far"},
    // A limit of ours, which a person can raise: the sender is to keep its image, not to drop it.
    Mapping{"dicom.instance_too_large", kOutOfResources, "Larger than the limit here"},
    Mapping{"dicom.missing_uid", kMissingUid, "An identifying UID is missing"},
    Mapping{"dicom.invalid_uid", kInvalidUid, "An identifying UID is invalid"},
    Mapping{"dicom.mismatch", kDataSetMismatch, "UIDs differ from the command"},
    Mapping{"dicom.invalid_sop_instance", kInvalidSopInstance, "Invalid SOP Instance UID"},
    Mapping{"dicom.sop_class_not_supported", kSopClassNotSupported, "SOP class not accepted"},
    Mapping{"dicom.not_authorized", kNotAuthorized, "Not authorized to store"},
};

Mapping mapping_of(const Error& error) {
  if (error.code == "spool.full")
    return {error.code, kOutOfResources, "No space, send again later"};
  if (error.fate != Fate::permanent) {
    return {error.code, kOutOfResources, "Cannot store now, send later"};
  }
  const auto found =
      std::find_if(kMappings.begin(), kMappings.end(),
                   [&error](const Mapping& mapping) { return mapping.error_code == error.code; });
  if (found != kMappings.end()) return *found;
  return {error.code, kProcessingFailure, "Processing failure"};
}

}  // namespace

std::span<const Status> status_table() {
  return kTable;
}

const Status* find_status(std::uint16_t code) {
  const auto found = std::find_if(kTable.begin(), kTable.end(),
                                  [code](const Status& status) { return status.code == code; });
  return found == kTable.end() ? nullptr : &*found;
}

StoreStatus store_status_of(const Error& error, std::string_view correlation_id) {
  const Mapping mapping = mapping_of(error);
  StoreStatus answer{.code = mapping.status, .error_comment = std::string(mapping.comment)};
  // The id is what an operator searches for: it is whole, or it is not there.
  const std::string with_id = fmt::format("{} ({})", mapping.comment, correlation_id);
  if (!correlation_id.empty() && with_id.size() <= kMaxComment) answer.error_comment = with_id;
  return answer;
}

}  // namespace isthmus::dicom
