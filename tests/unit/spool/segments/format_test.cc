// What lies in a segment: what is written is read back, and whatever was not written in this life
// of this segment is not.
#include "spool/segments/format.h"

#include <gtest/gtest.h>

#include "support/incoming.h"

namespace isthmus::segments {
namespace {

using test::make_sent;
using test::Sent;

SegmentHeader segment_header() {
  SegmentHeader header{7, 42, 1 * MiB, {}};
  for (std::size_t i = 0; i < header.nonce.size(); ++i) header.nonce[i] = std::byte(i * 7 + 1);
  return header;
}

Record record_of(const Sent& sent) {
  Record record;
  record.sequence = 99;
  record.head_checksum = 0x12345678;
  Arrival& arrival = record.arrival;
  arrival.id = *InstanceId::parse("0123456789abcdef0123456789abcdef");
  arrival.identity = sent.identified.identity;
  arrival.identity.accession_number = "ACC-1";
  arrival.origin = {"dimse", "CT1", "ISTHMUS", "192.0.2.7", "0123"};
  arrival.transfer_syntax_uid = sent.identified.transfer_syntax_uid;
  arrival.size_bytes = sent.whole().size();
  arrival.dataset_offset_bytes = sent.head.size();
  arrival.dataset_digest = sha256(sent.dataset);
  arrival.destinations = {{"cloud", "archive"}};
  arrival.received_at = WallTime(Milliseconds(1'770'000'000'123));
  return record;
}

TEST(SegmentFormat, AHeaderIsReadBack) {
  const SegmentHeader header = segment_header();

  const Bytes block = encode(header);

  ASSERT_EQ(block.size(), kBlockBytes);
  EXPECT_EQ(decode_segment_header(block), header);
}

TEST(SegmentFormat, AHeaderWithAnyByteChangedIsNone) {
  const Bytes whole = encode(segment_header());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    Bytes block = whole;
    block[i] ^= std::byte{0x10};
    EXPECT_FALSE(decode_segment_header(block)) << "byte " << i;
  }
}

TEST(SegmentFormat, TheNewerOfTwoHeadersCountsAndATornOneLeavesTheOther) {
  SegmentHeader older = segment_header(), newer = segment_header();
  newer.generation = older.generation + 3;
  Bytes blocks(2 * kBlockBytes);
  std::ranges::copy(encode(older),
                    blocks.begin() + static_cast<std::ptrdiff_t>(header_offset(older.generation)));
  std::ranges::copy(encode(newer),
                    blocks.begin() + static_cast<std::ptrdiff_t>(header_offset(newer.generation)));
  EXPECT_EQ(newest_header(blocks), newer);

  blocks[header_offset(newer.generation) + 30] ^= std::byte{1};

  EXPECT_EQ(newest_header(blocks), older);
}

TEST(SegmentFormat, ARecordIsReadBack) {
  const Sent sent = make_sent(1, 5000);
  const Record record = record_of(sent);

  const auto bytes = encode(record, segment_header());

  ASSERT_TRUE(bytes);
  ASSERT_EQ(bytes->size(), kPayloadOffset);
  const auto read = decode_record(*bytes, segment_header(), 16 * KiB);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->kind, RecordKind::arrival);
  EXPECT_EQ(read->sequence, record.sequence);
  EXPECT_EQ(read->head_checksum, record.head_checksum);
  EXPECT_EQ(read->arrival.id, record.arrival.id);
  EXPECT_EQ(read->arrival.identity.sop_class_uid, record.arrival.identity.sop_class_uid);
  EXPECT_EQ(read->arrival.identity.sop_instance_uid, record.arrival.identity.sop_instance_uid);
  EXPECT_EQ(read->arrival.identity.series_instance_uid,
            record.arrival.identity.series_instance_uid);
  EXPECT_EQ(read->arrival.identity.study_instance_uid, record.arrival.identity.study_instance_uid);
  EXPECT_EQ(read->arrival.identity.patient_id, "SYNTHETIC");
  EXPECT_EQ(read->arrival.identity.modality, "CT");
  EXPECT_EQ(read->arrival.identity.accession_number, "ACC-1");
  EXPECT_EQ(read->arrival.origin, record.arrival.origin);
  EXPECT_EQ(read->arrival.transfer_syntax_uid, record.arrival.transfer_syntax_uid);
  EXPECT_EQ(read->arrival.size_bytes, record.arrival.size_bytes);
  EXPECT_EQ(read->arrival.dataset_offset_bytes, record.arrival.dataset_offset_bytes);
  EXPECT_EQ(read->arrival.dataset_digest, record.arrival.dataset_digest);
  EXPECT_EQ(read->arrival.destinations, record.arrival.destinations);
  EXPECT_EQ(read->arrival.received_at, record.arrival.received_at);
  EXPECT_TRUE(read->arrival.file_digest.empty());
  const Place place{7, 42, 16 * KiB, sent.whole().size()};
  EXPECT_EQ(place_of(read->arrival.spool_ref), place);
}

