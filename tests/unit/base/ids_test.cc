#include "base/ids.h"

#include <gtest/gtest.h>

namespace isthmus {
namespace {

TEST(Uid, TakesWhatPs35Section91Allows) {
  for (const auto* text :
       {"1", "1.2.840.10008.1.2", "2.25.329800735698586629295641978511506172918", "1.2.03.4"}) {
    EXPECT_TRUE(Uid::parse(text).has_value()) << text;
  }
  EXPECT_TRUE(Uid::parse(std::string(64, '1')).has_value());
}

TEST(Uid, RefusesEverythingElse) {
  for (const auto* text :
       {"", ".", "1.", ".1", "1..2", "1.2a", "../../../tmp/evil", "1.2 ", "1.2\n", "１.2"}) {
    EXPECT_FALSE(Uid::parse(text).has_value()) << text;
  }
  EXPECT_FALSE(Uid::parse(std::string(65, '1')).has_value());
}

}  // namespace
}  // namespace isthmus
