#include "datastore/engine/pixels/layout.h"

#include <algorithm>
#include <new>

#include "datastore/engine/pixels/codecs.h"
#include "dicom/transfer_syntax.h"

namespace isthmus::datastore {
namespace {

constexpr std::uint64_t kItemHead = 8;

std::vector<std::uint64_t> numbers_of(std::string_view text) {
  std::vector<std::uint64_t> numbers;
  for (std::size_t at = 0; at + 8 <= text.size(); at += 8) {
    std::uint64_t number = 0;
    for (std::size_t i = 8; i-- > 0;) {
      number = number << 8 | static_cast<unsigned char>(text[at + i]);
    }
    numbers.push_back(number);
  }
  return numbers;
}

// The index of the fragment that each frame begins with; nothing when the offsets are not ascending
// starts of fragments, the first one's first.
std::vector<std::size_t> starts_at(const std::vector<dicom::Fragment>& fragments,
                                   const std::vector<std::uint64_t>& offsets) {
  std::vector<std::size_t> starts;
  std::size_t at = 0;
  for (const std::uint64_t offset : offsets) {
    const std::uint64_t wanted = fragments.front().offset + offset;
    while (at < fragments.size() && fragments[at].offset < wanted) ++at;
    const bool fits = at < fragments.size() && fragments[at].offset == wanted &&
                      (starts.empty() ? at == 0 : at > starts.back());
    if (!fits) return {};
    starts.push_back(at);
  }
  return starts;
}

std::vector<std::size_t> first_fragments(const dicom::FragmentTables& tables,
                                         std::uint64_t declared, bool one_stream) {
  const std::vector<dicom::Fragment>& fragments = tables.fragments;
  if (one_stream || declared == 1) return {0};
  std::vector<std::size_t> starts = starts_at(fragments, tables.basic_offsets);
  if (starts.empty()) starts = starts_at(fragments, numbers_of(tables.extended_offsets));
  if (!starts.empty()) return starts;
  if (fragments.size() > declared) {
    for (std::size_t i = 0; i < fragments.size(); ++i) {
      if (fragments[i].begins_code_stream) starts.push_back(i);
    }
    if (starts.size() == declared && starts.front() == 0) return starts;
  }
  starts.clear();
  for (std::size_t i = 0; i < std::min<std::uint64_t>(fragments.size(), declared); ++i) {
    starts.push_back(i);
  }
  return starts;
}

std::vector<FrameRecord> encapsulated_frames(const dicom::Skeleton& skeleton,
                                             std::uint64_t declared, bool one_stream,
                                             std::uint64_t at_most) {
  const std::vector<dicom::Fragment>& fragments = skeleton.pixels.fragments;
  if (fragments.empty()) return {};
  std::vector<std::size_t> starts = first_fragments(skeleton.pixels, declared, one_stream);
  starts.resize(static_cast<std::size_t>(std::min<std::uint64_t>(starts.size(), at_most)));
  std::vector<FrameRecord> frames;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const bool last = i + 1 == starts.size();
    // Fragments that no frame is said to begin with belong to the one before, but those behind the
    // last frame of a file that has more than it declares.
    const bool one_each =
        !one_stream && declared > 1 && starts.size() < fragments.size() && last && starts[i] == i;
    const std::size_t end = !last ? starts[i + 1] : one_each ? starts[i] + 1 : fragments.size();
    FrameRecord record;
    record.offset = fragments[starts[i]].offset;
    record.fragments = static_cast<std::uint32_t>(end - starts[i]);
    record.length =
        fragments[end - 1].offset + kItemHead + fragments[end - 1].length - record.offset;
    record.size_bytes = record.length - kItemHead * record.fragments;
    frames.push_back(record);
  }
  return frames;
}

std::vector<FrameRecord> native_frames(const dicom::Omission& pixels,
                                       const PixelDescription& description, std::uint64_t count) {
  const std::uint64_t bits = native_frame_bits(description);
  const std::uint64_t there = (pixels.end - pixels.value_begin) * 8;
  const dicom::TransferSyntax* syntax =
      dicom::find_transfer_syntax(description.transfer_syntax_uid);
  const bool in_big_words = description.in_words && syntax != nullptr && syntax->big_endian;
  std::vector<FrameRecord> frames;
  for (std::uint64_t i = 0; bits > 0 && i < count && (i + 1) * bits <= there; ++i) {
    const std::uint64_t first = i * bits;
    FrameRecord record;
    record.offset = pixels.value_begin + first / 8;
    record.bit_offset = static_cast<std::uint8_t>(first % 8);
    record.length = (first % 8 + bits + 7) / 8;
    record.size_bytes = (bits + 7) / 8;
    // In words of a big endian file the last byte stands behind one that is not the frame's.
    const bool half_word = in_big_words && bits % 16 != 0 && first % 16 == 0;
    if (half_word && (i + 1) * bits + 8 <= there) record.length += record.length % 2;
    frames.push_back(record);
  }
  return frames;
}

// Gets the bytes of a data set in order and hands over those of each frame. Frames of one-bit
// pixels share the byte where one ends and the next begins.
class Collector {
 public:
  using Take = std::function<bool(FrameRecord&, ByteSpan)>;
  Collector(std::span<FrameRecord> frames, Take take) : frames_(frames), take_(std::move(take)) {
    skip_large();
  }

