// Frames: where they lie, what is in them, and what is made of them.
#include <gtest/gtest.h>

#include "datastore/engine/examine.h"
#include "datastore/engine/pixels/codecs.h"
#include "datastore/engine/pixels/layout.h"
#include "datastore/engine/pixels/openjpeg.h"
#include "datastore/engine/pixels/openjph.h"
#include "support/dicom_factory.h"
#include "support/matchers.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;
using test::DicomRecipe;
using test::DicomWriter;
using test::FailsWith;
using test::IsOk;

std::string text_of(const Bytes& bytes) {
  return std::string(as_text(bytes));
}

struct Found {
  json answer;
  PixelDescription description;
  std::vector<FrameRecord> frames;
};

Found examined(const std::string& file, bool measure = true) {
  static const bool ready = prepare_examiner().ok();
  EXPECT_TRUE(ready);
  Found found;
  found.answer = examine(*source_of(std::string(file)), {.measure_frames = measure});
  EXPECT_TRUE(found.answer["ok"].get<bool>()) << found.answer.dump();
  if (!found.answer.contains("pixelData")) return found;
  found.description = *description_from_json(found.answer["pixelData"]["description"]);
  const Bytes records = *from_base64(found.answer["pixelData"]["records"].get<std::string>());
  for (std::size_t at = 0; at < records.size(); at += kFrameRecordBytes) {
    found.frames.push_back(read_record(ByteSpan(records).subspan(at, kFrameRecordBytes)));
  }
  return found;
}

// An image of the test's own: shape, pixel data as an element of these bytes.
struct Image {
  std::string syntax{test::kExplicitLittle};
  std::uint16_t rows = 2, columns = 3, samples = 1, allocated = 16, stored = 16;
  bool is_signed = false, planar = false;
  std::string photometric = "MONOCHROME2";
  std::string frames = "1";
  std::string vr = "OW";
};

std::string file_of(const Image& image, const std::function<void(DicomWriter&)>& pixels) {
  DicomWriter w(test::syntax_of(image.syntax));
  w.element(0x00080016, "UI", test::kSecondaryCapture)
      .element(0x00080018, "UI", "2.25.7.1.1")
      .element(0x0020000D, "UI", "2.25.7")
      .element(0x0020000E, "UI", "2.25.7.1")
      .us(0x00280002, image.samples)
      .element(0x00280004, "CS", image.photometric);
  if (image.samples > 1) w.us(0x00280006, image.planar ? 1 : 0);
  w.element(0x00280008, "IS", image.frames)
      .us(0x00280010, image.rows)
      .us(0x00280011, image.columns)
      .us(0x00280100, image.allocated)
      .us(0x00280101, image.stored)
      .us(0x00280102, static_cast<std::uint16_t>(image.stored - 1))
      .us(0x00280103, image.is_signed ? 1 : 0);
  pixels(w);
  return test::part10_around(w.bytes(), image.syntax, test::kSecondaryCapture, "2.25.7.1.1");
}

std::string file_of(const Image& image, const std::string& pixels) {
  return file_of(image, [&](DicomWriter& w) { w.element(0x7FE00010, image.vr, pixels); });
}

// What is stored of a frame, decoded again by the library that made it.
std::string plain(const Found& found, const std::string& file, std::size_t index) {
  const FrameRecord& record = found.frames.at(index);
  const std::string dataset = file.substr(found.answer["datasetOffset"].get<std::size_t>());
  const ByteSpan covered = as_bytes(dataset).subspan(static_cast<std::size_t>(record.offset),
                                                     static_cast<std::size_t>(record.length));
  const Result<Bytes> bytes = frame_bytes(found.description, record, covered);
  EXPECT_THAT(bytes, IsOk());
  if (is_stored_as_it_came(found.description)) return text_of(*bytes);
  const Result<DecodedFrame> frame = decode_frame(found.description, *bytes);
  EXPECT_THAT(frame, IsOk());
  return text_of(frame->pixels);
}

TEST(PixelLayout, RecordsComeBackAsTheyWere) {
  const FrameRecord record{.offset = 1'000'000'000'007,
                           .length = 9,
                           .fragments = 3,
                           .bit_offset = 5,
                           .state = FrameState::broken,
                           .checksum = 0xDEADBEEF,
                           .size_bytes = 77,
                           .smallest = -32768,
                           .largest = 65535};
  Bytes bytes;
  append_record(record, bytes);

  ASSERT_EQ(bytes.size(), kFrameRecordBytes);
  EXPECT_EQ(read_record(bytes), record);
}

