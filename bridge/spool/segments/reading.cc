#include "spool/segments/reading.h"

#include <algorithm>

#include "base/digest.h"
#include "model/layout.h"

namespace isthmus::segments {
namespace {

constexpr std::size_t kReadBytes = 1 * MiB;

Error not_there() {
  return permanent_error("spool.not_found", "The instance's bytes are not in the spool.");
}

Error unreadable(const Error& error) {
  return transient_error("spool.io", "A segment of the spool could not be read (" + error.message +
                                         "): see whether the disk is failing.");
}

}  // namespace

Result<void> scan(Env& env, const FileSystem::Path& path, const SegmentHeader& segment,
                  const std::function<Result<void>(Record)>& found) {
  TRY_ASSIGN(const auto file, env.files.open(path, FileSystem::Mode::read_only));
  Bytes window(kReadBytes);
  std::uint64_t offset = kFirstRecordOffset;
  while (offset < segment.size_bytes) {
    TRY_ASSIGN(const std::size_t got, file->read_at(offset, window));
    if (got < kPayloadOffset) break;
    std::size_t at = 0;
    while (at < got && got - at >= kPayloadOffset) {
      auto record = decode_record(ByteSpan(window).subspan(at, got - at), segment, offset + at);
      if (!record) {
        at += kBlockBytes;
        continue;
      }
      at += record_bytes(record->arrival.size_bytes);
      TRY(found(std::move(*record)));
    }
    offset += at;
  }
  return {};
}

Result<bool> payload_is_whole(const File& file, const Record& record) {
  const Arrival& arrival = record.arrival;
  const auto place = place_of(arrival.spool_ref);
  ASSERT(place);
  Sha256 digest;
  std::uint32_t head_checksum = 0;
  Bytes window(
      static_cast<std::size_t>(std::clamp<std::uint64_t>(arrival.size_bytes, 1, kReadBytes)));
  std::uint64_t at = 0;
  while (at < arrival.size_bytes) {
    const std::uint64_t end =
        at < arrival.dataset_offset_bytes ? arrival.dataset_offset_bytes : arrival.size_bytes;
    const auto wanted =
        MutableByteSpan(window).first(std::min<std::uint64_t>(end - at, window.size()));
    TRY_ASSIGN(const std::size_t got, file.read_at(place->payload_offset() + at, wanted));
    if (got != wanted.size()) return false;
    if (at < arrival.dataset_offset_bytes) {
      head_checksum = crc32c(wanted, head_checksum);
    } else {
      digest.update(wanted);
    }
    at += got;
  }
  return head_checksum == record.head_checksum && digest.finish() == arrival.dataset_digest;
}

Result<OpenRecord> open_record(Env& env, const FileSystem::Path& directory, const Place& place) {
  auto file =
      env.files.open(directory / layout::segment_file(place.segment), FileSystem::Mode::read_only);
  if (!file.ok()) {
    return file.error().code == "disk.not_found" ? not_there() : unreadable(file.error());
  }
  Bytes blocks(2 * kBlockBytes);
  const auto headers = (*file)->read_at(0, blocks);
  if (!headers.ok()) return unreadable(headers.error());
  const auto segment = newest_header(ByteSpan(blocks).first(*headers));
  if (!segment || segment->generation != place.generation) return not_there();
  Bytes start(kPayloadOffset);
  const auto got = (*file)->read_at(place.offset, start);
  if (!got.ok()) return unreadable(got.error());
  auto record = decode_record(ByteSpan(start).first(*got), *segment, place.offset);
  if (!record || record->arrival.spool_ref != to_ref(place)) return not_there();
  return OpenRecord{std::move(file).value(), std::move(*record)};
}

}  // namespace isthmus::segments
