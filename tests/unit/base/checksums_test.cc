#include "base/checksums.h"

#include <gtest/gtest.h>

#include "base/digest.h"

namespace isthmus {
namespace {

TEST(Checksums, Sha1GivesThePublishedValues) {
  Sha1 sha1;
  sha1.update(as_bytes("a"));
  sha1.update(as_bytes("bc"));

  EXPECT_EQ(to_hex(sha1.finish()), "a9993e364706816aba3e25717850c26c9cd0d89d");  // FIPS 180, "abc"
  EXPECT_EQ(to_hex(sha1.finish()), "da39a3ee5e6b4b0d3255bfef95601890afd80709");  // of nothing
}

TEST(Checksums, Crc64NvmeGivesThePublishedCheckValue) {
  // "check" of CRC-64/NVME in the catalogue of parametrised CRC algorithms.
  EXPECT_EQ(crc64nvme(as_bytes("123456789")), 0xAE8B14860A799888U);
  EXPECT_EQ(crc64nvme({}), 0U);
}

TEST(Checksums, Crc64NvmeGoesOnFromWhereItWas) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += static_cast<char>(i * 37);
  for (std::size_t cut = 0; cut <= text.size(); cut += 7) {
    const std::string_view whole = text;
    EXPECT_EQ(crc64nvme(as_bytes(whole.substr(cut)), crc64nvme(as_bytes(whole.substr(0, cut)))),
              crc64nvme(as_bytes(whole)));
  }
}

}  // namespace
}  // namespace isthmus