TEST(PixelLayout, AnIdLeadsBackToItsFrame) {
  const Digest blob = sha256("blob");

  const auto name = parse_frame_id(frame_id(blob, 4711));

  ASSERT_TRUE(name);
  EXPECT_EQ(name->index, 4711U);
  EXPECT_EQ(name->blob_prefix, blob.hex().substr(0, 24));
  EXPECT_FALSE(parse_frame_id("zz"));
  EXPECT_FALSE(parse_frame_id(std::string(32, 'z')));
}

TEST(PixelLayout, NativeFramesFollowEachOther) {
  Image image{.frames = "2"};
  const std::string pixels("abcdefghijklABCDEFGHIJKL");
  const std::string file = file_of(image, pixels);

  const Found found = examined(file);

  ASSERT_EQ(found.frames.size(), 2U);
  EXPECT_EQ(plain(found, file, 0), pixels.substr(0, 12));
  EXPECT_EQ(plain(found, file, 1), pixels.substr(12));
  EXPECT_EQ(found.frames[1].checksum, crc32(as_bytes(pixels.substr(12))));
  EXPECT_EQ(found.frames[0].size_bytes, 12U);
  EXPECT_EQ(found.description.form, FrameForm::transcoded);
}

TEST(PixelLayout, SaysTheSameOfTheSamePixelsInEveryByteOrder) {
  const std::string little("\x01\x80\xFF\x7F\x00\x00\x34\x12\xFE\xFF\x10\x00", 12);
  std::string big = little;
  for (std::size_t i = 0; i < big.size(); i += 2) std::swap(big[i], big[i + 1]);
  Image image{.is_signed = true};
  const Found expected = examined(file_of(image, little));
  EXPECT_EQ(expected.frames.at(0).smallest, -32767);
  EXPECT_EQ(expected.frames.at(0).largest, 32767);

  image.syntax = test::kExplicitBig;
  const Found found = examined(file_of(image, big));

  EXPECT_EQ(found.frames.at(0).checksum, expected.frames.at(0).checksum);
  EXPECT_EQ(found.frames.at(0).smallest, expected.frames.at(0).smallest);
}

TEST(PixelLayout, TurnsTheWordsOfABigEndianFileOfBytes) {
  // Nine bytes in OW: the ninth stands behind a byte that is not the frame's.
  Image image{.syntax = std::string(test::kExplicitBig), .rows = 3, .allocated = 8, .stored = 8};
  const std::string file = file_of(image, std::string("badcfehg\0i", 10));

  const Found found = examined(file);

  EXPECT_EQ(plain(found, file, 0), "abcdefghi");
  EXPECT_EQ(found.frames.at(0).checksum, crc32(as_bytes("abcdefghi")));
}

TEST(PixelLayout, ColourComesByPixel) {
  Image image{.rows = 1,
              .columns = 4,
              .samples = 3,
              .allocated = 8,
              .stored = 8,
              .planar = true,
              .photometric = "RGB",
              .vr = "OB"};
  const std::string file = file_of(image, "RRRRGGGGBBBB");

  const Found found = examined(file);

  EXPECT_EQ(plain(found, file, 0), "RGBRGBRGBRGB");
}

TEST(PixelLayout, SubsampledColourIsFilledUp) {
  Image image{.rows = 1,
              .columns = 4,
              .samples = 3,
              .allocated = 8,
              .stored = 8,
              .photometric = "YBR_FULL_422",
              .vr = "OB"};
  const std::string file = file_of(image, "12bc34de");

  const Found found = examined(file);

  EXPECT_EQ(plain(found, file, 0), "1bc2bc3de4de");
}

TEST(PixelLayout, OneBitFramesBeginWithAByte) {
  // Five bits a frame: 10110, 01101, least significant first.
  Image image{.rows = 1, .columns = 5, .allocated = 1, .stored = 1, .frames = "2", .vr = "OB"};
  const std::string file = file_of(image, std::string("\xCD\x02", 2));

  const Found found = examined(file);

  EXPECT_EQ(found.description.form, FrameForm::native);
  ASSERT_EQ(found.frames.size(), 2U);
  EXPECT_EQ(plain(found, file, 0), "\x0D");
  EXPECT_EQ(plain(found, file, 1), "\x16");
}

TEST(PixelLayout, PixelsOf32BitsStayAsTheyAre) {
  Image image{.rows = 1, .columns = 2, .allocated = 32, .stored = 32};
  const std::string file = file_of(image, "abcdefgh");

  const Found found = examined(file);

  EXPECT_EQ(found.description.form, FrameForm::native);
  EXPECT_EQ(plain(found, file, 0), "abcdefgh");
}

