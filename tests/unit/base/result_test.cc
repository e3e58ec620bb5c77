#include "base/result.h"

#include <gtest/gtest.h>

#include <string>
#include <type_traits>
#include <vector>

namespace isthmus {
namespace {

Result<std::vector<std::string>> names() {
  return std::vector<std::string>{"a name too long for the small buffer of a string", "b"};
}

// A reference into the temporary Result would be gone before the first turn of the loop.
TEST(Result, ATemporaryGivesItsValueAwayWhole) {
  static_assert(std::is_same_v<decltype(names().value()), std::vector<std::string>>);
  static_assert(std::is_same_v<decltype(*names()), std::vector<std::string>>);
  std::string all;

  for (const std::string& name : names().value()) all += name;

  EXPECT_EQ(all, "a name too long for the small buffer of a stringb");
}

}  // namespace
}  // namespace isthmus
