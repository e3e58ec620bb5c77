// Source of the values: Amazon S3 API Reference, "Signature Calculations for the Authorization
// Header: Transferring Payload in Multiple Chunks (Chunked Upload)", the example there: 66,560
// bytes of 'a' in chunks of 64 KiB, key AKIAIOSFODNN7EXAMPLE, 2013-05-24.
#include <gmock/gmock.h>

#include "datastore/api/aws_chunked.h"
#include "support/matchers.h"

namespace isthmus::datastore {
namespace {

using test::FailsWith;
using test::IsOk;

constexpr std::string_view kForm = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";

ChunkSigning example() {
  return {"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
          {"20130524", "us-east-1", "s3"},
          "20130524T000000Z",
          "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"};
}

std::string body() {
  return "10000;chunk-signature="
         "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" +
         std::string(65'536, 'a') +
         "\r\n400;chunk-signature="
         "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" +
         std::string(1'024, 'a') +
         "\r\n0;chunk-signature="
         "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n";
}

Result<std::uint64_t> decode(const std::string& text) {
  AwsChunkedDecoder decoder(payload_form(kForm).value(), example());
  std::uint64_t bytes = 0;
  const Result<void> fed = decoder.feed(as_bytes(text), [&](ByteSpan piece) -> Result<void> {
    bytes += piece.size();
    return {};
  });
  TRY(fed);
  TRY(decoder.finish());
  return bytes;
}

TEST(ChunkSignature, AgreesWithThePublishedExample) {
  const auto decoded = decode(body());

  ASSERT_THAT(decoded, IsOk());
  EXPECT_EQ(*decoded, 66'560U);
}

TEST(ChunkSignature, SeesAChangedByteAndASwappedChunk) {
  std::string changed = body();
  changed[90 + 30'000] = 'b';
  std::string last = body();
  last.replace(last.rfind("b6c6"), 4, "b6c7");

  EXPECT_THAT(decode(changed), FailsWith("SignatureDoesNotMatch"));
  EXPECT_THAT(decode(last), FailsWith("SignatureDoesNotMatch"));
}

}  // namespace
}  // namespace isthmus::datastore
