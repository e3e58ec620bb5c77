// What lies in a segment, byte by byte. A segment is a file of fixed size: two slots for its
// header, one block each, then records, each beginning at a block. Every record says by itself what
// it is and to which life of the segment it belongs, so that a reader needs nothing but the file.
//
//   block 0, 1   segment headers; the valid one with the higher generation counts. A recycled
//                segment gets its new header in the slot of the older one, so that a torn write
//                leaves it in its previous life.
//   block n      record: its header, then from kPayloadOffset on the Part 10 file as received
//
// Everything is little endian. Pure functions, no I/O.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "model/instance.h"

namespace isthmus::segments {

constexpr std::size_t kBlockBytes = kDirectAlignment;
constexpr std::uint64_t kFirstRecordOffset = 2 * kBlockBytes;
// The payload begins here in its record. An arrival whose header is longer (a long list of
// destinations, a patient identifier beyond all rules) goes to a file of its own.
constexpr std::size_t kPayloadOffset = 2048;

// Made at random for each life of a segment: what was in the file before, or stands in a data set
// that somebody sends us, is not taken for a record.
using Nonce = std::array<std::byte, 16>;

struct SegmentHeader {
  std::uint32_t number = 0;
  std::uint64_t generation = 0;  // rises with each segment that is put to use, over all segments
  std::uint64_t size_bytes = 0;  // of the file
  Nonce nonce{};
  bool operator==(const SegmentHeader&) const = default;
};

// One block.
Bytes encode(const SegmentHeader& header);
// Nothing when any byte is not as encode() made it.
std::optional<SegmentHeader> decode_segment_header(ByteSpan block);
// The header's place for a generation.
constexpr std::uint64_t header_offset(std::uint64_t generation) {
  return generation % 2 * kBlockBytes;
}
// The header that counts, of the first two blocks.
std::optional<SegmentHeader> newest_header(ByteSpan two_blocks);

// Why a record is in the segment.
enum class RecordKind : std::uint8_t {
  arrival = 1,  // an instance as received: without a row, it is a promise
  copy = 2,     // bytes moved here from another segment: without its row, nothing
};

struct Record {
  RecordKind kind = RecordKind::arrival;
  std::uint64_t sequence = 0;  // over all segments, in the order of places
  // file_digest and spool_ref are not part of it: the one is not taken, the other is where it lies.
  Arrival arrival;
  std::uint32_t head_checksum = 0;  // CRC-32C of the bytes before the data set
};

// The header of a record, kPayloadOffset bytes with the zeros behind it. Nothing when it is longer.
std::optional<Bytes> encode(const Record& record, const SegmentHeader& segment);
// Whether encode() gives something for this record, whatever the segment.
bool fits(const Record& record);
// Reads a record's header from the first kPayloadOffset bytes of a block. Nothing unless it was
// made for this life of this segment and is whole, and the record ends within the segment.
// `offset` is the block's place in the segment.
std::optional<Record> decode_record(ByteSpan bytes, const SegmentHeader& segment,
                                    std::uint64_t offset);
// Blocks that a record with so long a payload takes, in bytes.
constexpr std::uint64_t record_bytes(std::uint64_t payload_bytes) {
  return (kPayloadOffset + payload_bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}

// Where a payload lies. The text is "segment:" and four numbers, hexadecimal and of fixed width, so
// that texts sort as the bytes lie.
struct Place {
  std::uint32_t segment = 0;
  std::uint64_t generation = 0;
  std::uint64_t offset = 0;  // of the record
  std::uint64_t payload_bytes = 0;
  bool operator==(const Place&) const = default;

  std::uint64_t payload_offset() const { return offset + kPayloadOffset; }
  std::size_t block() const { return static_cast<std::size_t>(offset / kBlockBytes); }
};
constexpr std::string_view kRefPrefix = "segment:";
SpoolRef to_ref(const Place& place);
// Nothing for a text that to_ref did not make.
std::optional<Place> place_of(const SpoolRef& ref);

}  // namespace isthmus::segments
