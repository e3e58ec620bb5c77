#include "dicom/walk/scan.h"

#include <algorithm>
#include <memory>

#include "dicom/walk/inflater.h"

namespace isthmus::dicom {
namespace {

constexpr std::size_t kReadBytes = 256 * KiB;
constexpr std::size_t kMaxOffsetTableBytes = 4 * MiB;  // a million frames
constexpr Tag kExtendedOffsetTable = 0x7FE00001;
constexpr Tag kExtendedOffsetTableLengths = 0x7FE00002;

// How JPEG, JPEG-LS, JPEG 2000, HTJ2K and JPEG XL begin: with their start-of-image or
// start-of-code-stream marker, or with a box whose type JP2 and JXL files have first.
bool begins_code_stream(std::string_view bytes) {
  return bytes.starts_with("\xFF\xD8") || bytes.starts_with("\xFF\x4F") ||
         bytes.starts_with("\xFF\x0A") ||
         (bytes.size() >= 8 && (bytes.substr(4, 4) == "jP  " || bytes.substr(4, 4) == "JXL "));
}

bool is_pixel_data(Tag tag) {
  return tag == kPixelData || tag == kFloatPixelData || tag == kDoubleFloatPixelData;
}

}  // namespace

WalkVisitor::Wish ScanVisitor::element(const ElementHead& head) {
  if (head.fragment) return fragment(head);
  if (head.top_level()) note_top_level(head);
  const bool extended = head.top_level() && (head.tag == kExtendedOffsetTable ||
                                             head.tag == kExtendedOffsetTableLengths);
  return {.keep_bytes = extended ? 2 * kMaxOffsetTableBytes : 0};
}

void ScanVisitor::value(const ElementHead& head, std::string_view bytes) {
  if (!head.fragment) {
    (head.tag == kExtendedOffsetTable ? tables_.extended_offsets : tables_.extended_lengths) =
        bytes;
  } else if (tables_.fragments.empty()) {
    table_ = bytes;
  } else {
    tables_.fragments.back().begins_code_stream = begins_code_stream(bytes);
  }
}

void ScanVisitor::note_top_level(const ElementHead& head) {
  if (open_omission_) omissions_.back().end = head.offset;
  open_omission_ = false;
  const bool undefined = head.length == kUndefinedLength;
  const bool fragments = undefined && !head.opens_sequence;
  in_pixel_data_ = fragments && head.tag == kPixelData;
  if (is_pixel_data(head.tag)) {
    report_.has_pixel_data = true;
    report_.pixel_data_offset = head.offset;
  }
  const bool too_long = !undefined && !head.opens_sequence && head.length > omit_above_;
  if (!is_pixel_data(head.tag) && !too_long) return;
  omissions_.push_back({.tag = head.tag,
                        .vr = head.vr[0] == '\0' ? std::string() : std::string(head.vr.data(), 2),
                        .begin = head.offset,
                        .value_begin = head.value_offset,
                        .end = undefined ? head.value_offset : head.value_offset + head.length,
                        .encapsulated = fragments});
  open_omission_ = undefined;
}

WalkVisitor::Wish ScanVisitor::fragment(const ElementHead& head) {
  // Fragments of icons in sequences are nested deeper than those of the image itself.
  if (!in_pixel_data_ || head.nesting != 1) return {};
  if (!first_fragment_) {  // the first item is the offset table, empty or not
    has_table_ = true;
    first_fragment_ = head.value_offset + head.length;
    return {.keep_bytes = kMaxOffsetTableBytes};
  }
  ++report_.fragments;
  starts_.push_back(head.offset - *first_fragment_);
  tables_.fragments.push_back({head.offset, head.length, false});
  return {.keep_bytes = 12};
}

ScanReport ScanVisitor::report(const Walker& walker) {
  report_.elements = walker.elements();
  report_.deepest_nesting = walker.deepest_nesting();
  report_.padding_bytes = walker.padding_bytes();
  report_.dataset_bytes = walker.position() - walker.padding_bytes();
  report_.offset_table_valid = offset_table_valid();
  if (!report_.offset_table_valid) tables_.basic_offsets.clear();
  if (open_omission_) omissions_.back().end = report_.dataset_bytes;
  open_omission_ = false;
  return report_;
}

// Ascending, from zero, each at the start of a fragment's item.
bool ScanVisitor::offset_table_valid() {
  if (!has_table_) return !in_pixel_data_;
  if (table_.size() % 4 != 0) return false;
  auto next = starts_.begin();
  for (std::size_t at = 0; at < table_.size(); at += 4) {
    std::uint64_t offset = 0;
    for (std::size_t i = 4; i-- > 0;) {
      offset = offset << 8 | static_cast<unsigned char>(table_[at + i]);
    }
    if (at == 0 && offset != 0) return false;
    next = std::lower_bound(next, starts_.end(), offset);
    if (next == starts_.end() || *next != offset) return false;
    ++next;
    ++report_.frames_in_offset_table;
    tables_.basic_offsets.push_back(offset);
  }
  return true;
}

Result<void> read_through(ByteSource& source, const TransferSyntax& syntax,
                          const ScanLimits& limits, const std::function<bool(ByteSpan)>& sink) {
  std::unique_ptr<Inflater> inflater;
  if (syntax.deflated) {
    inflater = std::make_unique<Inflater>(InflateLimits{.out_bytes = limits.inflated_bytes,
                                                        .ratio = limits.inflate_ratio,
                                                        .any_ratio_bytes = limits.any_ratio_bytes});
  }
  std::vector<std::byte> buffer(kReadBytes);
  bool wanted = true;
  const auto note = [&wanted, &sink](ByteSpan piece) { return wanted = sink(piece); };
  while (wanted) {
    TRY_ASSIGN(const std::size_t count, source.read(buffer));
    if (count == 0) break;
    const ByteSpan bytes = ByteSpan(buffer).first(count);
    if (inflater) {
      TRY(inflater->feed(bytes, note));
    } else {
      note(bytes);
    }
  }
  if (wanted && inflater) TRY(inflater->finish());
  return {};
}

Result<ScanReport> scan_with(ByteSource& dataset, const TransferSyntax& syntax,
                             const ScanLimits& limits, ScanVisitor& visitor) {
  WalkLimits walk{.nesting = limits.nesting,
                  .elements = limits.elements,
                  .value_bytes = limits.value_bytes,
                  .guess_sequences = true};
  if (!syntax.deflated) walk.size_bytes = dataset.size();
  Walker walker({.implicit_vr = syntax.implicit_vr, .big_endian = syntax.big_endian}, walk,
                visitor);
  TRY(read_through(dataset, syntax, limits, [&walker](ByteSpan piece) {
    return walker.feed(piece) == Walker::State::more;
  }));
  walker.finish();
  if (walker.state() == Walker::State::failed) return walker.error();
  return visitor.report(walker);
}

}  // namespace isthmus::dicom
