// The scan under scan_dataset and read_skeleton.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dicom/scanner.h"
#include "dicom/skeleton.h"
#include "dicom/transfer_syntax.h"
#include "dicom/walk/walker.h"

namespace isthmus::dicom {

// Counts, compares the Basic Offset Table with the fragments (PS3.5 Annex A.4), and notes elements
// of the top level that a skeleton leaves out.
class ScanVisitor final : public WalkVisitor {
 public:
  explicit ScanVisitor(std::uint64_t omit_above_bytes) : omit_above_(omit_above_bytes) {}

  Wish element(const ElementHead& head) override;
  void value(const ElementHead& head, std::string_view bytes) override;

  ScanReport report(const Walker& walker);
  std::vector<Omission> take_omissions() { return std::move(omissions_); }
  // What read_skeleton() tells of encapsulated pixel data.
  FragmentTables take_fragments() { return std::move(tables_); }

 private:
  Wish fragment(const ElementHead& head);
  void note_top_level(const ElementHead& head);
  bool offset_table_valid();

  const std::uint64_t omit_above_;
  ScanReport report_;
  std::vector<Omission> omissions_;
  bool open_omission_ = false;  // the last one's end is where the next element begins
  bool in_pixel_data_ = false;
  bool has_table_ = false;
  std::optional<std::uint64_t> first_fragment_;
  std::vector<std::uint64_t> starts_;
  std::string table_;
  FragmentTables tables_;
};

// Reads all of `source`, inflated when the syntax is deflated, and gives it to `sink` until that
// returns false. The end of a deflated stream is checked unless the sink had enough.
Result<void> read_through(ByteSource& source, const TransferSyntax& syntax,
                          const ScanLimits& limits, const std::function<bool(ByteSpan)>& sink);

// The scan itself; `visitor` knows more afterwards.
Result<ScanReport> scan_with(ByteSource& dataset, const TransferSyntax& syntax,
                             const ScanLimits& limits, ScanVisitor& visitor);

}  // namespace isthmus::dicom
