#include "dimse/guard/pdu_stream.h"

#include <algorithm>
#include <utility>

#include "dimse/guard/cursor.h"

namespace isthmus::dimse {
namespace {

constexpr std::uint32_t kPdvLengthBytes = 4;
constexpr std::uint32_t kPdvHeaderBytes = 2;  // context and message control, of the length
constexpr unsigned kCommandBit = 1;           // of message control (PS3.8 annex E.2)
constexpr unsigned kLastBit = 2;

}  // namespace

PduStream::Item PduStream::next(ByteSpan& bytes) {
  if (pdu_left_ == 0) {
    if (auto item = begin_pdu(bytes)) return *item;
  }
  if (pdu_type_ != static_cast<std::uint8_t>(PduType::data)) {
    if (bytes.size() < pdu_left_) return NeedMore{};
    bytes = bytes.subspan(std::exchange(pdu_left_, 0));
    if (pdu_type_ == static_cast<std::uint8_t>(PduType::release_rq)) return Release{};
    return Abort{};
  }
  if (!in_pdv_) {
    if (auto item = begin_pdv(bytes)) return *item;
  }
  return take_content(bytes);
}

// Nothing when it began.
std::optional<PduStream::Item> PduStream::begin_pdu(ByteSpan& bytes) {
  if (bytes.size() < kPduHeaderBytes) return NeedMore{};
  const PduHeader header = read_pdu_header(bytes.first(kPduHeaderBytes));
  if (const auto refusal = examine_header(header, max_pdu_bytes_)) return *refusal;
  bytes = bytes.subspan(kPduHeaderBytes);
  pdu_type_ = header.type;
  pdu_left_ = header.length_bytes;
  return std::nullopt;
}

std::optional<PduStream::Item> PduStream::begin_pdv(ByteSpan& bytes) {
  // Fewer bytes than a header takes: refused before they come, for they cannot become one.
  constexpr std::uint32_t kWhole = kPdvLengthBytes + kPdvHeaderBytes;
  if (pdu_left_ < kWhole) return abort_with(AbortReason::invalid_parameter, "pdv_length");
  if (bytes.size() < kWhole) return NeedMore{};
  Cursor cursor(bytes.first(kWhole));
  const std::uint32_t length = *cursor.u32();
  if (length < kPdvHeaderBytes || length > pdu_left_ - kPdvLengthBytes) {
    return abort_with(AbortReason::invalid_parameter, "pdv_length");
  }
  pdv_.context_id = *cursor.u8();
  if (!accepted_[pdv_.context_id]) {
    return abort_with(AbortReason::invalid_parameter, "context_not_accepted");
  }
  const std::uint8_t control = *cursor.u8();
  pdv_.is_command = (control & kCommandBit) != 0;
  pdv_.is_last = (control & kLastBit) != 0;
  bytes = bytes.subspan(kWhole);
  pdu_left_ -= kWhole;
  pdv_left_ = length - kPdvHeaderBytes;
  in_pdv_ = true;
  return std::nullopt;
}

PduStream::Item PduStream::take_content(ByteSpan& bytes) {
  if (bytes.empty() && pdv_left_ > 0) return NeedMore{};
  Fragment part = pdv_;
  part.bytes = bytes.first(std::min<std::size_t>(bytes.size(), pdv_left_));
  bytes = bytes.subspan(part.bytes.size());
  pdv_left_ -= static_cast<std::uint32_t>(part.bytes.size());
  pdu_left_ -= static_cast<std::uint32_t>(part.bytes.size());
  in_pdv_ = pdv_left_ > 0;
  part.is_last = pdv_.is_last && !in_pdv_;
  return part;
}

}  // namespace isthmus::dimse
