#include "dicom/scanner.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "dicom/transfer_syntax.h"
#include "dicom/walk/inflater.h"
#include "dicom/walk/walker.h"

namespace isthmus::dicom {
namespace {

constexpr std::size_t kReadBytes = 256 * KiB;
constexpr std::size_t kMaxOffsetTableBytes = 4 * MiB;  // a million frames

// Counts, and compares the Basic Offset Table with the fragments (PS3.5 Annex A.4).
class Examiner final : public WalkVisitor {
 public:
  Wish element(const ElementHead& head) override {
    if (head.fragment) return fragment(head);
    if (head.top_level() && head.tag == kPixelData) {
      report_.has_pixel_data = true;
      report_.pixel_data_offset = head.offset;
      in_pixel_data_ = head.length == kUndefinedLength && !head.opens_sequence;
    }
    return {};
  }

  void value(const ElementHead&, std::string_view bytes) override { table_ = bytes; }

  ScanReport report(const Walker& walker) {
    report_.elements = walker.elements();
    report_.deepest_nesting = walker.deepest_nesting();
    report_.padding_bytes = walker.padding_bytes();
    report_.offset_table_valid = offset_table_valid();
    return report_;
  }

 private:
  Wish fragment(const ElementHead& head) {
    // Fragments of icons in sequences are nested deeper than those of the image itself.
    if (!in_pixel_data_ || head.nesting != 1) return {};
    if (!first_fragment_) {  // the first item is the offset table, empty or not
      has_table_ = true;
      first_fragment_ = head.value_offset + head.length;
      return {.keep_bytes = kMaxOffsetTableBytes};
    }
    ++report_.fragments;
    starts_.push_back(head.offset - *first_fragment_);
    return {};
  }

  // Ascending, from zero, each at the start of a fragment's item.
  bool offset_table_valid() {
    if (!has_table_) return !in_pixel_data_;
    if (table_.size() % 4 != 0) return false;
    auto next = starts_.begin();
    for (std::size_t at = 0; at < table_.size(); at += 4) {
      std::uint64_t offset = 0;
      for (std::size_t i = 4; i-- > 0;) {
        offset = offset << 8 | static_cast<unsigned char>(table_[at + i]);
      }
      if (at == 0 && offset != 0) return false;
      next = std::find(next, starts_.end(), offset);
      if (next == starts_.end()) return false;
      ++next;
      if (at == 0) report_.frames_in_offset_table = 0;
      ++report_.frames_in_offset_table;
    }
    return true;
  }

  ScanReport report_;
  bool in_pixel_data_ = false;
  bool has_table_ = false;
  std::optional<std::uint64_t> first_fragment_;
  std::vector<std::uint64_t> starts_;
  std::string table_;
};

// Feeds all of the source to the walker, inflated when need be.
Result<void> walk_all(ByteSource& source, Walker& walker, Inflater* inflater) {
  std::vector<std::byte> buffer(kReadBytes);
  while (walker.state() == Walker::State::more) {
    TRY_ASSIGN(const std::size_t count, source.read(buffer));
    if (count == 0) break;
    const ByteSpan bytes = ByteSpan(buffer).first(count);
    if (inflater == nullptr) {
      walker.feed(bytes);
      continue;
    }
    TRY(inflater->feed(
        bytes, [&walker](ByteSpan piece) { return walker.feed(piece) == Walker::State::more; }));
  }
  if (walker.state() == Walker::State::more) {
    if (inflater != nullptr) TRY(inflater->finish());
    walker.finish();
  }
  if (walker.state() == Walker::State::failed) return walker.error();
  return {};
}

}  // namespace

Result<ScanReport> scan_dataset(ByteSource& dataset, std::string_view transfer_syntax_uid,
                                const ScanLimits& limits) {
  const TransferSyntax& syntax = transfer_syntax_or_default(transfer_syntax_uid);
  WalkLimits walk{.nesting = limits.nesting,
                  .elements = limits.elements,
                  .value_bytes = limits.value_bytes,
                  .guess_sequences = true};
  if (!syntax.deflated) walk.size_bytes = dataset.size();
  Examiner examiner;
  Walker walker({.implicit_vr = syntax.implicit_vr, .big_endian = syntax.big_endian}, walk,
                examiner);
  std::unique_ptr<Inflater> inflater;
  if (syntax.deflated) {
    inflater = std::make_unique<Inflater>(
        InflateLimits{.out_bytes = limits.inflated_bytes, .ratio = limits.inflate_ratio});
  }
  TRY(walk_all(dataset, walker, inflater.get()));
  return examiner.report(walker);
}

}  // namespace isthmus::dicom