  bool feed(ByteSpan piece) {
    if (next_ == frames_.size()) return false;
    const std::uint64_t begin = frames_[next_].offset;
    if (gathered_.empty() && position_ + piece.size() > begin) {
      const std::uint64_t before = begin > position_ ? begin - position_ : 0;
      gathered_from_ = position_ + before;
      const ByteSpan wanted = piece.subspan(static_cast<std::size_t>(before));
      gathered_.reserve(static_cast<std::size_t>(frames_[next_].length) + piece.size());
      gathered_.insert(gathered_.end(), wanted.begin(), wanted.end());
    } else if (!gathered_.empty()) {
      gathered_.insert(gathered_.end(), piece.begin(), piece.end());
    }
    position_ += piece.size();
    return hand_over();
  }

 private:
  void skip_large() {
    while (next_ < frames_.size() && frames_[next_].length > kMostMeasuredBytes) ++next_;
  }

  bool hand_over() {
    std::size_t used = 0;
    while (next_ < frames_.size()) {
      FrameRecord& frame = frames_[next_];
      const auto at = static_cast<std::size_t>(
          frame.offset > gathered_from_ ? frame.offset - gathered_from_ : 0);
      if (gathered_.size() < at + frame.length) {
        used = std::min(at, gathered_.size());
        break;
      }
      const ByteSpan covered =
          ByteSpan(gathered_).subspan(at, static_cast<std::size_t>(frame.length));
      if (!take_(frame, covered)) return false;
      ++next_;
      skip_large();
      used = gathered_.size();
    }
    if (next_ == frames_.size()) return false;
    gathered_.erase(gathered_.begin(), gathered_.begin() + static_cast<std::ptrdiff_t>(used));
    gathered_from_ += used;
    return true;
  }

  std::span<FrameRecord> frames_;
  Take take_;
  std::size_t next_ = 0;
  Bytes gathered_;
  std::uint64_t gathered_from_ = 0;
  std::uint64_t position_ = 0;
};

}  // namespace

std::vector<FrameRecord> locate_frames(const dicom::Skeleton& skeleton,
                                       const PixelDescription& description, std::uint64_t declared,
                                       std::uint64_t at_most) {
  const dicom::Omission* pixels = skeleton.find(0x7FE00010);
  if (pixels == nullptr || declared == 0) return {};
  if (!pixels->encapsulated) {
    return native_frames(*pixels, description, std::min(declared, at_most));
  }
  const dicom::TransferSyntax* syntax =
      dicom::find_transfer_syntax(description.transfer_syntax_uid);
  const bool video = syntax != nullptr && syntax->frame_content_type.starts_with("video/");
  return encapsulated_frames(skeleton, declared, video, at_most);
}

Result<void> measure_frames(ByteSource& dataset, const dicom::ScanLimits& limits,
                            PixelLayout& layout, const std::function<bool()>& go_on) {
  Collector collector(layout.frames, [&](FrameRecord& record, ByteSpan covered) {
    if (!go_on()) return false;
    try {
      measure_frame(layout.description, covered, record);
    } catch (const std::bad_alloc&) {
      record.state = FrameState::broken;  // more memory than a worker may have
    }
    return true;
  });
  return dicom::read_dataset(dataset, layout.description.transfer_syntax_uid, limits,
                             [&](ByteSpan piece) { return collector.feed(piece); });
}

Result<Bytes> read_frame(ByteSource& dataset, const dicom::ScanLimits& limits,
                         const PixelDescription& description, const FrameRecord& record) {
  Bytes bytes;
  FrameRecord wanted = record;
  Collector collector({&wanted, 1}, [&](FrameRecord&, ByteSpan covered) {
    bytes.assign(covered.begin(), covered.end());
    return true;
  });
  TRY(dicom::read_dataset(dataset, description.transfer_syntax_uid, limits,
                          [&](ByteSpan piece) { return collector.feed(piece); }));
  if (bytes.size() != record.length) {
    return permanent_error("pixels.broken", "The frame is not where it was.");
  }
  return bytes;
}

}  // namespace isthmus::datastore
