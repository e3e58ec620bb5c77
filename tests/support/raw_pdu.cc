#include "support/raw_pdu.h"

namespace isthmus::test {
namespace {

std::string big_endian(std::uint32_t value, int bytes) {
  std::string text;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    text.push_back(static_cast<char>((value >> shift) & 0xff));
  }
  return text;
}

std::string little_endian(std::uint32_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
  return text;
}

std::uint32_t little_endian_number(std::string_view bytes) {
  std::uint32_t value = 0;
  for (auto at = bytes.rbegin(); at != bytes.rend(); ++at) {
    value = (value << 8) | static_cast<unsigned char>(*at);
  }
  return value;
}

std::string padded(std::string_view text, std::size_t width) {
  std::string result(text.substr(0, width));
  result.resize(width, ' ');
  return result;
}

}  // namespace

std::string raw_item(int type, std::string_view content) {
  std::string item(1, static_cast<char>(type));
  item.push_back('\0');
  item += big_endian(static_cast<std::uint32_t>(content.size()), 2);
  item += content;
  return item;
}

std::string raw_pdu(int type, std::string_view content) {
  std::string pdu(1, static_cast<char>(type));
  pdu.push_back('\0');
  pdu += big_endian(static_cast<std::uint32_t>(content.size()), 4);
  pdu += content;
  return pdu;
}

std::string raw_associate_rq(const RawAssociate& request) {
  std::string body = big_endian(static_cast<std::uint32_t>(request.version), 2) + std::string(2, 0);
  body += padded(request.called_ae_title, 16) + padded(request.calling_ae_title, 16);
  body += std::string(32, 0);
  if (request.application_context) body += raw_item(0x10, *request.application_context);
  for (const RawContext& context : request.contexts) {
    std::string content(1, static_cast<char>(context.id));
    content += std::string(3, 0);
    content += raw_item(0x30, context.abstract_syntax);
    for (const auto& syntax : context.transfer_syntaxes) content += raw_item(0x40, syntax);
    body += raw_item(0x20, content);
  }
  body += request.more_items;
  std::string user;
  if (request.max_pdu_bytes) user += raw_item(0x51, big_endian(*request.max_pdu_bytes, 4));
  user += raw_item(0x52, "1.2.826.0.1.3680043.10.999.1");
  user += request.more_user_items;
  body += raw_item(0x50, user);
  return raw_pdu(1, body);
}

std::string raw_pdv(int context_id, bool command, bool last, std::string_view content) {
  std::string pdv = big_endian(static_cast<std::uint32_t>(content.size() + 2), 4);
  pdv.push_back(static_cast<char>(context_id));
  pdv.push_back(static_cast<char>((command ? 1 : 0) | (last ? 2 : 0)));
  pdv += content;
  return pdv;
}

std::string raw_data_pdu(int context_id, bool command, bool last, std::string_view content) {
  return raw_pdu(4, raw_pdv(context_id, command, last, content));
}

std::string raw_data_pdu_head(int context_id, bool command, bool last, std::size_t content_bytes) {
  std::string head("\4\0", 2);
  head += big_endian(static_cast<std::uint32_t>(content_bytes + 6), 4);
  head += big_endian(static_cast<std::uint32_t>(content_bytes + 2), 4);
  head.push_back(static_cast<char>(context_id));
  head.push_back(static_cast<char>((command ? 1 : 0) | (last ? 2 : 0)));
  return head;
}

std::string raw_release_rq() {
  return raw_pdu(5, std::string(4, 0));
}

std::string raw_abort() {
  return raw_pdu(7, std::string(4, 0));
}

std::string raw_u16(std::uint16_t value) {
  return little_endian(value, 2);
}

std::string raw_command(const RawCommand& elements) {
  std::string body;
  for (const auto& [element, value] : elements) {
    std::string even = value;
    if (even.size() % 2 != 0) even.push_back('\0');
    body += little_endian(0, 2) + little_endian(element, 2);
    body += little_endian(static_cast<std::uint32_t>(even.size()), 4) + even;
  }
  return std::string(4, 0) + little_endian(4, 4) +
         little_endian(static_cast<std::uint32_t>(body.size()), 4) + body;
}

RawCommand c_echo_command(std::uint16_t message_id) {
  return {{0x0002, std::string(kVerification)},
          {0x0100, raw_u16(0x0030)},
          {0x0110, raw_u16(message_id)},
          {0x0800, raw_u16(0x0101)}};
}

RawCommand c_store_command(std::uint16_t message_id, std::string_view sop_class_uid,
                           std::string_view sop_instance_uid) {
  return {{0x0002, std::string(sop_class_uid)},
          {0x0100, raw_u16(0x0001)},
          {0x0110, raw_u16(message_id)},
          {0x0700, raw_u16(0)},
          {0x0800, raw_u16(0x0000)},
          {0x1000, std::string(sop_instance_uid)}};
}

RawCommand parse_command(std::string_view bytes) {
  RawCommand command;
  while (bytes.size() >= 8) {
    const auto element = static_cast<std::uint16_t>(little_endian_number(bytes.substr(2, 2)));
    const std::uint32_t length = little_endian_number(bytes.substr(4, 4));
    if (length > bytes.size() - 8) break;
    command[element] = std::string(bytes.substr(8, length));
    bytes.remove_prefix(8 + length);
  }
  return command;
}

std::uint16_t raw_number(const RawCommand& command, std::uint16_t element) {
  const auto found = command.find(element);
  if (found == command.end() || found->second.size() != 2) return 0xffff;
  return static_cast<std::uint16_t>(little_endian_number(found->second));
}

}  // namespace isthmus::test
