// Instances in another transfer syntax than their files': Explicit VR Little Endian with plain
// pixels, or a lossless code stream a frame. The pixels are those that decoding the file gives;
// metadata, but for what describes the pixels' form, are not touched. Any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "datastore/engine/blobs.h"
#include "datastore/engine/dicom_index.h"
#include "datastore/engine/examiner.h"
#include "datastore/engine/frame_store.h"
#include "datastore/engine/pieces.h"

namespace isthmus::datastore {

inline constexpr std::string_view kExplicitLittleEndian = "1.2.840.10008.1.2.1";

// The lossless format ("HTJ2K", …) whose code streams are of this syntax; empty: none is made.
std::string_view lossless_format_of(std::string_view transfer_syntax_uid);
// Whether files can be made in it at all.
bool is_made_here(std::string_view transfer_syntax_uid);

class Transcoder {
 public:
  Transcoder(Examiner& examiner, Blobs& blobs, FrameStore& frames)
      : examiner_(examiner), blobs_(blobs), frames_(frames) {}

  // The pieces of the file; `metadata` as Examiner::transcode() has them. "rewrite.unsupported",
  // "pixels.unsupported", "pixels.broken", "pixels.too_large" (permanent): not in this syntax.
  Result<std::vector<Piece>> file(const ServedInstance& instance, const nlohmann::json& metadata,
                                  const std::string& transfer_syntax_uid);
  // All its pixels as one plain value.
  Result<std::vector<Piece>> plain_pixels(const ServedInstance& instance);

 private:
  Result<std::vector<StoredFrame>> frames_of(const ServedInstance& instance);
  Result<void> add_native(const std::vector<StoredFrame>& frames, std::vector<Piece>& pieces);
  Result<void> add_encapsulated(const std::vector<StoredFrame>& frames, const std::string& format,
                                std::vector<Piece>& pieces);

  Examiner& examiner_;
  Blobs& blobs_;
  FrameStore& frames_;
};

}  // namespace isthmus::datastore
