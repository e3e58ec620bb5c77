// Scanner, probe and skeleton over a data set: the same verdict however the bytes are cut, sums
// that add up, and no disagreement with DCMTK about data sets that DCMTK reads and writes back
// unchanged.
#include "dicom/scanner.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "dicom/part10.h"
#include "dicom/probe.h"
#include "dicom/skeleton.h"
#include "fuzz/dcmtk_reading.h"
#include "fuzz/fuzz.h"
#include "support/dicom_factory.h"

namespace isthmus::fuzz {
namespace {

constexpr std::array<std::string_view, 5> kSyntaxes{test::kExplicitLittle, test::kImplicitLittle,
                                                    test::kExplicitBig, test::kDeflated,
                                                    test::kJpegBaseline};

// Small enough for every limit to be met by inputs of a few kilobytes.
constexpr dicom::ScanLimits kScanLimits{.nesting = 64,
                                        .elements = 2'000,
                                        .inflated_bytes = 1 * MiB,
                                        .inflate_ratio = 200,
                                        .any_ratio_bytes = 64 * KiB};
constexpr dicom::ProbeLimits kProbeLimits{.head_bytes = 64 * KiB, .elements = 1'000};

// Gives the pieces as they are, one a read.
class PiecewiseSource final : public ByteSource {
 public:
  explicit PiecewiseSource(std::vector<ByteSpan> pieces) : pieces_(std::move(pieces)) {
    for (const ByteSpan piece : pieces_) size_ += piece.size();
  }

  std::uint64_t size() const override { return size_; }
  Result<std::size_t> read(MutableByteSpan into) override {
    while (next_ < pieces_.size() && at_ == pieces_[next_].size()) {
      ++next_;
      at_ = 0;
    }
    if (next_ == pieces_.size()) return std::size_t{0};
    const std::size_t count = std::min(into.size(), pieces_[next_].size() - at_);
    std::copy_n(pieces_[next_].begin() + static_cast<std::ptrdiff_t>(at_), count, into.begin());
    at_ += count;
    return count;
  }
  Result<void> rewind() override {
    next_ = at_ = 0;
    return {};
  }

 private:
  std::vector<ByteSpan> pieces_;
  std::uint64_t size_ = 0;
  std::size_t next_ = 0;
  std::size_t at_ = 0;
};

auto everything(const dicom::ScanReport& report) {
  return std::tuple(report.elements, report.deepest_nesting, report.has_pixel_data,
                    report.pixel_data_offset, report.dataset_bytes, report.padding_bytes,
                    report.fragments, report.offset_table_valid, report.frames_in_offset_table);
}

Result<dicom::ScanReport> scanned(const std::vector<ByteSpan>& pieces, std::string_view syntax) {
  PiecewiseSource source(pieces);
  return dicom::scan_dataset(source, syntax, kScanLimits);
}

Result<Identity> probed(const std::vector<ByteSpan>& pieces, std::string_view syntax) {
  const std::unique_ptr<dicom::Probe> probe = dicom::make_probe(syntax, kProbeLimits);
  for (const ByteSpan piece : pieces) probe->feed(piece);
  return probe->finish();
}

void check_same_scan(const Result<dicom::ScanReport>& left,
                     const Result<dicom::ScanReport>& right) {
  check_equal(left.ok(), right.ok(), "the scan's verdict does not depend on pieces");
  if (left.ok()) {
    check(everything(*left) == everything(*right), "nor does its report");
  } else {
    check_equal(left.error().code, right.error().code, "nor does its error");
    check_equal(left.error().message, right.error().message, "nor where it was found");
  }
}

void check_same_identity(const Result<Identity>& left, const Result<Identity>& right) {
  check_equal(left.ok(), right.ok(), "the probe's verdict does not depend on pieces");
  if (!left.ok()) {
    check_equal(left.error().code, right.error().code, "nor does its error");
    return;
  }
  check(std::tuple(left->sop_class_uid, left->sop_instance_uid, left->series_instance_uid,
                   left->study_instance_uid, left->patient_id, left->modality,
                   left->accession_number) ==
            std::tuple(right->sop_class_uid, right->sop_instance_uid, right->series_instance_uid,
                       right->study_instance_uid, right->patient_id, right->modality,
                       right->accession_number),
        "nor does the identity");
}

void check_skeleton(ByteSpan dataset, std::string_view syntax, const dicom::ScanReport& report) {
  PiecewiseSource source({dataset});
  const auto skeleton = dicom::read_skeleton(
      source, syntax, {.scan = kScanLimits, .value_bytes = 256, .skeleton_bytes = 1 * MiB});
  check(skeleton.ok(), "what can be scanned has a skeleton");
  check(everything(skeleton->scan) == everything(report), "of the same scan");
  std::uint64_t at = 0;
  std::uint64_t left_out = 0;
  for (const dicom::Omission& omission : skeleton->omitted) {
    check(omission.begin >= at, "omissions are in order");
    check(omission.value_begin > omission.begin && omission.end >= omission.value_begin, "whole");
    left_out += omission.end - omission.begin;
    at = omission.end;
  }
  check(at <= report.dataset_bytes, "within the data set");
  check_equal(skeleton->bytes.size() + left_out, report.dataset_bytes, "nothing else is left out");
}

void run(ByteSpan input) {
  if (input.empty()) return;
  const std::string_view syntax = kSyntaxes[std::to_integer<std::size_t>(input[0]) % 5];
  const bool deflated = syntax == test::kDeflated;
  const Cut cut = read_cut(input.subspan(1));

  const auto scan = scanned({cut.bytes}, syntax);
  const auto identity = probed({cut.bytes}, syntax);

  check_same_scan(scanned(cut.pieces(), syntax), scan);
  check_same_identity(probed(cut.pieces(), syntax), identity);
  if (cut.bytes.size() <= 256) {
    check_same_scan(scanned(single_bytes(cut.bytes), syntax), scan);
    check_same_identity(probed(single_bytes(cut.bytes), syntax), identity);
  }
  if (scan.ok()) {
    check(deflated || scan->dataset_bytes + scan->padding_bytes == cut.bytes.size(), "all of it");
    check(scan->deepest_nesting <= kScanLimits.nesting, "nesting is bounded");
    check_skeleton(cut.bytes, syntax, *scan);
  }
  if (!deflated) check_against_dcmtk(cut.bytes, syntax, scan, identity);
}

std::string seed(std::size_t syntax, const std::string& cut, const std::string& dataset) {
  return std::string(1, static_cast<char>(syntax)) + cut + dataset;
}

std::string odd_ones(test::DicomWriter::Syntax syntax) {
  test::DicomWriter item(syntax);
  item.element(0x00081150, "UI", test::kCtImageStorage).element(0x00081155, "UI", "2.25.1");
  test::DicomWriter outer(syntax);
  outer.sequence(0x00081199, {item.bytes(), ""}, true).us(0x00280010, 8);
  test::DicomWriter writer(syntax);
  writer.element(0x00080016, "UI", test::kCtImageStorage)
      .element(0x00080018, "UI", "2.25.1001.1.1")
      .sequence(0x00081115, {outer.bytes(), item.bytes()}, false)
      .sequence(0x00081140, {item.bytes()}, true)
      .element(0x00100020, "LO", "SYNTHETIC-1")
      .element(0x0020000D, "UI", "2.25.1001")
      .element(0x0020000E, "UI", "2.25.1001.1")
      .element(0x00420011, "OB", std::string(300, '\1'))
      .raw(std::string(24, '\0'));
  return writer.bytes();
}

std::vector<std::string> seeds() {
  std::vector<std::string> seeds;
  const std::vector<std::string> cuts{cut_head({}), cut_head({3, 1, 9, 40, 2})};
  for (std::size_t i = 0; i < kSyntaxes.size(); ++i) {
    test::DicomRecipe recipe;
    recipe.transfer_syntax_uid = kSyntaxes[i];
    recipe.rows = recipe.columns = 4;
    recipe.fragments_per_frame = 2;
    for (const std::string& cut : cuts) {
      seeds.push_back(seed(i, cut, test::make_dataset(recipe)));
      if (i == 3) continue;
      seeds.push_back(seed(i, cut, odd_ones(test::syntax_of(kSyntaxes[i]))));
    }
  }
  for (const char* folder : {"dicom/hostile", "dicom/edge", "dicom/charset"}) {
    for (const std::string& file : shared_files(folder, 12 * KiB)) {
      const auto head = dicom::read_file_head(as_bytes(file));
      if (!head.ok()) continue;
      const auto known = std::find(kSyntaxes.begin(), kSyntaxes.end(), head->transfer_syntax_uid);
      const auto index = known == kSyntaxes.end() ? 0 : known - kSyntaxes.begin();
      seeds.push_back(
          seed(static_cast<std::size_t>(index), cuts[1], file.substr(head->dataset_offset_bytes)));
    }
  }
  return seeds;
}

}  // namespace

Harness dataset_harness() {
  return {"dataset", run, 12 * KiB, seeds};
}

}  // namespace isthmus::fuzz
