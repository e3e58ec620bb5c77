#include "dimse/commitment/event_report.h"

#include "dicom/failure_reason.h"
#include "dimse/session/command_writer.h"

namespace isthmus::dimse {
namespace {

constexpr std::uint16_t kAllCommitted = 1;
constexpr std::uint16_t kFailuresExist = 2;
constexpr std::uint16_t kDataSetFollows = 0x0001;  // anything but 0101H

// Elements in Little Endian. Lengths of sequences and items are put in when they are known.
class Writer {
 public:
  explicit Writer(bool implicit_vr) : implicit_vr_(implicit_vr) {}

  void uid(std::uint32_t tag, std::string_view value) {
    const std::size_t length = value.size() + value.size() % 2;
    short_head(tag, "UI", length);
    const ByteSpan bytes = as_bytes(value);
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    if (length > value.size()) bytes_.push_back(std::byte{0});
  }
  void number(std::uint32_t tag, std::uint16_t value) {
    short_head(tag, "US", 2);
    u16(value);
  }
  // Gives the mark that end() wants.
  std::size_t begin_sequence(std::uint32_t tag) {
    tag_of(tag);
    if (!implicit_vr_) {
      vr("SQ");
      u16(0);
    }
    u32(0);
    return bytes_.size();
  }
  std::size_t begin_item() {
    tag_of(0xFFFEE000);
    u32(0);
    return bytes_.size();
  }
  void end(std::size_t mark) {
    const auto length = static_cast<std::uint32_t>(bytes_.size() - mark);
    for (std::size_t i = 0; i < 4; ++i) {
      bytes_[mark - 4 + i] = static_cast<std::byte>((length >> (8 * i)) & 0xff);
    }
  }
  Bytes take() { return std::move(bytes_); }

 private:
  void u16(std::size_t value) {
    bytes_.push_back(static_cast<std::byte>(value & 0xff));
    bytes_.push_back(static_cast<std::byte>((value >> 8) & 0xff));
  }
  void u32(std::size_t value) {
    u16(value & 0xffff);
    u16(value >> 16);
  }
  void tag_of(std::uint32_t tag) {
    u16(tag >> 16);
    u16(tag & 0xffff);
  }
  void vr(std::string_view name) {
    bytes_.push_back(static_cast<std::byte>(name[0]));
    bytes_.push_back(static_cast<std::byte>(name[1]));
  }
  void short_head(std::uint32_t tag, std::string_view name, std::size_t length) {
    tag_of(tag);
    if (implicit_vr_) {
      u32(length);
    } else {
      vr(name);
      u16(length);
    }
  }

  const bool implicit_vr_;
  Bytes bytes_;
};

Bytes make_command(std::uint16_t message_id, std::uint16_t event_type) {
  CommandWriter elements;
  elements.uid(0x0002, kCommitmentClass);
  elements.number(0x0100, kEventReportRequest);
  elements.number(0x0110, message_id);
  elements.number(0x0800, kDataSetFollows);
  elements.uid(0x1000, kCommitmentInstance);
  elements.number(0x1002, event_type);
  return elements.take();
}

// One of the two sequences, its items as they come from the ledger: a list is never held besides
// the bytes that are sent.
Result<std::int64_t> write_list(Commitments& commitments, const Commitment& commitment, bool failed,
                                Writer& writer) {
  const std::size_t sequence = writer.begin_sequence(failed ? 0x00081198 : 0x00081199);
  std::int64_t written = 0;
  TRY(commitments.each_result(commitment.id, [&](const CommitmentResult& result) {
    if ((result.reason != FailureReason::none) != failed) return;
    const std::size_t item = writer.begin_item();
    writer.uid(0x00081150, result.sop_class_uid);
    writer.uid(0x00081155, result.sop_instance_uid);
    if (failed) writer.number(0x00081197, dicom::failure_reason_of(result));
    writer.end(item);
    ++written;
  }));
  writer.end(sequence);
  return written;
}

}  // namespace

Result<EventReport> make_event_report(Commitments& commitments, const Commitment& commitment,
                                      std::uint16_t message_id, bool implicit_vr) {
  Writer writer(implicit_vr);
  writer.uid(0x00081195, commitment.transaction_uid.text());
  std::int64_t written = 0;
  if (commitment.failed > 0) {
    TRY_ASSIGN(written, write_list(commitments, commitment, true, writer));
  }
  if (commitment.failed < commitment.references) {
    TRY_ASSIGN(const std::int64_t committed, write_list(commitments, commitment, false, writer));
    written += committed;
  }
  if (written != commitment.references) {
    // Somebody ordered it anew since it was read: it will be due again.
    return transient_error("report.moved", "The request changed while its report was written.");
  }
  EventReport report;
  report.command =
      make_command(message_id, commitment.failed == 0 ? kAllCommitted : kFailuresExist);
  report.dataset = writer.take();
  return report;
}

}  // namespace isthmus::dimse
