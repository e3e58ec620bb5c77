#include "base/address.h"

#include <gtest/gtest.h>

namespace isthmus {
namespace {

TEST(Address, IsReadAndWrittenInOneForm) {
  EXPECT_EQ(address_text(*parse_address("192.0.2.7")), "192.0.2.7");
  EXPECT_EQ(address_text(*parse_address("::ffff:192.0.2.7")), "192.0.2.7");
  EXPECT_EQ(address_text(*parse_address("2001:0db8:0:0::7")), "2001:db8::7");
  EXPECT_TRUE(is_ipv4(*parse_address("::ffff:192.0.2.7")));
  EXPECT_FALSE(is_ipv4(*parse_address("::1")));
}

TEST(Address, NamesAndRubbishAreNone) {
  using std::string_view_literals::operator""sv;
  for (const std::string_view text : {""sv, "pacs.example"sv, "10.0.0"sv, "10.0.0.1 "sv,
                                      "10.0.0.1\0x"sv, "fe80::1%eth0"sv, "::1::2"sv}) {
    EXPECT_FALSE(parse_address(text)) << text;
  }
}

}  // namespace
}  // namespace isthmus
