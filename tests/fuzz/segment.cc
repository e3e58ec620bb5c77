// Records of the segmented spool, as a restart finds them: after a power cut any bytes may be
// there. What is taken for a record is one that we wrote, whole, for this life of this segment;
// what we write is read again, and not with one bit of it changed.
#include <algorithm>
#include <cstring>

#include "base/digest.h"
#include "fuzz/fuzz.h"
#include "spool/segments/format.h"

namespace isthmus::fuzz {
namespace {

using segments::Record;
using segments::SegmentHeader;

constexpr std::uint64_t kOffset = segments::kFirstRecordOffset;

SegmentHeader segment() {
  SegmentHeader header{.number = 7, .generation = 9, .size_bytes = 64 * MiB};
  header.nonce.fill(std::byte{0x5A});
  return header;
}

Record sound_record() {
  Record record;
  record.sequence = 11;
  Arrival& arrival = record.arrival;
  arrival.id = *InstanceId::parse("00112233445566778899aabbccddeeff");
  arrival.identity = {*Uid::parse("1.2.840.10008.5.1.4.1.1.2"),
                      *Uid::parse("2.25.1"),
                      *Uid::parse("2.25.2"),
                      *Uid::parse("2.25.3"),
                      "SYNTHETIC-1",
                      "CT"};
  arrival.origin = {"dimse", "MODALITY", "ISTHMUS", "192.0.2.7", "a1"};
  arrival.transfer_syntax_uid = "1.2.840.10008.1.2.1";
  arrival.size_bytes = 5'000;
  arrival.dataset_offset_bytes = 400;
  arrival.destinations = std::vector<std::string>{"main", "second"};
  return record;
}

// What stands in a record before its fields: a fuzzer does not guess a checksum. The fields are
// laid over those of a sound record, and all is encoded by way of a checksum that fits.
Bytes with_fields(ByteSpan fields) {
  Bytes header = *segments::encode(sound_record(), segment());
  constexpr std::size_t kFieldsAt = 16;
  const std::size_t count = std::min(fields.size(), header.size() - kFieldsAt);
  std::memcpy(header.data() + kFieldsAt, fields.data(), count);
  const std::uint32_t before = crc32c(ByteSpan(header).first(kFieldsAt - 4));
  const std::uint32_t checksum = crc32c(ByteSpan(header).subspan(kFieldsAt), before);
  for (std::size_t i = 0; i < 4; ++i) {
    header[kFieldsAt - 4 + i] = static_cast<std::byte>(checksum >> (8 * i) & 0xff);
  }
  return header;
}

void check_record(const Record& record, ByteSpan changes) {
  check(record.arrival.dataset_offset_bytes <= record.arrival.size_bytes, "a data set in its file");
  check(kOffset + segments::record_bytes(record.arrival.size_bytes) <= segment().size_bytes,
        "that lies in the segment");
  const auto place = segments::place_of(record.arrival.spool_ref);
  check(place && place->offset == kOffset, "and says where");
  const auto encoded = segments::encode(record, segment());
  check(encoded.has_value(), "what was read can be written");
  const auto again = segments::decode_record(*encoded, segment(), kOffset);
  check(again.has_value(), "and read");
  check(segments::encode(*again, segment()) == encoded, "and is the same");
  if (changes.size() < 2) return;
  Bytes torn = *encoded;
  const std::size_t at =
      (std::to_integer<std::size_t>(changes[0]) | std::to_integer<std::size_t>(changes[1]) << 8) %
      torn.size();
  torn[at] ^= static_cast<std::byte>(1 << (at % 8));
  check(!segments::decode_record(torn, segment(), kOffset), "but not with a bit of it changed");
}

void run(ByteSpan input) {
  if (input.empty()) return;
  const bool as_it_is = (std::to_integer<unsigned>(input[0]) & 1) != 0;
  const ByteSpan bytes = input.subspan(1);
  const Bytes header = as_it_is ? Bytes(bytes.begin(), bytes.end()) : with_fields(bytes);
  if (const auto record = segments::decode_record(header, segment(), kOffset)) {
    check_record(*record, bytes);
  }
  if (const auto read = segments::decode_segment_header(bytes)) {
    const Bytes block = segments::encode(*read);
    check(segments::decode_segment_header(block) == read, "a segment's header is read back");
  }
  (void)segments::newest_header(bytes);
  const SpoolRef ref{std::string(as_text(bytes))};
  if (const auto place = segments::place_of(ref)) {
    check(segments::to_ref(*place).text == ref.text, "a place has one name");
  }
}

std::vector<std::string> seeds() {
  const Bytes record = *segments::encode(sound_record(), segment());
  const Bytes header = segments::encode(segment());
  const std::string whole(as_text(record));
  return {std::string(1, '\0') + whole.substr(16), std::string(1, '\1') + whole,
          std::string(1, '\1') + std::string(as_text(header)),
          std::string(1, '\1') + std::string(as_text(header)) + std::string(as_text(header)),
          std::string(1, '\1') + segments::to_ref({1, 2, kOffset, 4}).text};
}

}  // namespace

Harness segment_harness() {
  return {"segment", run, 2 * segments::kBlockBytes + 1, seeds};
}

}  // namespace isthmus::fuzz
