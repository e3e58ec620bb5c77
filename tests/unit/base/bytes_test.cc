#include "base/bytes.h"

#include "support/matchers.h"

namespace isthmus {
namespace {

using test::FailsWith;

TEST(ByteSource, ReadsAgainAfterRewind) {
  const auto source = source_of(std::string("abcdef"));

  ASSERT_OK_AND_ASSIGN(const std::string first, read_all(*source, 100));
  ASSERT_TRUE(source->rewind().ok());
  ASSERT_OK_AND_ASSIGN(const std::string second, read_all(*source, 100));

  EXPECT_EQ(first, "abcdef");
  EXPECT_EQ(second, "abcdef");
}

TEST(ByteSource, SliceIsTheAskedPartOnly) {
  const auto whole = source_of(std::string("0123456789"));
  const auto slice = slice_of(*whole, 3, 4);

  ASSERT_OK_AND_ASSIGN(const std::string text, read_all(*slice, 100));

  EXPECT_EQ(slice->size(), 4U);
  EXPECT_EQ(text, "3456");
}

TEST(ByteSource, SliceBeyondTheEndIsAnError) {
  const auto whole = source_of(std::string("012"));
  const auto slice = slice_of(*whole, 5, 1);

  EXPECT_THAT(read_all(*slice, 100), FailsWith("body.too_short"));
}

TEST(ByteSource, ReadAllRefusesMoreThanItsLimit) {
  const auto source = source_of(std::string(1000, 'x'));

  EXPECT_THAT(read_all(*source, 999), FailsWith("body.too_large", Fate::permanent));
}

}  // namespace
}  // namespace isthmus
