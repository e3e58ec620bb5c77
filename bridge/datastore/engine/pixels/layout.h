// Where the frames of an instance lie, and what is in them: what an import takes down about pixel
// data. Runs in the import worker.
#pragma once

#include <functional>
#include <vector>

#include "datastore/engine/pixel_layout.h"
#include "dicom/skeleton.h"

namespace isthmus::datastore {

struct PixelLayout {
  PixelDescription description;
  std::vector<FrameRecord> frames;
};

// The records of a data set's frames, in order, unmeasured. `declared` is NumberOfFrames. Native
// frames follow each other without gaps. Of encapsulated ones the tables say where they begin, if
// they are right; else each fragment is a frame when the numbers agree, else a frame begins where a
// code stream does. A video is one frame, whatever its number of pictures. Never more than
// `at_most`.
std::vector<FrameRecord> locate_frames(const dicom::Skeleton& skeleton,
                                       const PixelDescription& description, std::uint64_t declared,
                                       std::uint64_t at_most);

// Decodes and measures the frames while `go_on` says so; those left stay unmeasured, and so do
// those larger than kMostMeasuredBytes. Reads `dataset` once, from its first byte.
constexpr std::uint64_t kMostMeasuredBytes = 128 * MiB;
Result<void> measure_frames(ByteSource& dataset, const dicom::ScanLimits& limits,
                            PixelLayout& layout, const std::function<bool()>& go_on);

// The bytes that a record covers.
Result<Bytes> read_frame(ByteSource& dataset, const dicom::ScanLimits& limits,
                         const PixelDescription& description, const FrameRecord& record);

}  // namespace isthmus::datastore
