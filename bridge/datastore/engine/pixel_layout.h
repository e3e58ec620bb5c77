// What the catalogue keeps of an instance's pixel data, so that reading a frame parses nothing: one
// description for the instance, and one record of fixed size for each frame. Written by the import
// worker, which has read the file; read by whoever serves frames.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/digest.h"

namespace isthmus::datastore {

// What is stored of a frame, and so what GetImageFrame gives
// (contracts/healthimaging/transfer-syntaxes.json).
enum class FrameForm {
  kept,        // the code stream as it came
  native,      // the pixels as they came, in Explicit VR Little Endian: one-bit pixels, and pixels
               // that the lossless formats cannot hold
  transcoded,  // made lossless in the data store's own format
};

struct PixelDescription {
  FrameForm form = FrameForm::native;
  std::string transfer_syntax_uid;  // of the file
  std::uint32_t rows = 0;
  std::uint32_t columns = 0;
  std::uint32_t samples = 1;  // per pixel
  std::uint32_t bits_allocated = 0;
  std::uint32_t bits_stored = 0;
  bool is_signed = false;
  bool planar = false;    // colour by plane
  bool in_words = false;  // VR OW: in a big endian file, the bytes of each word are swapped
  std::string photometric;

  std::uint64_t pixels() const { return std::uint64_t{rows} * columns; }
};

enum class FrameState : std::uint8_t {
  unmeasured,  // nobody has decoded it yet
  measured,
  broken,  // it cannot be decoded
};

// Where a frame lies in the data set (inflated, if the file is deflated), and what is in it.
struct FrameRecord {
  std::uint64_t offset = 0;     // of its first fragment's item, or of its first byte
  std::uint64_t length = 0;     // up to the end of its last fragment, or of its last byte
  std::uint32_t fragments = 0;  // 0: the bytes themselves, no items
  std::uint8_t bit_offset = 0;  // of its first pixel in its first byte (one-bit pixels)
  FrameState state = FrameState::unmeasured;
  std::uint32_t checksum = 0;    // CRC-32 of the decoded frame, or of what is kept
  std::uint64_t size_bytes = 0;  // FrameSizeInBytes
  std::int64_t smallest = 0;     // stored pixel values; of transcoded frames
  std::int64_t largest = 0;

  bool operator==(const FrameRecord&) const = default;
};

constexpr std::size_t kFrameRecordBytes = 56;
void append_record(const FrameRecord& record, Bytes& into);
// From exactly kFrameRecordBytes bytes.
FrameRecord read_record(ByteSpan bytes);

nlohmann::json to_json(const PixelDescription& description);
nlohmann::json to_json(const FrameRecord& record);
// Nothing when a member is absent or of another type.
std::optional<PixelDescription> description_from_json(const nlohmann::json& object);
std::optional<FrameRecord> record_from_json(const nlohmann::json& object);

// The frame's id (ImageFrames[].ID): 24 digits of the instance's blob and 8 of its place, so that
// an id leads to its frame without an index, and is the same in every version and copy.
std::string frame_id(const Digest& blob, std::uint32_t index);
struct FrameName {
  std::string blob_prefix;  // 24 hex digits
  std::uint32_t index = 0;
};
std::optional<FrameName> parse_frame_id(std::string_view id);

// The syntax that a frame is stored in, in a data store of this losslessStorageFormat.
std::string stored_syntax(const PixelDescription& description, std::string_view lossless_format);

}  // namespace isthmus::datastore
