#include "dimse/session/command.h"

#include "dimse/session/command_writer.h"

namespace isthmus::dimse {
namespace {

// Elements of group 0000, PS3.7 annex E.1.
constexpr std::uint16_t kAffectedSopClassUid = 0x0002;
constexpr std::uint16_t kRequestedSopClassUid = 0x0003;
constexpr std::uint16_t kCommandField = 0x0100;
constexpr std::uint16_t kMessageId = 0x0110;
constexpr std::uint16_t kMessageIdBeingRespondedTo = 0x0120;
constexpr std::uint16_t kCommandDataSetType = 0x0800;
constexpr std::uint16_t kStatus = 0x0900;
constexpr std::uint16_t kOffendingElement = 0x0901;
constexpr std::uint16_t kErrorComment = 0x0902;
constexpr std::uint16_t kAffectedSopInstanceUid = 0x1000;
constexpr std::uint16_t kRequestedSopInstanceUid = 0x1001;
constexpr std::uint16_t kActionTypeId = 0x1008;

constexpr std::uint16_t kNoDataSet = 0x0101;
constexpr std::size_t kElementHeaderBytes = 8;  // group, element, 32-bit length

std::uint32_t little_endian(ByteSpan bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = bytes.size(); i > 0; --i) {
    value = (value << 8) | static_cast<std::uint32_t>(bytes[i - 1]);
  }
  return value;
}

// The elements of a set that is flat and whole, found by walking it: a set has a dozen.
class Elements {
 public:
  explicit Elements(ByteSpan command_set) : all_(command_set) {}

  // Nothing when there is no such element.
  std::optional<ByteSpan> find(std::uint16_t element) const {
    for (ByteSpan rest = all_; rest.size() >= kElementHeaderBytes;) {
      const std::uint32_t found = little_endian(rest.subspan(2, 2));
      const std::size_t length = little_endian(rest.subspan(4, 4));
      rest = rest.subspan(kElementHeaderBytes);
      if (length > rest.size()) return std::nullopt;
      if (found == element) return rest.first(length);
      rest = rest.subspan(length);
    }
    return std::nullopt;
  }
  // The first of several; nothing when the value is too short for one.
  std::optional<std::uint16_t> number(std::uint16_t element) const {
    const auto value = find(element);
    if (!value || value->size() < 2) return std::nullopt;
    return static_cast<std::uint16_t>(little_endian(value->first(2)));
  }
  // All components: a backslash makes a UID invalid, it must not hide the rest.
  std::string text(std::uint16_t element) const {
    std::string_view value = as_text(find(element).value_or(ByteSpan()));
    while (!value.empty() && (value.back() == '\0' || value.back() == ' ')) value.remove_suffix(1);
    return std::string(value);
  }

 private:
  const ByteSpan all_;
};

}  // namespace

Result<Command> parse_command(ByteSpan command_set) {
  const Elements elements(command_set);
  const auto malformed = [] {
    return permanent_error("dimse.malformed_command",
                           "A command set lacks its Command Field or Message ID.");
  };
  const auto field = elements.number(kCommandField);
  if (!field) return malformed();
  Command command;
  command.field = *field;
  // Responses and C-CANCEL say which message they are about instead.
  const bool has_message_id =
      (command.field & kResponseBit) == 0 && command.field != kCCancelRequest;
  const auto message_id = elements.number(kMessageId);
  if (has_message_id && !message_id) return malformed();
  if (has_message_id) command.message_id = *message_id;
  command.affected_sop_class_uid = elements.text(kAffectedSopClassUid);
  if (command.affected_sop_class_uid.empty()) {
    command.affected_sop_class_uid = elements.text(kRequestedSopClassUid);
  }
  command.affected_sop_instance_uid = elements.text(
      elements.find(kAffectedSopInstanceUid) ? kAffectedSopInstanceUid : kRequestedSopInstanceUid);
  command.action_type_id = elements.number(kActionTypeId);
  command.status = elements.number(kStatus);
  command.message_id_responded_to = elements.number(kMessageIdBeingRespondedTo).value_or(0);
  return command;
}

Bytes encode_response(const Response& response) {
  CommandWriter elements;
  if (!response.affected_sop_class_uid.empty()) {
    elements.uid(kAffectedSopClassUid, response.affected_sop_class_uid);
  }
  elements.number(kCommandField, static_cast<std::uint16_t>(response.field | kResponseBit));
  elements.number(kMessageIdBeingRespondedTo, response.message_id);
  elements.number(kCommandDataSetType, kNoDataSet);
  elements.number(kStatus, response.status);
  if (response.offending_element) elements.tag(kOffendingElement, *response.offending_element);
  if (!response.error_comment.empty()) elements.text(kErrorComment, response.error_comment);
  // UIDs come back as the peer wrote them.
  if (!response.affected_sop_instance_uid.empty()) {
    elements.uid(kAffectedSopInstanceUid, response.affected_sop_instance_uid);
  }
  if (response.action_type_id) elements.number(kActionTypeId, *response.action_type_id);
  return elements.take();
}

}  // namespace isthmus::dimse
