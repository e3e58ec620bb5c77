#include "datastore/engine/transcoder.h"

#include <numeric>

namespace isthmus::datastore {
namespace {

constexpr std::uint32_t kUndefined = 0xFFFFFFFF;
constexpr std::uint32_t kItem = 0xFFFEE000;
constexpr std::uint32_t kSequenceEnd = 0xFFFEE0DD;
constexpr std::size_t kMostFrames = 100'000;

struct Made {
  std::string_view syntax;
  std::string_view format;
};
// Our HTJ2K is lossless and in RPCL order: it is of both syntaxes, and of the general one.
constexpr Made kMade[] = {
    {"1.2.840.10008.1.2.4.90", "JPEG_2000_LOSSLESS"},
    {"1.2.840.10008.1.2.4.201", "HTJ2K"},
    {"1.2.840.10008.1.2.4.202", "HTJ2K"},
};

Error unsupported(const char* why) {
  return permanent_error("rewrite.unsupported", why);
}

void append_number(Bytes& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<std::byte>(value >> (8 * i) & 0xFF));
}

void append_tag(Bytes& out, std::uint32_t tag, std::uint32_t length) {
  append_number(out, tag >> 16, 2);
  append_number(out, tag & 0xFFFF, 2);
  append_number(out, length, 4);
}

// Pixel data have a VR with a length of four bytes, whichever it is (PS3.5 table 7.1-1).
Bytes element_head(const TranscodedFile::Pixels& pixels, std::uint64_t length) {
  Bytes head;
  append_number(head, pixels.tag >> 16, 2);
  append_number(head, pixels.tag & 0xFFFF, 2);
  for (const char c : pixels.vr) head.push_back(static_cast<std::byte>(c));
  append_number(head, 0, 2);
  append_number(head, length, 4);
  return head;
}

std::uint64_t size_of(const std::vector<Piece>& pieces) {
  return std::accumulate(
      pieces.begin(), pieces.end(), std::uint64_t{0},
      [](std::uint64_t sum, const Piece& piece) { return sum + piece.size_bytes; });
}

}  // namespace

std::string_view lossless_format_of(std::string_view transfer_syntax_uid) {
  for (const Made& made : kMade) {
    if (made.syntax == transfer_syntax_uid) return made.format;
  }
  return {};
}

bool is_made_here(std::string_view transfer_syntax_uid) {
  return transfer_syntax_uid == kExplicitLittleEndian ||
         !lossless_format_of(transfer_syntax_uid).empty();
}

Result<std::vector<StoredFrame>> Transcoder::frames_of(const ServedInstance& instance) {
  TRY_ASSIGN(const std::optional<StoredPixels> pixels, frames_.pixels_of(instance.blob));
  if (!pixels || pixels->frame_count == 0) return unsupported("No frames are known.");
  if (pixels->frame_count > kMostFrames) return unsupported("It has too many frames.");
  std::vector<std::uint32_t> indices(pixels->frame_count);
  std::iota(indices.begin(), indices.end(), 0U);
  return frames_.frames_of(instance.blob, indices);
}

// A frame that the import has decoded can be decoded again, when its turn comes; of others it is
// found out before anything is promised.
Result<void> Transcoder::add_native(const std::vector<StoredFrame>& frames,
                                    std::vector<Piece>& pieces) {
  for (const StoredFrame& frame : frames) {
    const PixelDescription& d = frame.description;
    if (d.bits_allocated < 8) return unsupported("One-bit pixels are given as they are.");
    std::uint64_t size = d.pixels() * d.samples * (d.bits_allocated / 8);
    const bool sure = d.form == FrameForm::transcoded && frame.record.state == FrameState::measured;
    if (!sure) {
      TRY_ASSIGN(const auto source, frames_.plain(frame));
      size = source->size();
    }
    pieces.push_back({size, [this, frame] { return frames_.plain(frame); }});
  }
  return {};
}

// How long the code streams are has to be known for the offset table (PS3.5 section A.4).
Result<void> Transcoder::add_encapsulated(const std::vector<StoredFrame>& frames,
                                          const std::string& format, std::vector<Piece>& pieces) {
  std::vector<std::uint64_t> sizes;
  Bytes table;
  std::uint64_t offset = 0;
  for (const StoredFrame& frame : frames) {
    TRY_ASSIGN(const auto source, frames_.encoded(frame, format));
    sizes.push_back(source->size());
    append_number(table, offset, 4);
    offset += 8 + sizes.back() + sizes.back() % 2;
    if (offset >= kUndefined) return unsupported("It is too long for an offset table.");
  }
  Bytes head;
  append_tag(head, kItem, static_cast<std::uint32_t>(table.size()));
  head.insert(head.end(), table.begin(), table.end());
  for (std::size_t i = 0; i < frames.size(); ++i) {
    append_tag(head, kItem, static_cast<std::uint32_t>(sizes[i] + sizes[i] % 2));
    pieces.push_back(piece_of(std::move(head)));
    pieces.push_back(
        {sizes[i], [this, frame = frames[i], format] { return frames_.encoded(frame, format); }});
    head = Bytes(sizes[i] % 2, std::byte{0});
  }
  append_tag(head, kSequenceEnd, 0);
  pieces.push_back(piece_of(std::move(head)));
  return {};
}

Result<std::vector<Piece>> Transcoder::plain_pixels(const ServedInstance& instance) {
  TRY_ASSIGN(const std::vector<StoredFrame> frames, frames_of(instance));
  std::vector<Piece> pieces;
  TRY(add_native(frames, pieces));
  return pieces;
}

Result<std::vector<Piece>> Transcoder::file(const ServedInstance& instance,
                                            const nlohmann::json& metadata,
                                            const std::string& transfer_syntax_uid) {
  if (!is_made_here(transfer_syntax_uid)) return unsupported("Files are not made in this syntax.");
  TRY_ASSIGN(TranscodedFile made,
             examiner_.transcode(blobs_.path_of(instance.blob), metadata, transfer_syntax_uid));
  std::vector<Piece> pieces{piece_of(std::move(made.head))};
  if (made.pixels) {
    std::vector<Piece> value;
    const std::string format(lossless_format_of(transfer_syntax_uid));
    std::uint64_t length = kUndefined;
    if (made.pixels->range) {
      const auto [begin, end] = *made.pixels->range;
      value.push_back({end - begin, [this, blob = instance.blob, begin, size = end - begin] {
                         return blobs_.read(blob, begin, size);
                       }});
    } else {
      TRY_ASSIGN(const std::vector<StoredFrame> frames, frames_of(instance));
      TRY(format.empty() ? add_native(frames, value) : add_encapsulated(frames, format, value));
    }
    if (format.empty()) {
      length = size_of(value);
      if (length % 2 != 0) value.push_back(piece_of(Bytes(1, std::byte{0})));
      length += length % 2;
      if (length >= kUndefined) return unsupported("Its pixels are too many for one value.");
    }
    pieces.push_back(piece_of(element_head(*made.pixels, length)));
    std::move(value.begin(), value.end(), std::back_inserter(pieces));
  }
  pieces.push_back(piece_of(std::move(made.behind)));
  return pieces;
}

}  // namespace isthmus::datastore
