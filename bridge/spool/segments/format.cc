#include "spool/segments/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <concepts>
#include <cstring>

namespace isthmus::segments {
namespace {

constexpr std::string_view kSegmentMagic = "ISTHMSEG";
constexpr std::string_view kRecordMagic = "ISTHMREC";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kChecksumBytes = 4;
// Magic and version: what stands before the checksum of a record's header.
constexpr std::size_t kRecordChecksumAt = 12;
constexpr std::uint32_t kAllDestinations = 0xFFFFFFFF;

class Writer {
 public:
  explicit Writer(std::size_t most_bytes) { bytes_.reserve(most_bytes); }
  template <std::unsigned_integral Number>
  void number(Number value) {
    for (std::size_t i = 0; i < sizeof(Number); ++i) {
      bytes_.push_back(static_cast<std::byte>(value >> (8 * i) & 0xFF));
    }
  }
  void raw(ByteSpan bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void text(std::string_view text) {
    number(static_cast<std::uint32_t>(text.size()));
    raw(as_bytes(text));
  }
  std::size_t size() const { return bytes_.size(); }
  Bytes& bytes() { return bytes_; }

 private:
  Bytes bytes_;
};

// Reads what a Writer wrote. After the first thing that is not there, everything reads as nothing,
// and good() is false.
class Reader {
 public:
  explicit Reader(ByteSpan bytes) : rest_(bytes) {}

  template <std::unsigned_integral Number>
  Number number() {
    const ByteSpan bytes = raw(sizeof(Number));
    Number value = 0;
    for (std::size_t i = bytes.size(); i > 0; --i) {
      value = static_cast<Number>(value << 8 | std::to_integer<Number>(bytes[i - 1]));
    }
    return value;
  }
  ByteSpan raw(std::size_t count) {
    if (count > rest_.size()) good_ = false;
    if (!good_) return {};
    const ByteSpan bytes = rest_.first(count);
    rest_ = rest_.subspan(count);
    return bytes;
  }
  template <std::size_t Count>
  std::array<std::byte, Count> array() {
    std::array<std::byte, Count> value{};
    std::ranges::copy(raw(Count), value.begin());
    return value;
  }
  std::string text() { return std::string(as_text(raw(number<std::uint32_t>()))); }
  Uid uid() {
    const std::string text_of_it = text();
    const auto uid = Uid::parse(text_of_it);
    if (!uid) good_ = false;
    return uid.value_or(Uid());
  }
  void expect(bool condition) { good_ = good_ && condition; }
  bool good() const { return good_; }