// What a program wrote that did not keep accession numbers ends after the destinations, in zeros:
// as a record without one does, but for the four zeros of its length.
TEST(SegmentFormat, ARecordWithoutAnAccessionNumberReadsAsNone) {
  Record record = record_of(make_sent(1, 5000));
  const auto with = encode(record, segment_header());
  record.arrival.identity.accession_number.clear();
  const auto without = encode(record, segment_header());

  const auto read = decode_record(*without, segment_header(), 16 * KiB);

  ASSERT_TRUE(read);
  EXPECT_EQ(read->arrival.identity.accession_number, "");
  EXPECT_EQ(read->arrival.destinations, record.arrival.destinations);
  EXPECT_NE(*with, *without);
}

TEST(SegmentFormat, AllDestinationsAndNoneAreToldApart) {
  Record record = record_of(make_sent(1, 5000));
  record.arrival.destinations.reset();
  EXPECT_FALSE(decode_record(*encode(record, segment_header()), segment_header(), 16 * KiB)
                   ->arrival.destinations);
  record.arrival.destinations.emplace();
  EXPECT_TRUE(decode_record(*encode(record, segment_header()), segment_header(), 16 * KiB)
                  ->arrival.destinations);
}

TEST(SegmentFormat, ARecordWithAnyByteChangedIsNone) {
  const Bytes whole = *encode(record_of(make_sent(1, 5000)), segment_header());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const std::byte flip : {std::byte{1}, std::byte{0x80}}) {
      Bytes bytes = whole;
      bytes[i] ^= flip;
      EXPECT_FALSE(decode_record(bytes, segment_header(), 16 * KiB)) << "byte " << i;
    }
  }
}

TEST(SegmentFormat, ARecordOfAnotherLifeOrSegmentIsNone) {
  const Bytes bytes = *encode(record_of(make_sent(1, 5000)), segment_header());
  SegmentHeader other_life = segment_header();
  other_life.generation += 2;
  SegmentHeader other_nonce = segment_header();
  other_nonce.nonce[3] ^= std::byte{1};
  SegmentHeader other_segment = segment_header();
  other_segment.number += 1;

  EXPECT_FALSE(decode_record(bytes, other_life, 16 * KiB));
  EXPECT_FALSE(decode_record(bytes, other_nonce, 16 * KiB));
  EXPECT_FALSE(decode_record(bytes, other_segment, 16 * KiB));
}

TEST(SegmentFormat, ARecordThatWouldEndBehindItsSegmentIsNone) {
  const Bytes bytes = *encode(record_of(make_sent(1, 5000)), segment_header());

  EXPECT_TRUE(decode_record(bytes, segment_header(), 1 * MiB - 8 * KiB));
  EXPECT_FALSE(decode_record(bytes, segment_header(), 1 * MiB - 4 * KiB));
}

TEST(SegmentFormat, ATruncatedHeaderIsNone) {
  const Bytes bytes = *encode(record_of(make_sent(1, 5000)), segment_header());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(decode_record(ByteSpan(bytes).first(length), segment_header(), 16 * KiB));
  }
}

TEST(SegmentFormat, WhatDoesNotFitIsNotWritten) {
  Record record = record_of(make_sent(1, 5000));
  record.arrival.identity.patient_id.assign(kPayloadOffset, 'x');

  EXPECT_FALSE(encode(record, segment_header()));
}

TEST(SegmentFormat, WhatFitsIsKnownBeforeItHasAPlace) {
  Record record = record_of(make_sent(1, 5000));
  record.arrival.identity.patient_id.clear();
  while (encode(record, segment_header())) {
    EXPECT_TRUE(fits(record));
    record.arrival.identity.patient_id += 'x';
  }

  EXPECT_FALSE(fits(record));
}

TEST(SegmentFormat, ReferencesSortAsTheBytesLie) {
  const Place places[] = {{1, 5, 8192, 10},
                          {1, 5, 16384, 9},
                          {1, 0x1000, 8192, 1},
                          {2, 1, 8192, 0xFFFFFFFF},
                          {0x10, 1, 8192, 5000}};
  for (std::size_t i = 0; i + 1 < std::size(places); ++i) {
    EXPECT_LT(to_ref(places[i]).text, to_ref(places[i + 1]).text);
    EXPECT_EQ(place_of(to_ref(places[i])), places[i]);
  }
}

}  // namespace
}  // namespace isthmus::segments
