#include "dicom/skeleton.h"

#include <gtest/gtest.h>

#include "dicom/probe.h"
#include "support/dicom_factory.h"
#include "support/matchers.h"

namespace isthmus::dicom {
namespace {

using test::DicomWriter;
using test::FailsWith;
using test::kExplicitLittle;

Result<Skeleton> skeleton(std::string_view dataset, std::string_view syntax,
                          const SkeletonLimits& limits = {}) {
  return read_skeleton(*source_of(std::string(dataset)), syntax, limits);
}

TEST(Skeleton, IsTheDataSetWithoutPixelsAndPadding) {
  for (const auto syntax :
       {test::kImplicitLittle, kExplicitLittle, test::kExplicitBig, test::kJpegBaseline}) {
    const std::string dataset = test::make_dataset({.transfer_syntax_uid = std::string(syntax)});
    const std::string behind =
        DicomWriter(test::syntax_of(syntax)).element(0xFFFCFFFC, "OB", "abcd").bytes();

    ASSERT_OK_AND_ASSIGN(const Skeleton bones,
                         skeleton(dataset + behind + std::string(100, '\0'), syntax));

    const std::size_t pixels = bones.scan.pixel_data_offset;
    EXPECT_EQ(bones.bytes, dataset.substr(0, pixels) + behind) << syntax;
    ASSERT_NE(bones.find(0x7FE00010), nullptr);
    EXPECT_EQ(bones.find(0x7FE00010)->end, dataset.size()) << syntax;
    EXPECT_EQ(bones.find(0x7FE00010)->encapsulated, syntax == test::kJpegBaseline);
  }
}

TEST(Skeleton, IsInflated) {
  const std::string plain = test::make_dataset({});
  ASSERT_OK_AND_ASSIGN(const Skeleton expected, skeleton(plain, kExplicitLittle));

  ASSERT_OK_AND_ASSIGN(const Skeleton bones, skeleton(test::deflated(plain), test::kDeflated));

  EXPECT_EQ(bones.bytes, expected.bytes);
}

TEST(Skeleton, LeavesOutLongValuesOfTheTopLevel) {
  const std::string pixels = DicomWriter().element(0x7FE00010, "OB", "first").bytes();
  const std::string head = DicomWriter().us(0x00280010, 1).bytes();
  const std::string bulk = DicomWriter().element(0x00420011, "OB", std::string(3000, 'x')).bytes();
  const std::string tail = DicomWriter().us(0x00420013, 1).bytes();

  ASSERT_OK_AND_ASSIGN(const Skeleton bones, skeleton(pixels + head + bulk + tail, kExplicitLittle,
                                                      {.value_bytes = 2999}));

  EXPECT_EQ(bones.bytes, head + tail);
  ASSERT_EQ(bones.omitted.size(), 2U);
  EXPECT_EQ(bones.omitted[1].tag, 0x00420011U);
  EXPECT_EQ(bones.omitted[1].vr, "OB");
}

TEST(Skeleton, HasALimit) {
  const std::string dataset = test::make_dataset({});

  EXPECT_THAT(skeleton(dataset, kExplicitLittle, {.skeleton_bytes = 100}),
              FailsWith("dicom.too_large", Fate::permanent));
}

TEST(Skeleton, IsNotMadeOfWhatTheScanRefuses) {
  const std::string dataset = test::make_dataset({});

  EXPECT_THAT(skeleton(std::string_view(dataset).substr(0, dataset.size() - 2), kExplicitLittle),
              FailsWith("dicom.truncated"));
}

}  // namespace
}  // namespace isthmus::dicom