 private:
  ByteSpan rest_;
  bool good_ = true;
};

// Of a record's header and the zeros behind it, the checksum's own place left out.
std::uint32_t header_checksum(ByteSpan header) {
  const std::uint32_t before = crc32c(header.first(kRecordChecksumAt));
  return crc32c(header.subspan(kRecordChecksumAt + kChecksumBytes), before);
}

void write_arrival(Writer& writer, const Arrival& arrival) {
  writer.number(arrival.size_bytes);
  writer.number(arrival.dataset_offset_bytes);
  writer.number(static_cast<std::uint64_t>(arrival.received_at.time_since_epoch().count()));
  writer.raw(arrival.dataset_digest.raw());
  writer.text(arrival.id.text());
  for (const Uid* uid :
       {&arrival.identity.sop_class_uid, &arrival.identity.sop_instance_uid,
        &arrival.identity.series_instance_uid, &arrival.identity.study_instance_uid}) {
    writer.text(uid->text());
  }
  for (const std::string* text :
       {&arrival.identity.patient_id, &arrival.identity.modality, &arrival.transfer_syntax_uid,
        &arrival.origin.receiver, &arrival.origin.calling_ae_title, &arrival.origin.called_ae_title,
        &arrival.origin.peer_address, &arrival.origin.association_id}) {
    writer.text(*text);
  }
}

void write_destinations(Writer& writer, const Arrival& arrival) {
  if (!arrival.destinations) return writer.number(kAllDestinations);
  writer.number(static_cast<std::uint32_t>(arrival.destinations->size()));
  for (const std::string& destination : *arrival.destinations) writer.text(destination);
}

void read_destinations(Reader& reader, Arrival& arrival) {
  const auto count = reader.number<std::uint32_t>();
  if (count == kAllDestinations) return;
  std::vector<std::string> destinations;
  for (std::uint32_t i = 0; i < count && reader.good(); ++i) destinations.push_back(reader.text());
  arrival.destinations = std::move(destinations);
}

Arrival read_arrival(Reader& reader) {
  Arrival arrival;
  arrival.size_bytes = reader.number<std::uint64_t>();
  arrival.dataset_offset_bytes = reader.number<std::uint64_t>();
  arrival.received_at = WallTime(Milliseconds(reader.number<std::uint64_t>()));
  arrival.dataset_digest = Digest(reader.array<32>());
  const auto id = InstanceId::parse(reader.text());
  reader.expect(id.has_value());
  arrival.id = id.value_or(InstanceId());
  for (Uid* uid : {&arrival.identity.sop_class_uid, &arrival.identity.sop_instance_uid,
                   &arrival.identity.series_instance_uid, &arrival.identity.study_instance_uid}) {
    *uid = reader.uid();
  }
  for (std::string* text :
       {&arrival.identity.patient_id, &arrival.identity.modality, &arrival.transfer_syntax_uid,
        &arrival.origin.receiver, &arrival.origin.calling_ae_title, &arrival.origin.called_ae_title,
        &arrival.origin.peer_address, &arrival.origin.association_id}) {
    *text = reader.text();
  }
  reader.expect(arrival.dataset_offset_bytes <= arrival.size_bytes);
  return arrival;
}

Bytes write_record(const Record& record, const SegmentHeader& segment) {
  Writer writer(kPayloadOffset);
  writer.raw(as_bytes(kRecordMagic));
  writer.number(kVersion);
  writer.number(std::uint32_t{0});  // the checksum
  writer.number(static_cast<std::uint32_t>(record.kind));
  writer.number(segment.number);
  writer.number(segment.generation);
  writer.raw(segment.nonce);
  writer.number(record.sequence);
  writer.number(record.head_checksum);
  write_arrival(writer, record.arrival);
  write_destinations(writer, record.arrival);
  writer.text(record.arrival.identity.accession_number);
  return std::move(writer.bytes());
}

}  // namespace

Bytes encode(const SegmentHeader& header) {
  Writer writer(kBlockBytes);
  writer.raw(as_bytes(kSegmentMagic));
  writer.number(kVersion);
  writer.number(header.number);
  writer.number(header.generation);
  writer.number(header.size_bytes);
  writer.raw(header.nonce);
  writer.bytes().resize(kBlockBytes - kChecksumBytes);
  writer.number(crc32c(writer.bytes()));
  return std::move(writer.bytes());
}

std::optional<SegmentHeader> decode_segment_header(ByteSpan block) {
  if (block.size() != kBlockBytes) return std::nullopt;
  Reader reader(block);
  const bool is_ours = as_text(reader.raw(kSegmentMagic.size())) == kSegmentMagic &&
                       reader.number<std::uint32_t>() == kVersion;
  SegmentHeader header;
  header.number = reader.number<std::uint32_t>();
  header.generation = reader.number<std::uint64_t>();
  header.size_bytes = reader.number<std::uint64_t>();
  header.nonce = reader.array<16>();
  Reader tail(block.last(kChecksumBytes));
  if (!is_ours ||
      tail.number<std::uint32_t>() != crc32c(block.first(kBlockBytes - kChecksumBytes))) {
    return std::nullopt;
  }
  return header;
}

std::optional<SegmentHeader> newest_header(ByteSpan two_blocks) {
  if (two_blocks.size() < 2 * kBlockBytes) return std::nullopt;
  const auto first = decode_segment_header(two_blocks.first(kBlockBytes));
  const auto second = decode_segment_header(two_blocks.subspan(kBlockBytes, kBlockBytes));
  if (first && second) return first->generation > second->generation ? first : second;
  return first ? first : second;
}

bool fits(const Record& record) {
  return write_record(record, SegmentHeader{}).size() <= kPayloadOffset;
}

std::optional<Bytes> encode(const Record& record, const SegmentHeader& segment) {
  Bytes bytes = write_record(record, segment);
  if (bytes.size() > kPayloadOffset) return std::nullopt;
  bytes.resize(kPayloadOffset);
  const std::uint32_t checksum = header_checksum(bytes);
  for (std::size_t i = 0; i < kChecksumBytes; ++i) {
    bytes[kRecordChecksumAt + i] = static_cast<std::byte>(checksum >> (8 * i) & 0xFF);
  }
  return bytes;
}

std::optional<Record> decode_record(ByteSpan bytes, const SegmentHeader& segment,
                                    std::uint64_t offset) {
  if (bytes.size() < kPayloadOffset) return std::nullopt;
  const ByteSpan header = bytes.first(kPayloadOffset);
  Reader start(header);
  const bool is_ours = as_text(start.raw(kRecordMagic.size())) == kRecordMagic &&
                       start.number<std::uint32_t>() == kVersion;
  if (!is_ours || header_checksum(header) != start.number<std::uint32_t>()) return std::nullopt;

  Reader reader(header.subspan(kRecordChecksumAt + kChecksumBytes));
  Record record;
  const auto kind = reader.number<std::uint32_t>();
  reader.expect(kind == 1 || kind == 2);
  record.kind = static_cast<RecordKind>(kind);
  reader.expect(reader.number<std::uint32_t>() == segment.number);
  reader.expect(reader.number<std::uint64_t>() == segment.generation);
  reader.expect(reader.array<16>() == segment.nonce);
  record.sequence = reader.number<std::uint64_t>();
  record.head_checksum = reader.number<std::uint32_t>();
  record.arrival = read_arrival(reader);
  read_destinations(reader, record.arrival);
  // Records made before this was kept have zeros here: none.
  record.arrival.identity.accession_number = reader.text();
  reader.expect(record.arrival.size_bytes <= segment.size_bytes &&
                offset + record_bytes(record.arrival.size_bytes) <= segment.size_bytes);
  if (!reader.good()) return std::nullopt;
  record.arrival.spool_ref =
      to_ref({segment.number, segment.generation, offset, record.arrival.size_bytes});
  return record;
}

SpoolRef to_ref(const Place& place) {
  return {fmt::format("{}{:08x}:{:012x}:{:010x}:{:08x}", kRefPrefix, place.segment,
                      place.generation, place.offset, place.payload_bytes)};
}

std::optional<Place> place_of(const SpoolRef& ref) {
  std::string_view rest = ref.text;
  if (!rest.starts_with(kRefPrefix)) return std::nullopt;
  rest.remove_prefix(kRefPrefix.size());
  std::array<std::uint64_t, 4> numbers{};
  for (std::uint64_t& number : numbers) {
    const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), number, 16);
    if (parsed.ec != std::errc()) return std::nullopt;
    rest.remove_prefix(static_cast<std::size_t>(parsed.ptr - rest.data()));
    if (!rest.empty()) rest.remove_prefix(1);
  }
  const Place place{static_cast<std::uint32_t>(numbers[0]), numbers[1], numbers[2], numbers[3]};
  // Whatever is not exactly what to_ref makes is not a reference.
  if (to_ref(place) != ref || place.offset % kBlockBytes != 0) return std::nullopt;
  return place;
}

}  // namespace isthmus::segments
