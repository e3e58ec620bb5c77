// What may come after the A-ASSOCIATE-AC: PDUs and the fragments (PDVs) in them, and the order in
// which fragments make messages. Pure state machines; their verdict does not depend on how the
// bytes arrived.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <variant>

#include "base/bytes.h"
#include "dimse/guard/associate.h"

namespace isthmus::dimse {

// Presentation contexts that were accepted, by id.
using AcceptedContexts = std::array<bool, 256>;

// Decides on the header of a PDU of an established association, before anything is read or
// allocated for its content. Data, release and abort may come (PS3.8 section 9.2, Sta6).
std::optional<Refusal> examine_header(const PduHeader& header, std::uint32_t max_pdu_bytes);

// One fragment as it stands in a PDU, or a part of one (PS3.8 annex E.2; guard/pdu_stream.h).
struct Fragment {
  std::uint8_t context_id = 0;
  bool is_command = false;
  bool is_last = false;
  ByteSpan bytes;
};

constexpr std::size_t kMaxCommandBytes = 64 * KiB;

// Puts fragments together: a command set, bounded and checked to be flat, then its data set if it
// announces one. One message after the other, each in one context (PS3.7 section 9.1, PS3.8 annex
// E).
class MessageAssembler {
 public:
  enum class Event {
    more,              // nothing is complete
    command_complete,  // command() holds a whole, flat command set
    data,              // the fragment's bytes belong to the data set
    data_complete,     // and they were the last of it
  };

  std::variant<Event, Refusal> feed(const Fragment& fragment);
  // Of the message under way, valid until the next one's first fragment.
  ByteSpan command() const { return command_; }
  std::uint8_t context_id() const { return context_id_; }
  bool has_dataset() const { return has_dataset_; }
  // No message under way: waiting here is idling.
  bool between_messages() const { return state_ == State::idle; }

 private:
  enum class State { idle, command, dataset };

  std::variant<Event, Refusal> feed_command(const Fragment& fragment);

  State state_ = State::idle;
  Bytes command_;
  std::uint8_t context_id_ = 0;
  bool has_dataset_ = false;
};

// What has to be true of a command set before DCMTK's recursive parser may see it (PS3.7
// section 6.3.1: Implicit VR Little Endian): elements of group 0000 alone, none twice, each of a
// length that is there, no sequences, at most kMaxCommandElements.
struct CommandShape {
  bool has_dataset = false;  // (0000,0800) is there and is not 0101H
};
constexpr std::size_t kMaxCommandElements =
    64;  // PS3.7 annex E knows about 40, retired ones included
std::variant<CommandShape, Refusal> examine_command_set(ByteSpan command);

}  // namespace isthmus::dimse
