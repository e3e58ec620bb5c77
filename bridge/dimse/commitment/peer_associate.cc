#include "dimse/commitment/peer_associate.h"

#include <algorithm>

#include "dicom/part10.h"
#include "dimse/commitment/event_report.h"
#include "dimse/guard/cursor.h"

namespace isthmus::dimse {
namespace {

constexpr std::string_view kApplicationContext = "1.2.840.10008.3.1.1.1";  // PS3.7 A.2.1
constexpr std::string_view kImplicitLittleEndian = "1.2.840.10008.1.2";
constexpr std::string_view kExplicitLittleEndian = "1.2.840.10008.1.2.1";
constexpr std::size_t kFixedBytes = 68;        // PS3.8 table 9-17
constexpr std::size_t kPdvHeaderBytes = 6;     // length, context id, message control header
constexpr std::uint32_t kLargestPdu = 131072;  // more brings nothing
constexpr std::uint32_t kSmallestPdu = 128;    // less than this is nobody's real limit

class Writer {
 public:
  void u8(std::size_t value) { bytes_.push_back(static_cast<std::byte>(value & 0xff)); }
  void u16(std::size_t value) {
    u8(value >> 8);
    u8(value);
  }
  void u32(std::size_t value) {
    u16(value >> 16);
    u16(value & 0xffff);
  }
  void text(std::string_view value) { append(isthmus::as_bytes(value)); }
  void append(ByteSpan bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void item(std::uint8_t type, ByteSpan content) {
    u8(type);
    u8(0);
    u16(content.size());
    append(content);
  }
  void item(std::uint8_t type, std::string_view content) { item(type, isthmus::as_bytes(content)); }
  Bytes take() { return std::move(bytes_); }
  const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
};

std::string padded_title(std::string title) {
  title.resize(16, ' ');
  return title;
}

std::string_view trimmed(ByteSpan bytes) {
  std::string_view text = as_text(bytes);
  while (!text.empty() && (text.back() == '\0' || text.back() == ' ')) text.remove_suffix(1);
  return text;
}

Bytes user_information(std::uint32_t max_pdu_bytes) {
  Writer maximum;
  maximum.u32(max_pdu_bytes);
  Writer role;
  role.u16(kCommitmentClass.size());
  role.text(kCommitmentClass);
  role.u8(0);  // SCU role: no
  role.u8(1);  // SCP role: yes
  Writer user;
  user.item(0x51, maximum.bytes());
  user.item(0x52, dicom::implementation_class_uid());
  user.item(0x54, role.bytes());
  user.item(0x55, dicom::implementation_version_name());
  return user.take();
}

// Walks type, reserved, 16-bit length, content. False when the bytes do not add up.
template <typename Visit>
bool each_item(ByteSpan bytes, Visit visit) {
  Cursor cursor(bytes);
  while (!cursor.at_end()) {
    const auto type = cursor.u8();
    cursor.skip(1);
    const auto length = cursor.u16();
    const auto content = cursor.take(length.value_or(0));
    if (!type || !length || !content || !visit(*type, *content)) return false;
  }
  return true;
}

bool read_context(ByteSpan content, ReportAcceptance& acceptance) {
  Cursor cursor(content);
  const auto id = cursor.u8();
  cursor.skip(1);
  const auto result = cursor.u8();
  if (!id || !result || !cursor.skip(1)) return false;
  if (*id != kReportContext || *result != 0) return true;
  return each_item(*cursor.take(cursor.left()), [&](std::uint8_t type, ByteSpan inner) {
    if (type != 0x40) return true;
    const std::string_view syntax = trimmed(inner);
    if (syntax == kImplicitLittleEndian) acceptance.implicit_vr = true;
    if (syntax == kExplicitLittleEndian) acceptance.implicit_vr = false;
    return true;
  });
}

bool read_user_item(std::uint8_t type, ByteSpan content, ReportAcceptance& acceptance) {
  Cursor cursor(content);
  if (type == 0x51) {
    const auto maximum = cursor.u32();
    if (!maximum) return false;
    acceptance.peer_max_pdu_bytes = *maximum;
  } else if (type == 0x54) {
    const auto name = cursor.take(cursor.u16().value_or(0));
    const auto scu = cursor.u8();
    const auto scp = cursor.u8();
    if (!name || !scu || !scp) return false;
    if (trimmed(*name) == kCommitmentClass) acceptance.scp_role = *scp == 1;
  }
  return true;
}

}  // namespace

Bytes encode_report_request(const std::string& called_ae_title, const std::string& calling_ae_title,
                            std::uint32_t max_pdu_bytes) {
  Writer context;
  context.u8(kReportContext);
  context.u8(0);
  context.u16(0);
  context.item(0x30, kCommitmentClass);
  context.item(0x40, kExplicitLittleEndian);
  context.item(0x40, kImplicitLittleEndian);
  Writer body;
  body.u16(1);  // protocol version
  body.u16(0);
  body.text(padded_title(called_ae_title));
  body.text(padded_title(calling_ae_title));
  body.text(std::string(32, '\0'));
  body.item(0x10, kApplicationContext);
  body.item(0x20, context.bytes());
  body.item(0x50, user_information(max_pdu_bytes));
  Writer pdu;
  pdu.u8(static_cast<std::uint8_t>(PduType::associate_rq));
  pdu.u8(0);
  pdu.u32(body.bytes().size());
  pdu.append(body.bytes());
  return pdu.take();
}

std::optional<ReportAcceptance> examine_report_acceptance(ByteSpan pdu) {
  Cursor cursor(pdu);
  // AE titles in it are to be ignored (PS3.8 table 9-17).
  if (!cursor.skip(kPduHeaderBytes + kFixedBytes)) return std::nullopt;
  ReportAcceptance acceptance;
  const bool sound = each_item(*cursor.take(cursor.left()), [&](std::uint8_t type, ByteSpan item) {
    if (type == 0x21) return read_context(item, acceptance);
    if (type != 0x50) return true;
    return each_item(item, [&](std::uint8_t inner, ByteSpan content) {
      return read_user_item(inner, content, acceptance);
    });
  });
  if (!sound) return std::nullopt;
  return acceptance;
}

Bytes encode_data_pdus(ByteSpan content, std::uint8_t context_id, bool is_command,
                       std::uint32_t peer_max_pdu_bytes) {
  const std::uint32_t limit = peer_max_pdu_bytes == 0
                                  ? kLargestPdu
                                  : std::clamp(peer_max_pdu_bytes, kSmallestPdu, kLargestPdu);
  const std::size_t room = limit - kPdvHeaderBytes;
  Writer pdus;
  do {
    const ByteSpan part = content.first(std::min(room, content.size()));
    content = content.subspan(part.size());
    pdus.u8(static_cast<std::uint8_t>(PduType::data));
    pdus.u8(0);
    pdus.u32(part.size() + kPdvHeaderBytes);
    pdus.u32(part.size() + 2);
    pdus.u8(context_id);
    pdus.u8((is_command ? 1U : 0U) | (content.empty() ? 2U : 0U));
    pdus.append(part);
  } while (!content.empty());
  return pdus.take();
}

}  // namespace isthmus::dimse