TEST(PixelLayout, FloatingPointPixelsHaveNoFrames) {
  Image image{.rows = 1, .columns = 2, .allocated = 32, .stored = 32};
  const std::string file =
      file_of(image, [](DicomWriter& w) { w.element(0x7FE00008, "OF", std::string(8, '\0')); });

  const Found found = examined(file);

  EXPECT_TRUE(found.frames.empty());
  EXPECT_EQ(found.answer["warnings"][0]["type"], "FRAMES_EXTRACTION_FAILURE");
}

// --- fragments

// JPEG baseline is kept: any bytes will do.
Found kept(const std::vector<std::string>& fragments, const std::string& table,
           const std::string& frames, const std::string& extended = "") {
  Image image{
      .syntax = std::string(test::kJpegBaseline), .allocated = 8, .stored = 8, .frames = frames};
  const std::string file = file_of(image, [&](DicomWriter& w) {
    if (!extended.empty()) w.element(0x7FE00001, "OV", extended);
    w.fragments(fragments, table);
  });
  Found found = examined(file);
  for (std::size_t i = 0; i < found.frames.size(); ++i) {
    found.answer["bytes"].push_back(plain(found, file, i));
  }
  return found;
}

std::string offsets(std::initializer_list<int> numbers, std::size_t width) {
  std::string text;
  for (const int number : numbers) {
    for (std::size_t i = 0; i < width; ++i) {
      text += i < 2 ? static_cast<char>(number >> (8 * i)) : '\0';
    }
  }
  return text;
}

TEST(Fragments, FollowTheOffsetTable) {
  const Found found = kept({"aa", "bb", "cc"}, offsets({0, 20}, 4), "2");

  EXPECT_EQ(found.answer["bytes"], json::array({"aabb", "cc"}));
  EXPECT_EQ(found.frames[0].checksum, crc32(as_bytes("aabb")));
  EXPECT_EQ(found.frames[0].size_bytes, 4U);
}

TEST(Fragments, FollowTheExtendedOffsetTable) {
  const Found found = kept({"aa", "bb", "cc"}, "", "2", offsets({0, 20}, 8));

  EXPECT_EQ(found.answer["bytes"], json::array({"aabb", "cc"}));
}

TEST(Fragments, AreAFrameEachWhenTheNumbersAgree) {
  EXPECT_EQ(kept({"aa", "bb"}, "", "2").answer["bytes"], json::array({"aa", "bb"}));
  EXPECT_EQ(kept({"aa", "bb"}, "", "1").answer["bytes"], json::array({"aabb"}));
}

TEST(Fragments, BeginAFrameWhereACodeStreamBegins) {
  const Found found = kept({"\xFF\xD8", "bb", "\xFF\xD8", "dd", "ee"}, "", "2");

  ASSERT_EQ(found.frames.size(), 2U);
  EXPECT_EQ(found.frames[0].fragments, 2U);
  EXPECT_EQ(found.frames[1].fragments, 3U);
}

TEST(Fragments, OfAWrongOffsetTableAreCountedInstead) {
  const Found found = kept({"aa", "bb"}, offsets({0, 6}, 4), "2");

  EXPECT_EQ(found.answer["bytes"], json::array({"aa", "bb"}));
  EXPECT_EQ(found.answer["warnings"][0]["type"], "INVALID_OFFSET_TABLE");
}

TEST(Fragments, ThatCannotBeDecodedCostTheirFramesOnly) {
  Image image{.syntax = std::string(test::kRle), .frames = "2"};
  const std::string file = file_of(image, [](DicomWriter& w) {
    w.fragments({"no header", "none either"}, "");
  });

  const Found found = examined(file);

  ASSERT_EQ(found.frames.size(), 2U);
  EXPECT_EQ(found.frames[0].state, FrameState::broken);
  EXPECT_EQ(found.answer["warnings"][0]["type"], "TRANSCODING_EXCEPTION");
}

TEST(Fragments, AreNotDecodedWhenNobodyAsks) {
  const Found found = examined(file_of(Image{}, "abcdefghijkl"), false);

  ASSERT_EQ(found.frames.size(), 1U);
  EXPECT_EQ(found.frames[0].state, FrameState::unmeasured);
  EXPECT_EQ(found.answer["warnings"][0]["type"], "OTHER");
}

// --- code streams

struct Shape {
  std::uint32_t rows, columns, samples, bytes, stored;
  bool is_signed;
};

PixelDescription description_of(const Shape& shape) {
  PixelDescription d;
  d.rows = shape.rows;
  d.columns = shape.columns;
  d.samples = shape.samples;
  d.bits_allocated = 8 * shape.bytes;
  d.bits_stored = shape.stored;
  d.is_signed = shape.is_signed;
  d.photometric = shape.samples == 3 ? "RGB" : "MONOCHROME2";
  return d;
}

