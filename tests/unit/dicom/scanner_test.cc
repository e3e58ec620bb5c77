#include "dicom/scanner.h"

#include <gtest/gtest.h>

#include <chrono>

#include "support/dicom_factory.h"
#include "support/matchers.h"

namespace isthmus::dicom {
namespace {

using test::DicomRecipe;
using test::DicomWriter;
using test::FailsWith;
using test::IsOk;
using test::kExplicitLittle;
using test::kImplicitLittle;

Result<ScanReport> scan(std::string_view dataset, std::string_view syntax = kExplicitLittle,
                        const ScanLimits& limits = {}) {
  return scan_dataset(*source_of(std::string(dataset)), syntax, limits);
}

// `depth` sequences, each in the only item of the one before.
std::string nested(int depth, bool undefined,
                   DicomWriter::Syntax syntax = DicomWriter::Syntax::explicit_little,
                   std::string_view vr = "SQ") {
  std::string inner;
  for (int i = 0; i < depth; ++i) {
    DicomWriter w(syntax);
    inner = w.sequence(0x00081140, {inner}, undefined, vr).bytes();
  }
  return inner;
}

TEST(Scanner, CountsElementsItemsAndDepth) {
  DicomWriter inner;
  inner.us(0x00280010, 1).us(0x00280011, 1);
  DicomWriter w;
  w.element(0x00080060, "CS", "CT");
  w.sequence(0x00081140, {inner.bytes(), inner.bytes()}, true).element(0x7FE00010, "OW", "1234");

  ASSERT_OK_AND_ASSIGN(const ScanReport report, scan(w.bytes()));

  EXPECT_EQ(report.elements, 3U + 2U + 4U);
  EXPECT_EQ(report.deepest_nesting, 1U);
  EXPECT_TRUE(report.has_pixel_data);
  EXPECT_EQ(w.bytes().substr(report.pixel_data_offset, 4), "\xE0\x7F\x10" + std::string(1, '\0'));
}

TEST(Scanner, PassesEverySyntax) {
  for (const auto syntax : {kImplicitLittle, kExplicitLittle, test::kExplicitBig, test::kDeflated,
                            test::kJpegBaseline, test::kRle, test::kHtj2kLossless}) {
    const std::string dataset = test::make_dataset({.transfer_syntax_uid = std::string(syntax)});

    ASSERT_OK_AND_ASSIGN(const ScanReport report, scan(dataset, syntax));

    EXPECT_TRUE(report.has_pixel_data) << syntax;
    EXPECT_TRUE(report.offset_table_valid) << syntax;
    EXPECT_GE(report.elements, 40U) << syntax;
  }
}

TEST(Scanner, FindsEveryTruncation) {
  for (const auto syntax :
       {kImplicitLittle, kExplicitLittle, test::kDeflated, test::kJpegBaseline}) {
    const std::string dataset = test::make_dataset({.transfer_syntax_uid = std::string(syntax)});
    int whole = 0;
    for (std::size_t cut = 1; cut < dataset.size() - 1; ++cut) {
      const Result<ScanReport> report = scan(std::string_view(dataset).substr(0, cut), syntax);
      whole += report.ok();  // cut between two elements
      if (!report.ok()) {
        ASSERT_EQ(report.error().code, "dicom.truncated") << syntax << " at " << cut;
      }
    }
    EXPECT_LT(whole, 60) << syntax;
  }
}

TEST(Scanner, RefusesNestingBeyondItsLimitInEveryDisguise) {
  using Syntax = DicomWriter::Syntax;
  for (const bool undefined : {false, true}) {
    EXPECT_THAT(scan(nested(64, undefined)), IsOk());
    EXPECT_THAT(scan(nested(65, undefined)), FailsWith("dicom.too_deep", Fate::permanent));
    EXPECT_THAT(scan(nested(64, undefined, Syntax::implicit_little), kImplicitLittle), IsOk());
    // Of defined length it is told from bytes by how it begins.
    EXPECT_THAT(scan(nested(65, undefined, Syntax::implicit_little), kImplicitLittle),
                FailsWith("dicom.too_deep"));
    EXPECT_THAT(scan(nested(65, undefined, Syntax::explicit_big), test::kExplicitBig),
                FailsWith("dicom.too_deep"));
  }
  DicomWriter endless;  // opened and never closed
  for (int i = 0; i < 20'000; ++i) {
    endless.head(0x00081140, "SQ", DicomWriter::kUndefined);
    endless.item_head(0xFFFEE000, DicomWriter::kUndefined);
  }
  EXPECT_THAT(scan(endless.bytes()), FailsWith("dicom.too_deep"));
  EXPECT_THAT(scan(test::deflated(nested(65, true)), test::kDeflated), FailsWith("dicom.too_deep"));
  // CP-246: Implicit VR begins inside UN.
  DicomWriter un;
  un.sequence(0x00091001, {nested(64, true, Syntax::implicit_little)}, true, "UN");
  EXPECT_THAT(scan(un.bytes()), FailsWith("dicom.too_deep"));
}

TEST(Scanner, ReadsImplicitVrInsideUnOfUndefinedLength) {
  DicomWriter inner(DicomWriter::Syntax::implicit_little);
  inner.element(0x00091002, "LO", "private").us(0x00091003, 7);
  for (const auto syntax : {kExplicitLittle, test::kJpegBaseline}) {
    DicomWriter w;
    w.element(0x00090010, "LO", "VENDOR").sequence(0x00091001, {inner.bytes()}, true, "UN");
    w.us(0x00280010, 1);

    ASSERT_OK_AND_ASSIGN(const ScanReport report, scan(w.bytes(), syntax));

    EXPECT_EQ(report.elements, 3U + 1U + 2U);
  }
}

TEST(Scanner, TakesAValueThatOnlyBeginsLikeASequenceAsAValue) {
  DicomWriter w(DicomWriter::Syntax::implicit_little);
  const std::string item("\xFE\xFF\x00\xE0", 4);
  w.element(0x00091001, "OB", item + "no sequence at all, but bytes");
  w.element(0x00091002, "OB", item + std::string(4, '\0'));
  w.element(0x00091003, "OB", item + std::string("\x10\0\0\0", 4) + "0123456789");
  w.element(0x00091004, "OB", item + item);
  w.us(0x00280010, 1);

  ASSERT_OK_AND_ASSIGN(const ScanReport report, scan(w.bytes(), kImplicitLittle));

  EXPECT_GE(report.elements, 5U);
  EXPECT_FALSE(report.has_pixel_data);
}

TEST(Scanner, RefusesBrokenStructure) {
  const DicomWriter tail = DicomWriter().us(0x00280010, 1);
  const std::vector<std::string> broken{
      // something that is no item in a sequence
      DicomWriter().head(0x00081140, "SQ", 10).us(0x00280010, 1).bytes() + tail.bytes(),
      // an item longer than its sequence
      DicomWriter().head(0x00081140, "SQ", 18).item_head(0xFFFEE000, 40).us(0x00280010, 1).bytes() +
          std::string(64, 'x'),
      // delimiters and items where nothing ends or begins
      DicomWriter().item_head(0xFFFEE00D, 0).bytes() + tail.bytes(),
      DicomWriter().item_head(0xFFFEE0DD, 0).bytes() + tail.bytes(),
      DicomWriter().item_head(0xFFFEE000, 0).bytes() + tail.bytes(),
      // no length where there must be one
      DicomWriter().head(0x00420011, "OB", DicomWriter::kUndefined).bytes() + std::string(64, 'x'),
      // a fragment without a length
      DicomWriter()
              .head(0x7FE00010, "OB", DicomWriter::kUndefined)
              .item_head(0xFFFEE000, DicomWriter::kUndefined)
              .bytes() +
          std::string(64, 'x'),
  };
  for (const std::string& dataset : broken) {
    EXPECT_THAT(scan(dataset), FailsWith("dicom.unreadable", Fate::permanent));
  }
}

TEST(Scanner, NeverTrustsADeclaredLength) {
  for (const std::uint32_t length : {0x7FFFFFFEU, 0x80000000U, 0xFFFFFFFEU}) {
    for (const auto* vr : {"OB", "UT", "UN", "SQ"}) {
      const std::string dataset =
          DicomWriter().element_with_length(0x00420011, vr, length, "short").bytes();
      EXPECT_THAT(scan(dataset), FailsWith("dicom.truncated")) << vr;
    }
  }
  const std::string fragment = DicomWriter()
                                   .head(0x7FE00010, "OB", DicomWriter::kUndefined)
                                   .item_head(0xFFFEE000, 0x7FFFFFF0)
                                   .bytes();
  EXPECT_THAT(scan(fragment, test::kJpegBaseline), FailsWith("dicom.truncated"));
}

TEST(Scanner, StopsAtTooManyElements) {
  DicomWriter w;
  for (std::uint32_t i = 0; i < 1001; ++i) w.us(0x00090000 + i, 1);

  EXPECT_THAT(scan(w.bytes(), kExplicitLittle, {.elements = 1000}),
              FailsWith("dicom.too_many_elements"));
  EXPECT_THAT(scan(w.bytes(), kExplicitLittle, {.elements = 1001}), IsOk());
}

TEST(Scanner, StopsInflatingAtItsLimits) {
  DicomWriter w;
  w.element(0x00420011, "OB", std::string(8 * MiB, '\0'));
  const std::string bomb = test::deflated(w.bytes());

  EXPECT_THAT(scan(bomb, test::kDeflated, {.inflate_ratio = 1'100}), IsOk());
  EXPECT_THAT(scan(bomb, test::kDeflated, {.inflated_bytes = 4 * MiB, .inflate_ratio = 1'100}),
              FailsWith("dicom.inflate_bomb", Fate::permanent));
  EXPECT_THAT(scan(bomb, test::kDeflated, {.any_ratio_bytes = 4 * MiB}),
              FailsWith("dicom.inflate_bomb", Fate::permanent));
}

// A blank image deflates as far as DEFLATE goes, and is an image all the same.
TEST(Scanner, LetsABlankImageThrough) {
  DicomWriter w;
  w.element(0x7FE00010, "OW", std::string(32 * MiB, '\0'));

  EXPECT_THAT(scan(test::deflated(w.bytes()), test::kDeflated), IsOk());
}

TEST(Scanner, TakesZerosBehindTheDataSetAsPaddingAndNothingElse) {
  const std::string dataset = test::make_dataset({});
  for (const std::size_t zeros : {1U, 7U, 8U, 9U, 100'000U}) {
    ASSERT_OK_AND_ASSIGN(const ScanReport report, scan(dataset + std::string(zeros, '\0')));
    EXPECT_EQ(report.padding_bytes, zeros);
    EXPECT_EQ(report.elements, scan(dataset)->elements);
  }
  EXPECT_THAT(scan(dataset + std::string(64, '\0') + "x"), FailsWith("dicom.unreadable"));
  EXPECT_THAT(scan(dataset + "garbage that is no element"), testing::Not(IsOk()));
}

TEST(Scanner, TellsWhereTheFirstByteThatIsNoPaddingStands) {
  const std::string dataset = test::make_dataset({});

  const auto report = scan(dataset + std::string(64, '\0') + "x");

  ASSERT_THAT(report, FailsWith("dicom.unreadable"));
  EXPECT_THAT(report.error().message,
              testing::HasSubstr("at byte " + std::to_string(dataset.size() + 64)));
}

TEST(Scanner, ToleratesOddLengthsAndLengthsOfDelimiters) {
  DicomWriter w;
  w.element_with_length(0x00080060, "CS", 3, "ABC").element_with_length(0x00100020, "LO", 1, "X");
  w.head(0x00081140, "SQ", DicomWriter::kUndefined).item_head(0xFFFEE000, DicomWriter::kUndefined);
  w.item_head(0xFFFEE00D, 77).item_head(0xFFFEE0DD, 99).us(0x00280010, 1);

  EXPECT_THAT(scan(w.bytes()), IsOk());
}

TEST(Scanner, ReadsVrsOfTomorrowAndBrokenOnes) {
  DicomWriter w;
  w.raw(std::string("\x09\0\x01\x10ZZ\0\0\x04\0\0\0abcd", 16));  // two reserved bytes, long length
  w.raw(std::string("\x09\0\x02\x10??\x02\0ab", 10));            // like DCMTK: short length
  w.us(0x00280010, 1);

  ASSERT_OK_AND_ASSIGN(const ScanReport report, scan(w.bytes()));

  EXPECT_EQ(report.elements, 3U);
}

TEST(Scanner, ComparesTheOffsetTableWithTheFragments) {
  DicomRecipe recipe{.transfer_syntax_uid = std::string(test::kJpegBaseline)};
  recipe.frames = 3;
  recipe.fragments_per_frame = 2;
  ASSERT_OK_AND_ASSIGN(const ScanReport good,
                       scan(test::make_dataset(recipe), test::kJpegBaseline));
  EXPECT_TRUE(good.offset_table_valid);
  EXPECT_EQ(good.fragments, 6U);
  EXPECT_EQ(good.frames_in_offset_table, 3U);

  recipe.offset_table = false;
  ASSERT_OK_AND_ASSIGN(const ScanReport empty,
                       scan(test::make_dataset(recipe), test::kJpegBaseline));
  EXPECT_TRUE(empty.offset_table_valid);
  EXPECT_EQ(empty.frames_in_offset_table, 0U);

  for (const std::string& table : {std::string("\4\0\0\0", 4), std::string("\0\0\0\0\1\0\0\0", 8),
                                   std::string("\0\0", 2), std::string("\0\0\0\0\0\0\0\x7F", 8)}) {
    const std::string dataset = DicomWriter().fragments({"abcd", "efgh"}, table).bytes();
    ASSERT_OK_AND_ASSIGN(const ScanReport bad, scan(dataset, test::kJpegBaseline));
    EXPECT_FALSE(bad.offset_table_valid);
  }
}

TEST(Scanner, SaysWhereWithoutSayingWhat) {
  DicomWriter w;
  w.element(0x00100010, "PN", "SECRET^NAME").head(0x00420011, "OB", 5000).raw("SECRET");

  const Result<ScanReport> report = scan(w.bytes());

  ASSERT_THAT(report, FailsWith("dicom.truncated"));
  EXPECT_EQ(report.error().message.find("SECRET"), std::string::npos);
  EXPECT_NE(report.error().message.find("(0042,0011)"), std::string::npos);
  EXPECT_NE(report.error().message.find("byte 20"), std::string::npos);
}

}  // namespace
}  // namespace isthmus::dicom
