#include "datastore/api/aws_chunked.h"

#include <gmock/gmock.h>

#include "support/matchers.h"

namespace isthmus::datastore {
namespace {

using test::FailsWith;
using test::IsOk;

struct Decoded {
  Result<void> result;
  std::string text;
  std::vector<std::pair<std::string, std::string>> trailers;
};

Decoded decode(std::string_view body, std::size_t piece_size,
               std::string_view form = "STREAMING-UNSIGNED-PAYLOAD-TRAILER") {
  AwsChunkedDecoder decoder(payload_form(form).value(), std::nullopt);
  Decoded decoded;
  while (!body.empty() && decoded.result) {
    const std::string_view piece = body.substr(0, piece_size);
    body.remove_prefix(piece.size());
    decoded.result = decoder.feed(as_bytes(piece), [&](ByteSpan bytes) -> Result<void> {
      decoded.text += as_text(bytes);
      return {};
    });
  }
  if (decoded.result) decoded.result = decoder.finish();
  decoded.trailers = decoder.trailers();
  return decoded;
}

constexpr std::string_view kBody =
    "5\r\nhello\r\n7;chunk-signature=00\r\n, world\r\n0\r\nX-Amz-Checksum-CRC32: abcd== \r\n\r\n";

TEST(AwsChunked, DecodesHoweverItIsCut) {
  for (std::size_t size = 1; size <= kBody.size(); ++size) {
    const Decoded decoded = decode(kBody, size);

    EXPECT_THAT(decoded.result, IsOk()) << size;
    EXPECT_EQ(decoded.text, "hello, world") << size;
    ASSERT_EQ(decoded.trailers.size(), 1U);
    EXPECT_EQ(decoded.trailers[0].first, "x-amz-checksum-crc32");
    EXPECT_EQ(decoded.trailers[0].second, "abcd==");
  }
}

TEST(AwsChunked, IsIncompleteUntilTheLastLine) {
  for (std::size_t size = 0; size < kBody.size(); ++size) {
    EXPECT_THAT(decode(kBody.substr(0, size), 1000).result, FailsWith("IncompleteBody")) << size;
  }
}

TEST(AwsChunked, RefusesWhatIsMalformed) {
  EXPECT_THAT(decode("x\r\n", 10).result, FailsWith("InvalidRequest"));
  EXPECT_THAT(decode("-5\r\n", 10).result, FailsWith("InvalidRequest"));
  EXPECT_THAT(decode("11111111111111111\r\n", 100).result, FailsWith("InvalidRequest"));
  EXPECT_THAT(decode("5\nhello\r\n", 10).result, FailsWith("InvalidRequest"));
  EXPECT_THAT(decode("5\r\nhello!\r\n", 100).result, FailsWith("InvalidRequest"));
  EXPECT_THAT(decode("0\r\n\r\nmore", 100).result, FailsWith("InvalidRequest"));
  EXPECT_THAT(decode("0\r\nno colon\r\n\r\n", 100).result, FailsWith("InvalidRequest"));
  EXPECT_THAT(decode(std::string(5000, '0'), 100).result, FailsWith("InvalidRequest"));
  EXPECT_THAT(decode("5\r\nhello\r\n", 100, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD").result,
              FailsWith("InvalidRequest"));
}

TEST(AwsChunked, KnowsTheFormsOfTheHeader) {
  EXPECT_FALSE(payload_form("UNSIGNED-PAYLOAD")->chunked);
  EXPECT_TRUE(payload_form("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")->chunks_signed);
  EXPECT_EQ(payload_form(sha256("x").hex())->sha256, sha256("x"));
  EXPECT_FALSE(payload_form("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD").has_value());
  EXPECT_FALSE(payload_form("").has_value());
}

}  // namespace
}  // namespace isthmus::datastore
