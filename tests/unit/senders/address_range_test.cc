#include "senders/address_range.h"

#include <gtest/gtest.h>

namespace isthmus {
namespace {

bool is_in(std::string_view range, std::string_view address) {
  const auto parsed = AddressRange::parse(range);
  EXPECT_TRUE(parsed) << range;
  return parsed && parsed->contains(address);
}

TEST(AddressRange, HoldsWhatSharesItsPrefix) {
  EXPECT_TRUE(is_in("10.1.0.0/16", "10.1.255.255"));
  EXPECT_FALSE(is_in("10.1.0.0/16", "10.2.0.0"));
  EXPECT_TRUE(is_in("192.0.2.8/31", "192.0.2.9"));
  EXPECT_FALSE(is_in("192.0.2.8/31", "192.0.2.10"));
  EXPECT_TRUE(is_in("0.0.0.0/0", "203.0.113.5"));
  EXPECT_TRUE(is_in("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(is_in("2001:db8::/33", "2001:db8:8000::1"));
}

TEST(AddressRange, AnAddressAloneIsItself) {
  EXPECT_TRUE(is_in("192.0.2.7", "192.0.2.7"));
  EXPECT_FALSE(is_in("192.0.2.7", "192.0.2.70"));
  EXPECT_TRUE(is_in("2001:db8::7", "2001:0db8:0:0::7"));
}

TEST(AddressRange, AMappedAddressIsTheIpv4OneItStandsFor) {
  EXPECT_TRUE(is_in("10.1.0.0/16", "::ffff:10.1.2.3"));
  EXPECT_TRUE(is_in("::ffff:10.1.0.0/112", "10.1.2.3"));
  EXPECT_EQ(AddressRange::parse("::ffff:10.1.0.0/112")->text(), "10.1.0.0/16");
}

TEST(AddressRange, EveryIpv6AddressIsNotEveryIpv4One) {
  EXPECT_TRUE(is_in("::/0", "2001:db8::7"));
  EXPECT_FALSE(is_in("::/0", "192.0.2.7"));
  EXPECT_FALSE(is_in("0.0.0.0/0", "2001:db8::7"));
}

TEST(AddressRange, RefusesWhatIsNoRange) {
  for (const char* text :
       {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0.1/8", "10.0.0",
        "::/129", "2001:db8::1/64", "pacs.example", "10.0.0.0/8/8", " 10.0.0.1", "fe80::1%eth0"}) {
    EXPECT_FALSE(AddressRange::parse(text)) << text;
  }
}

TEST(AddressRange, NothingThatIsNoAddressIsInARange) {
  EXPECT_FALSE(is_in("0.0.0.0/0", ""));
  EXPECT_FALSE(is_in("0.0.0.0/0", "pacs.example"));
}

TEST(AddressRange, WritesWhatItReads) {
  for (const char* text : {"10.1.0.0/16", "192.0.2.7", "2001:db8::/48", "0.0.0.0/0", "::/0"}) {
    EXPECT_EQ(AddressRange::parse(text)->text(), text);
  }
}

}  // namespace
}  // namespace isthmus
