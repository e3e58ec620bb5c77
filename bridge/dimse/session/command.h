// Command sets as our structs (decision 0018). Bytes that passed examine_command_set() are flat and
// whole; of others, what is there is read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace isthmus::dimse {

// Command Field values, PS3.7 annex E.1.
constexpr std::uint16_t kCStoreRequest = 0x0001;
constexpr std::uint16_t kCEchoRequest = 0x0030;
constexpr std::uint16_t kCCancelRequest = 0x0FFF;
constexpr std::uint16_t kResponseBit = 0x8000;

struct Command {
  std::uint16_t field = 0;
  std::uint16_t message_id = 0;
  std::string affected_sop_class_uid;     // or Requested; as sent, without padding; may be anything
  std::string affected_sop_instance_uid;  // likewise
  std::optional<std::uint16_t> action_type_id;
  // Of responses.
  std::uint16_t message_id_responded_to = 0;
  std::optional<std::uint16_t> status;
};

// "dimse.malformed_command" (permanent) when Command Field or Message ID is missing.
Result<Command> parse_command(ByteSpan command_set);

struct Response {
  std::uint16_t field = 0;  // of the request
  std::uint16_t message_id = 0;
  std::string affected_sop_class_uid;     // empty: left out
  std::string affected_sop_instance_uid;  // empty: left out
  std::optional<std::uint16_t> action_type_id;
  std::uint16_t status = 0;
  std::string error_comment;                       // (0000,0902), empty: left out
  std::optional<std::uint32_t> offending_element;  // (0000,0901), group and element
};

// A command set without data set, Implicit VR Little Endian, with its group length.
Bytes encode_response(const Response& response);

}  // namespace isthmus::dimse
