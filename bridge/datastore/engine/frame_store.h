// Reading image frames: where one lies, and its bytes in the form that is wanted. What is stored as
// it came is read where it lies; what must be decoded is made once, by a worker process, and kept
// in a cache of bounded size.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "datastore/engine/blobs.h"
#include "datastore/engine/catalogue.h"
#include "datastore/engine/frame_cache.h"
#include "datastore/engine/pixel_layout.h"

namespace isthmus::datastore {

struct FrameOrder {
  std::string form;  // "HTJ2K", "JPEG_2000_LOSSLESS", "native"
  std::uint64_t dataset_offset = 0;
  PixelDescription description;
  FrameRecord record;
};

class FrameRenderer {
 public:
  virtual ~FrameRenderer() = default;
  // "pixels.broken", "pixels.unsupported", "pixels.too_large" (permanent): the frame was the
  // problem. "datastore.worker_start" and others (transient): another time. Any thread.
  virtual Result<Bytes> render(const FileSystem::Path& file, const FrameOrder& order) = 0;
};

struct StoredFrame {
  Digest blob;
  std::uint32_t index = 0;  // from 0
  std::uint64_t dataset_offset = 0;
  PixelDescription description;
  FrameRecord record;
};

// What is known of an instance's pixel data.
struct StoredPixels {
  std::uint64_t dataset_offset = 0;
  PixelDescription description;
  std::uint32_t frame_count = 0;
};

struct FrameStoreOptions {
  std::uint64_t cache_bytes = 0;
  std::size_t renders_at_once = 2;
  std::size_t most_waiting = 64;  // for one of those; beyond, readers are told to come again
};

// Errors, besides those of catalogue, blobs and renderer: "datastore.no_such_frame" (permanent),
// "datastore.too_many_frames" (transient). Any thread, many at once.
class FrameStore {
 public:
  // The cache is `directory`/frames.
  static Result<std::unique_ptr<FrameStore>> open(Env& env, Catalogue& catalogue, Blobs& blobs,
                                                  FrameRenderer& renderer,
                                                  const FileSystem::Path& directory,
                                                  FrameStoreOptions options);

  // A frame of an instance that some version of the image set has.
  Result<StoredFrame> find(const std::string& data_store, const std::string& image_set,
                           std::string_view id);
  // The pixel data of an instance's blob; nothing when it has no frames.
  Result<std::optional<StoredPixels>> pixels_of(const Digest& blob);
  // Frames of a blob by their places, in this order.
  Result<std::vector<StoredFrame>> frames_of(const Digest& blob,
                                             const std::vector<std::uint32_t>& indices);

  // As it is stored in a data store of this losslessStorageFormat.
  Result<std::unique_ptr<ByteSource>> stored(const StoredFrame& frame,
                                             const std::string& lossless_format);
  // Plain pixels, little endian, colour by pixel.
  Result<std::unique_ptr<ByteSource>> plain(const StoredFrame& frame);
  // Its pixels as a lossless code stream, however it is stored.
  Result<std::unique_ptr<ByteSource>> encoded(const StoredFrame& frame,
                                              const std::string& lossless_format);
  // The bytes of its fragments, or its pixels, as they are in the file; those of a frame that can
  // be read in place only (reads_in_place).
  Result<std::unique_ptr<ByteSource>> as_it_came(const StoredFrame& frame);

 private:
  struct Making {
    bool done = false;
    std::optional<Error> error;
    std::shared_ptr<const std::string> bytes;
  };

  FrameStore(Env& env, Catalogue& catalogue, Blobs& blobs, FrameRenderer& renderer,
             FrameStoreOptions options, std::unique_ptr<FrameCache> cache);
  Result<std::unique_ptr<ByteSource>> rendered(const StoredFrame& frame, const std::string& form);
  Result<std::shared_ptr<const std::string>> make_once(const std::string& name,
                                                       const StoredFrame& frame,
                                                       const std::string& form);
  Result<Bytes> render_in_turn(const StoredFrame& frame, const std::string& form);

  Env& env_;
  Catalogue& catalogue_;
  Blobs& blobs_;
  FrameRenderer& renderer_;
  const FrameStoreOptions options_;
  const std::unique_ptr<FrameCache> cache_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::shared_ptr<Making>> making_;
  std::size_t rendering_ = 0;
  std::size_t waiting_ = 0;
};

// Whether the frame's bytes are read where they lie: kept code streams, and plain pixels that are
// stored as they came and need no turning or shifting.
bool reads_in_place(const StoredFrame& frame);

}  // namespace isthmus::datastore
