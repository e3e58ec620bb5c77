#include "tls/client_hello.h"

#include <array>

namespace isthmus::tls {
namespace {

constexpr std::byte kHandshakeRecord{22};  // RFC 8446 section 5.1
constexpr std::byte kMajorVersion{3};      // … "legacy_record_version": 0x0301 or 0x0303
constexpr std::byte kClientHello{1};       // RFC 8446 section 4
constexpr std::size_t kRecordHeaderBytes = 5;
constexpr std::size_t kMessageHeaderBytes = 4;
constexpr std::size_t kMaxRecordBytes = 16 * KiB;

std::size_t number(ByteSpan bytes) {
  std::size_t value = 0;
  for (const std::byte byte : bytes) value = (value << 8) | std::to_integer<std::size_t>(byte);
  return value;
}

}  // namespace

Hello examine_client_hello(ByteSpan bytes) {
  if (bytes.size() > kMaxClientHelloRecordBytes) {
    bytes = bytes.first(kMaxClientHelloRecordBytes);
  }
  std::array<std::byte, kMessageHeaderBytes> header{};
  std::size_t carried = 0;  // of the message, in the records so far
  for (std::size_t at = 0; at < bytes.size();) {
    if (bytes[at] != kHandshakeRecord) return at == 0 ? Hello::not_tls : Hello::malformed;
    const ByteSpan record = bytes.subspan(at);
    if (record.size() >= 2 && record[1] != kMajorVersion) {
      return at == 0 ? Hello::not_tls : Hello::malformed;
    }
    if (record.size() < kRecordHeaderBytes) break;
    const std::size_t length = number(record.subspan(3, 2));
    if (length == 0 || length > kMaxRecordBytes) return Hello::malformed;
    const ByteSpan content = record.subspan(
        kRecordHeaderBytes, std::min<std::size_t>(length, record.size() - kRecordHeaderBytes));
    for (std::size_t i = 0; i < content.size() && carried + i < header.size(); ++i) {
      header[carried + i] = content[i];
    }
    carried += content.size();
    if (carried > 0 && header[0] != kClientHello) return Hello::malformed;
    if (carried >= kMessageHeaderBytes) {
      const std::size_t announced = number(ByteSpan(header).subspan(1));
      if (announced > kMaxClientHelloBytes) return Hello::malformed;
      if (carried >= kMessageHeaderBytes + announced) return Hello::complete;
    }
    at += kRecordHeaderBytes + content.size();
  }
  return bytes.size() == kMaxClientHelloRecordBytes ? Hello::malformed : Hello::incomplete;
}

bool looks_like_tls(ByteSpan bytes) {
  return bytes.size() >= 2 && bytes[0] == kHandshakeRecord && bytes[1] == kMajorVersion;
}

}  // namespace isthmus::tls
