#include "dimse/guard/pdata.h"

#include <algorithm>

namespace isthmus::dimse {
namespace {

std::uint32_t little_endian(ByteSpan bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = bytes.size(); i > 0; --i) {
    value = (value << 8) | static_cast<std::uint32_t>(bytes[i - 1]);
  }
  return value;
}

constexpr std::uint32_t kDataSetType = 0x0800;  // (0000,0800) CommandDataSetType
constexpr std::uint32_t kNoDataSet = 0x0101;    // PS3.7 section 9.3.1
constexpr std::size_t kElementHeaderBytes = 8;  // group, element, 32-bit length

}  // namespace

std::optional<Refusal> examine_header(const PduHeader& header, std::uint32_t max_pdu_bytes) {
  switch (static_cast<PduType>(header.type)) {
    case PduType::data:
      if (header.length_bytes < kPduHeaderBytes) {
        return abort_with(AbortReason::invalid_parameter, "pdu_length");
      }
      if (header.length_bytes > max_pdu_bytes) {
        return abort_with(AbortReason::invalid_parameter, "pdu_length");
      }
      return std::nullopt;
    case PduType::release_rq:
    case PduType::abort:
      if (header.length_bytes != 4) {
        return abort_with(AbortReason::invalid_parameter, "pdu_length");
      }
      return std::nullopt;
    case PduType::associate_rq:
    case PduType::associate_ac:
    case PduType::associate_rj:
    case PduType::release_rp:
      return abort_with(AbortReason::unexpected_pdu, "unexpected_pdu");
  }
  return abort_with(AbortReason::unrecognized_pdu, "unrecognized_pdu");
}

std::variant<MessageAssembler::Event, Refusal> MessageAssembler::feed(const Fragment& fragment) {
  if (state_ != State::idle && fragment.context_id != context_id_) {
    return abort_with(AbortReason::unexpected_parameter, "context_changed");
  }
  if (state_ != State::dataset) return feed_command(fragment);
  if (fragment.is_command) {
    return abort_with(AbortReason::unexpected_parameter, "command_in_dataset");
  }
  if (!fragment.is_last) return Event::data;
  state_ = State::idle;
  return Event::data_complete;
}

std::variant<MessageAssembler::Event, Refusal> MessageAssembler::feed_command(
    const Fragment& fragment) {
  if (!fragment.is_command) {
    return abort_with(AbortReason::unexpected_parameter, "dataset_without_command");
  }
  if (state_ == State::idle) {
    command_.clear();
    context_id_ = fragment.context_id;
    state_ = State::command;
  }
  if (fragment.bytes.size() > kMaxCommandBytes - command_.size()) {
    return abort_with(AbortReason::invalid_parameter, "command_length");
  }
  command_.insert(command_.end(), fragment.bytes.begin(), fragment.bytes.end());
  if (!fragment.is_last) return Event::more;
  const auto shape = examine_command_set(command_);
  if (const auto* refusal = std::get_if<Refusal>(&shape)) return *refusal;
  has_dataset_ = std::get<CommandShape>(shape).has_dataset;
  state_ = has_dataset_ ? State::dataset : State::idle;
  return Event::command_complete;
}

std::variant<CommandShape, Refusal> examine_command_set(ByteSpan command) {
  const auto malformed = [] { return abort_with(AbortReason::invalid_parameter, "command_set"); };
  CommandShape shape;
  // Ascending order is required of senders, but nothing here depends on it: some do not keep to it.
  std::array<std::uint32_t, kMaxCommandElements> seen{};
  std::size_t elements = 0;
  while (!command.empty()) {
    if (command.size() < kElementHeaderBytes) return malformed();
    const std::uint32_t group = little_endian(command.first(2));
    const std::uint32_t element = little_endian(command.subspan(2, 2));
    const std::uint32_t length = little_endian(command.subspan(4, 4));
    command = command.subspan(kElementHeaderBytes);
    // An undefined length, which only a sequence has, is longer than anything as well.
    if (group != 0 || length > command.size()) return malformed();
    const auto known = std::span(seen).first(elements);
    const bool doubled = std::find(known.begin(), known.end(), element) != known.end();
    if (doubled || elements == seen.size()) return malformed();
    seen[elements++] = element;
    if (element == kDataSetType) {
      if (length != 2) return malformed();
      shape.has_dataset = little_endian(command.first(2)) != kNoDataSet;
    }
    command = command.subspan(length);
  }
  if (elements == 0) return malformed();
  return shape;
}

}  // namespace isthmus::dimse
