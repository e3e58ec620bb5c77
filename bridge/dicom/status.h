// DIMSE status codes of C-STORE and C-ECHO, and the one place that turns an Error into one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace isthmus::dicom {

struct Status {
  std::uint16_t code = 0;
  std::string_view name;     // "out_of_resources": for logs and metrics
  std::string_view meaning;  // when it is given
  std::string_view source;   // part and section
};

// Every status a receiver of ours answers (standards/01-storage-scp.md section 2.2), by code.
std::span<const Status> status_table();
// Null when it is none of ours.
const Status* find_status(std::uint16_t code);

constexpr std::uint16_t kSuccess = 0x0000;
constexpr std::uint16_t kProcessingFailure = 0x0110;
constexpr std::uint16_t kDuplicateInvocation = 0x0210;
constexpr std::uint16_t kUnrecognizedOperation = 0x0211;
constexpr std::uint16_t kMistypedArgument = 0x0212;
constexpr std::uint16_t kInvalidSopInstance = 0x0117;
constexpr std::uint16_t kSopClassNotSupported = 0x0122;
constexpr std::uint16_t kNotAuthorized = 0x0124;
constexpr std::uint16_t kOutOfResources = 0xA700;
constexpr std::uint16_t kDataSetMismatch = 0xA900;
constexpr std::uint16_t kCannotUnderstand = 0xC000;  // not a data set in the negotiated syntax
constexpr std::uint16_t kMissingUid = 0xC001;        // ours: an identifying UID is missing or empty
constexpr std::uint16_t kInvalidUid = 0xC002;        // ours: an identifying UID breaks PS3.5 9.1

struct StoreStatus {
  std::uint16_t code = kSuccess;
  std::string
      error_comment;  // (0000,0902): at most 64 characters of ASCII, never from the data set
};

// What a C-STORE is answered when storing failed with `error`. Everything transient or fatal is
// "out of resources", because modalities drop an image at Cxxx and A9xx and send it again at A7xx;
// permanent errors by their code: dicom.unreadable, .truncated, .too_deep, .too_many_elements,
// .inflate_bomb, .missing_uid, .invalid_uid, .mismatch (the data set is not what the command
// announced), .invalid_sop_instance (the UID in the command), .sop_class_not_supported,
// .not_authorized; .instance_too_large is "out of resources" too, for no image may be dropped by
// its sender because of a limit of ours; any other is a processing failure. `correlation_id` (ours;
// may be empty) ends the comment.
StoreStatus store_status_of(const Error& error, std::string_view correlation_id);

}  // namespace isthmus::dicom
