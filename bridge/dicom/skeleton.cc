#include "dicom/skeleton.h"

#include <fmt/format.h>

#include <algorithm>

#include "dicom/walk/scan.h"

namespace isthmus::dicom {
namespace {

// Takes what lies outside the omissions and before the end, of bytes that come in order.
class Copier {
 public:
  Copier(const std::vector<Omission>& omitted, std::uint64_t end, std::string& into)
      : omitted_(omitted), end_(end), into_(into) {}

  // False when nothing more is to come.
  bool take(ByteSpan piece) {
    while (!piece.empty()) {
      while (next_ < omitted_.size() && position_ >= omitted_[next_].end) ++next_;
      const bool inside = next_ < omitted_.size() && position_ >= omitted_[next_].begin;
      const std::uint64_t stop = inside                    ? omitted_[next_].end
                                 : next_ < omitted_.size() ? omitted_[next_].begin
                                                           : end_;
      if (position_ >= end_ || (inside && stop >= end_)) return false;
      const auto count =
          static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), stop - position_));
      if (!inside) into_.append(as_text(piece.first(count)));
      position_ += count;
      piece = piece.subspan(count);
    }
    return true;
  }

 private:
  const std::vector<Omission>& omitted_;
  const std::uint64_t end_;
  std::string& into_;
  std::size_t next_ = 0;
  std::uint64_t position_ = 0;
};

}  // namespace

const Omission* Skeleton::find(std::uint32_t tag) const {
  const auto found = std::find_if(omitted.begin(), omitted.end(),
                                  [tag](const Omission& omission) { return omission.tag == tag; });
  return found == omitted.end() ? nullptr : &*found;
}

Result<Skeleton> read_skeleton(ByteSource& dataset, std::string_view transfer_syntax_uid,
                               const SkeletonLimits& limits) {
  const TransferSyntax& syntax = transfer_syntax_or_default(transfer_syntax_uid);
  ScanVisitor visitor(limits.value_bytes);
  Skeleton skeleton;
  TRY_ASSIGN(skeleton.scan, scan_with(dataset, syntax, limits.scan, visitor));
  skeleton.omitted = visitor.take_omissions();
  skeleton.pixels = visitor.take_fragments();
  std::uint64_t left = skeleton.scan.dataset_bytes;
  for (const Omission& omission : skeleton.omitted) left -= omission.end - omission.begin;
  if (left > limits.skeleton_bytes) {
    return permanent_error("dicom.too_large",
                           fmt::format("The data set has {} bytes besides its pixel data.", left));
  }
  skeleton.bytes.reserve(static_cast<std::size_t>(left));
  Copier copier(skeleton.omitted, skeleton.scan.dataset_bytes, skeleton.bytes);
  TRY(dataset.rewind());
  TRY(read_through(dataset, syntax, limits.scan,
                   [&copier](ByteSpan piece) { return copier.take(piece); }));
  ASSERT(skeleton.bytes.size() == left);
  return skeleton;
}

Result<void> read_dataset(ByteSource& dataset, std::string_view transfer_syntax_uid,
                          const ScanLimits& limits, const std::function<bool(ByteSpan)>& sink) {
  return read_through(dataset, transfer_syntax_or_default(transfer_syntax_uid), limits, sink);
}

}  // namespace isthmus::dicom
