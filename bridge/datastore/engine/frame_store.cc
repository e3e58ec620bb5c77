#include "datastore/engine/frame_store.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace isthmus::datastore {
namespace {

constexpr std::string_view kDeflated = "1.2.840.10008.1.2.1.99";
constexpr std::string_view kBigEndian = "1.2.840.10008.1.2.2";
constexpr std::size_t kItemHead = 8;

Error no_such_frame() {
  return permanent_error("datastore.no_such_frame", "The image frame does not exist.");
}

Error damaged() {
  return fatal_error("datastore.io", "A row of the catalogue is damaged.");
}

// The values of a frame's fragments, one behind the other: item heads are skipped on the way.
class FragmentSource : public ByteSource {
 public:
  FragmentSource(std::unique_ptr<ByteSource> items, std::uint64_t size)
      : items_(std::move(items)), size_(size) {}
  std::uint64_t size() const override { return size_; }
  Result<std::size_t> read(MutableByteSpan into) override {
    while (left_ == 0) {
      std::array<std::byte, kItemHead> head{};
      TRY_ASSIGN(const std::size_t count, read_fully(head));
      if (count == 0) return std::size_t{0};
      if (count < head.size()) return permanent_error("pixels.broken", "A fragment is cut off.");
      for (std::size_t i = 8; i-- > 4;)
        left_ = left_ << 8 | std::to_integer<std::uint64_t>(head[i]);
    }
    if (into.empty()) return std::size_t{0};
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left_));
    TRY_ASSIGN(const std::size_t count, items_->read(into.first(wanted)));
    left_ -= count;
    return count;
  }
  Result<void> rewind() override {
    left_ = 0;
    return items_->rewind();
  }

 private:
  Result<std::size_t> read_fully(MutableByteSpan into) {
    std::size_t filled = 0;
    while (filled < into.size()) {
      TRY_ASSIGN(const std::size_t count, items_->read(into.subspan(filled)));
      if (count == 0) break;
      filled += count;
    }
    return filled;
  }

  std::unique_ptr<ByteSource> items_;
  const std::uint64_t size_;
  std::uint64_t left_ = 0;
};

Result<PixelDescription> read_description(const std::string& text) {
  const auto description = description_from_json(nlohmann::json::parse(text, nullptr, false));
  if (!description) return damaged();
  return *description;
}

// One record out of the row's blob, without reading the others.
Result<FrameRecord> record_at(sql::Database& database, const std::string& blob,
                              std::uint32_t index) {
  TRY_ASSIGN(sql::Statement rows,
             database.query("SELECT substr(frames, ?, ?) FROM pixel_data WHERE blob = ?",
                            {std::int64_t{index} * std::int64_t{kFrameRecordBytes} + 1,
                             kFrameRecordBytes, blob}));
  TRY_ASSIGN(const bool there, rows.next());
  if (!there) return no_such_frame();
  const Bytes bytes = rows.blob(0);
  if (bytes.size() != kFrameRecordBytes) return no_such_frame();
  return read_record(bytes);
}

Result<std::optional<StoredPixels>> pixels_in(sql::Database& database, const std::string& blob) {
  TRY_ASSIGN(sql::Statement rows,
             database.query("SELECT dataset_offset, description, frame_count FROM pixel_data"
                            " WHERE blob = ?",
                            {blob}));
  TRY_ASSIGN(const bool there, rows.next());
  if (!there) return std::optional<StoredPixels>{};
  StoredPixels pixels;
  pixels.dataset_offset = static_cast<std::uint64_t>(rows.integer(0));
  TRY_ASSIGN(pixels.description, read_description(rows.text(1)));
  pixels.frame_count = static_cast<std::uint32_t>(rows.integer(2));
  return std::optional<StoredPixels>(std::move(pixels));
}

Result<StoredFrame> frame_in(sql::Database& database, const Digest& blob, std::uint32_t index) {
  TRY_ASSIGN(const std::optional<StoredPixels> pixels, pixels_in(database, blob.hex()));
  if (!pixels || index >= pixels->frame_count) return no_such_frame();
  StoredFrame frame{blob, index, pixels->dataset_offset, pixels->description, {}};
  TRY_ASSIGN(frame.record, record_at(database, blob.hex(), index));
  return frame;
}

}  // namespace

bool reads_in_place(const StoredFrame& frame) {
  const PixelDescription& d = frame.description;
  if (d.form == FrameForm::kept) return true;
  const bool whole_bytes = d.bits_allocated % 8 == 0 && frame.record.bit_offset == 0;
  return d.form == FrameForm::native && frame.record.fragments == 0 && whole_bytes &&
         d.transfer_syntax_uid != kDeflated && d.transfer_syntax_uid != kBigEndian;
}

FrameStore::FrameStore(Env& env, Catalogue& catalogue, Blobs& blobs, FrameRenderer& renderer,
                       FrameStoreOptions options, std::unique_ptr<FrameCache> cache)
    : env_(env),
      catalogue_(catalogue),
      blobs_(blobs),
      renderer_(renderer),
      options_(options),
      cache_(std::move(cache)) {}

Result<std::unique_ptr<FrameStore>> FrameStore::open(Env& env, Catalogue& catalogue, Blobs& blobs,
                                                     FrameRenderer& renderer,
                                                     const FileSystem::Path& directory,
                                                     FrameStoreOptions options) {
  TRY_ASSIGN(std::unique_ptr<FrameCache> cache,
             FrameCache::open(env, directory / "frames", options.cache_bytes));
  return std::unique_ptr<FrameStore>(
      new FrameStore(env, catalogue, blobs, renderer, options, std::move(cache)));
}

