#include "base/digest.h"

#include <gtest/gtest.h>

namespace isthmus {
namespace {

// FIPS 180-2 appendix B.1.
TEST(Digest, Sha256OfAbc) {
  EXPECT_EQ(sha256("abc").hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Digest, Sha256InPiecesIsTheSame) {
  Sha256 state;
  state.update(as_bytes("a"));
  state.update(as_bytes("bc"));
  const Digest first = state.finish();
  state.update(as_bytes("abc"));

  EXPECT_EQ(first, sha256("abc"));
  EXPECT_EQ(state.finish(), first);
}

// RFC 4231 test case 2.
TEST(Digest, HmacSha256) {
  EXPECT_EQ(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?")).hex(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

// RFC 1321 appendix A.5.
TEST(Digest, Md5) {
  EXPECT_EQ(to_hex(md5(as_bytes("abc"))), "900150983cd24fb0d6963f7d28e17f72");
}

// The check values of the CRC catalogue: nine digits.
TEST(Digest, Crc32AndCrc32c) {
  EXPECT_EQ(crc32(as_bytes("123456789")), 0xCBF43926U);
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xE3069283U);
  EXPECT_EQ(crc32c(as_bytes("6789"), crc32c(as_bytes("12345"))), 0xE3069283U);
}

TEST(Digest, HexGoesBothWays) {
  const Digest digest = sha256("x");

  EXPECT_EQ(Digest::from_hex(digest.hex()), digest);
  EXPECT_EQ(Digest::from_hex("12"), std::nullopt);
  EXPECT_EQ(Digest::from_hex(std::string(64, 'g')), std::nullopt);
}

// RFC 4648 section 10.
TEST(Digest, Base64GoesBothWays) {
  for (const auto& [plain, coded] :
       {std::pair{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}}) {
    EXPECT_EQ(to_base64(as_bytes(plain)), coded);
    const auto back = from_base64(coded);
    ASSERT_TRUE(back.has_value()) << coded;
    EXPECT_EQ(as_text(*back), plain);
  }
}

TEST(Digest, Base64RefusesWhatIsNotBase64) {
  for (const auto* text : {"Zg=", "Zg", "Z===", "====", "Z=g=", "Zm9v\n", "Zm 9"}) {
    EXPECT_FALSE(from_base64(text).has_value()) << text;
  }
}

TEST(Digest, SecretsCompare) {
  EXPECT_TRUE(equal_secrets("abc", "abc"));
  EXPECT_FALSE(equal_secrets("abc", "abd"));
  EXPECT_FALSE(equal_secrets("abc", "ab"));
}

}  // namespace
}  // namespace isthmus