// Every value that the bits allow, and noise.
DecodedFrame frame_of(const Shape& shape, bool beyond_stored) {
  DecodedFrame frame = *blank_frame(description_of(shape));
  std::uint32_t state = 12345;
  const std::uint32_t bits = beyond_stored ? 8 * shape.bytes : shape.stored;
  for (std::size_t i = 0; i < frame.sample_count(); ++i) {
    state = state * 1664525 + 1013904223;
    const auto value = static_cast<std::int64_t>(state >> 8 & ((1U << bits) - 1));
    frame.set_sample(i, shape.is_signed ? value - (std::int64_t{1} << (bits - 1)) : value);
  }
  return frame;
}

class CodeStreams : public testing::TestWithParam<Shape> {};

TEST_P(CodeStreams, GiveBackEveryBit) {
  for (const bool beyond : {false, true}) {
    const DecodedFrame frame = frame_of(GetParam(), beyond);

    const Result<Bytes> htj2k = encode_frame(frame, "HTJ2K");
    ASSERT_THAT(htj2k, IsOk());
    const auto decoded = decode_htj2k(description_of(GetParam()), *htj2k);
    ASSERT_THAT(decoded, IsOk());
    EXPECT_EQ(decoded->pixels, frame.pixels);
    // Another's decoder of the same code stream.
    const auto elsewhere = decode_jpeg2000(description_of(GetParam()), *htj2k);
    ASSERT_THAT(elsewhere, IsOk());
    EXPECT_EQ(elsewhere->pixels, frame.pixels);

    const Result<Bytes> jpeg2000 = encode_frame(frame, "JPEG_2000_LOSSLESS");
    ASSERT_THAT(jpeg2000, IsOk());
    const auto again = decode_jpeg2000(description_of(GetParam()), *jpeg2000);
    ASSERT_THAT(again, IsOk());
    EXPECT_EQ(again->pixels, frame.pixels);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, CodeStreams,
    testing::Values(Shape{1, 1, 1, 1, 8, false}, Shape{3, 5, 1, 1, 7, false},
                    Shape{64, 64, 1, 2, 12, false}, Shape{65, 130, 1, 2, 16, false},
                    Shape{33, 31, 1, 2, 12, true}, Shape{70, 70, 1, 2, 16, true},
                    Shape{40, 41, 3, 1, 8, false}, Shape{40, 41, 3, 2, 16, false},
                    Shape{16, 300, 1, 1, 8, true}));

// The decoder of the stock web viewers mixes up the lines of three components without it.
TEST(CodeStreams, OfThreeComponentsUseTheReversibleTransformWhateverTheyMean) {
  PixelDescription d = description_of({40, 41, 3, 1, 8, false});
  d.photometric = "YBR_FULL_422";
  const Result<Bytes> htj2k = encode_frame(*blank_frame(d), "HTJ2K");
  ASSERT_THAT(htj2k, IsOk());
  const std::size_t cod = as_text(*htj2k).find("\xFF\x52");  // ISO/IEC 15444-1 section A.6.1
  ASSERT_NE(cod, std::string::npos);

  EXPECT_EQ((*htj2k)[cod + 8], std::byte{1});
}

TEST(CodeStreams, OfAnotherShapeAreRefused) {
  const Bytes htj2k = *encode_frame(frame_of({8, 8, 1, 1, 8, false}, false), "HTJ2K");

  EXPECT_THAT(decode_htj2k(description_of({9, 8, 1, 1, 8, false}), htj2k),
              FailsWith("pixels.broken"));
  EXPECT_THAT(decode_jpeg2000(description_of({8, 9, 1, 1, 8, false}), htj2k),
              FailsWith("pixels.broken"));
}

TEST(CodeStreams, CutOffOrDamagedAreRefusedOrDecodedToTheRightSize) {
  const DecodedFrame frame = frame_of({64, 64, 1, 2, 12, false}, false);
  const PixelDescription shape = description_of({64, 64, 1, 2, 12, false});
  for (const char* format : {"HTJ2K", "JPEG_2000_LOSSLESS"}) {
    const Bytes whole = *encode_frame(frame, format);
    for (std::size_t size = 0; size < whole.size(); size += 97) {
      const auto decoded = decode_jpeg2000(shape, ByteSpan(whole).first(size));
      if (!decoded) continue;
      EXPECT_EQ(decoded->pixels.size(), frame.pixels.size());
    }
  }
}

}  // namespace
}  // namespace isthmus::datastore