Result<StoredFrame> FrameStore::find(const std::string& data_store, const std::string& image_set,
                                     std::string_view id) {
  const std::optional<FrameName> name = parse_frame_id(id);
  return catalogue_.read([&](sql::Database& database) -> Result<StoredFrame> {
    TRY_ASSIGN(const auto there,
               database.query_integer("SELECT 1 FROM image_sets WHERE id = ? AND data_store = ?",
                                      {image_set, data_store}));
    if (!there) {
      return permanent_error("datastore.no_such_image_set", "The image set does not exist.");
    }
    if (!name) return no_such_frame();
    // 'g' is the character behind the last hex digit: the range is that of the prefix.
    TRY_ASSIGN(const auto hex,
               database.query_text("SELECT blob FROM instances INDEXED BY instances_blob"
                                   " WHERE blob >= ?1 AND blob < ?1 || 'g' AND image_set = ?2",
                                   {name->blob_prefix, image_set}));
    if (!hex) return no_such_frame();
    const std::optional<Digest> blob = Digest::from_hex(*hex);
    if (!blob) return damaged();
    return frame_in(database, *blob, name->index);
  });
}

Result<std::optional<StoredPixels>> FrameStore::pixels_of(const Digest& blob) {
  return catalogue_.read([&](sql::Database& database) { return pixels_in(database, blob.hex()); });
}

Result<std::vector<StoredFrame>> FrameStore::frames_of(const Digest& blob,
                                                       const std::vector<std::uint32_t>& indices) {
  using Frames = std::vector<StoredFrame>;
  return catalogue_.read([&](sql::Database& database) -> Result<Frames> {
    Frames frames;
    for (const std::uint32_t index : indices) {
      TRY_ASSIGN(StoredFrame frame, frame_in(database, blob, index));
      frames.push_back(std::move(frame));
    }
    return frames;
  });
}

Result<std::unique_ptr<ByteSource>> FrameStore::as_it_came(const StoredFrame& frame) {
  const std::uint64_t offset = frame.dataset_offset + frame.record.offset;
  const FrameRecord& record = frame.record;
  if (record.fragments == 0) return blobs_.read(frame.blob, offset, record.length);
  if (record.fragments == 1) {
    return blobs_.read(frame.blob, offset + kItemHead, record.length - kItemHead);
  }
  TRY_ASSIGN(auto items, blobs_.read(frame.blob, offset, record.length));
  return std::unique_ptr<ByteSource>(std::make_unique<FragmentSource>(
      std::move(items), record.length - kItemHead * record.fragments));
}

Result<std::unique_ptr<ByteSource>> FrameStore::stored(const StoredFrame& frame,
                                                       const std::string& lossless_format) {
  if (reads_in_place(frame)) return as_it_came(frame);
  return rendered(frame, frame.description.form == FrameForm::native ? "native" : lossless_format);
}

Result<std::unique_ptr<ByteSource>> FrameStore::plain(const StoredFrame& frame) {
  if (frame.description.form == FrameForm::native && reads_in_place(frame)) {
    return as_it_came(frame);
  }
  return rendered(frame, "native");
}

Result<std::unique_ptr<ByteSource>> FrameStore::encoded(const StoredFrame& frame,
                                                        const std::string& lossless_format) {
  return rendered(frame, lossless_format);
}

Result<std::unique_ptr<ByteSource>> FrameStore::rendered(const StoredFrame& frame,
                                                         const std::string& form) {
  const std::string mark = form == "HTJ2K" ? "h" : form == "native" ? "n" : "j";
  const std::string name = frame.blob.hex() + "-" + std::to_string(frame.index) + "-" + mark;
  if (auto kept = cache_->find(name)) return kept;
  TRY_ASSIGN(const auto bytes, make_once(name, frame, form));
  return source_of(std::string(*bytes));
}

// Whoever comes first makes it; those who come meanwhile wait and have the same.
Result<std::shared_ptr<const std::string>> FrameStore::make_once(const std::string& name,
                                                                 const StoredFrame& frame,
                                                                 const std::string& form) {
  std::shared_ptr<Making> making;
  {
    std::unique_lock lock(mutex_);
    const auto [place, first] = making_.try_emplace(name);
    if (!first) {
      making = place->second;
      changed_.wait(lock, [&] { return making->done; });
      if (making->error) return *making->error;
      return making->bytes;
    }
    making = place->second = std::make_shared<Making>();
  }
  const Result<Bytes> made = render_in_turn(frame, form);
  if (made) cache_->keep(name, *made);
  {
    const std::lock_guard lock(mutex_);
    making->done = true;
    if (made) {
      making->bytes = std::make_shared<const std::string>(as_text(*made));
    } else {
      making->error = made.error();
    }
    making_.erase(name);
  }
  changed_.notify_all();
  if (!made) return made.error();
  return making->bytes;
}

Result<Bytes> FrameStore::render_in_turn(const StoredFrame& frame, const std::string& form) {
  {
    std::unique_lock lock(mutex_);
    if (rendering_ >= options_.renders_at_once) {
      if (waiting_ >= options_.most_waiting) {
        return transient_error("datastore.too_many_frames", "Too many frames are being made.");
      }
      ++waiting_;
      changed_.wait(lock, [&] { return rendering_ < options_.renders_at_once; });
      --waiting_;
    }
    ++rendering_;
  }
  Result<Bytes> made = renderer_.render(
      blobs_.path_of(frame.blob), {form, frame.dataset_offset, frame.description, frame.record});
  {
    const std::lock_guard lock(mutex_);
    --rendering_;
  }
  changed_.notify_all();
  return made;
}

}  // namespace isthmus::datastore
