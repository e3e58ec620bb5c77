#include "http/rules/body_decoder.h"

#include "support/matchers.h"

namespace isthmus::http::rules {
namespace {

using State = BodyDecoder::State;

struct Decoded {
  State state = State::more;
  std::string body;
  std::string rest;  // what came after the body
};

// Feeds `input` in pieces of `in_bytes` and takes the body in pieces of `out_bytes`.
Decoded decode(BodyDecoder decoder, std::string_view input, std::size_t in_bytes,
               std::size_t out_bytes) {
  Decoded decoded;
  Bytes out(out_bytes);
  std::string buffered;
  while (decoder.state() == State::more && (!input.empty() || !buffered.empty())) {
    buffered += input.substr(0, in_bytes);
    input.remove_prefix(std::min(in_bytes, input.size()));
    for (;;) {
      const BodyDecoder::Step step = decoder.decode(as_bytes(buffered), out);
      decoded.body += as_text(ByteSpan(out).first(step.produced));
      buffered.erase(0, step.consumed);
      if (step.consumed == 0) break;
    }
  }
  decoded.state = decoder.state();
  decoded.rest = buffered + std::string(input);
  return decoded;
}

BodyDecoder chunked() {
  return BodyDecoder(Framing{.chunked = true, .content_length = {}});
}
BodyDecoder sized(std::uint64_t length) {
  return BodyDecoder(Framing{.chunked = false, .content_length = length});
}

TEST(BodyDecoder, WithoutABodyIsDoneAtOnce) {
  EXPECT_EQ(BodyDecoder(Framing{}).state(), State::done);
  EXPECT_EQ(sized(0).state(), State::done);
}

TEST(BodyDecoder, TakesExactlyItsLength) {
  const Decoded decoded = decode(sized(5), "abcdefg", 3, 2);

  EXPECT_EQ(decoded.state, State::done);
  EXPECT_EQ(decoded.body, "abcde");
  EXPECT_EQ(decoded.rest, "fg");
}

TEST(BodyDecoder, ABodyThatEndsEarlyIsNotDone) {
  EXPECT_EQ(decode(sized(5), "abcd", 100, 100).state, State::more);
  EXPECT_EQ(decode(chunked(), "5\r\nabcde\r\n", 100, 100).state, State::more);
  EXPECT_EQ(decode(chunked(), "5\r\nabcde\r\n0\r\n", 100, 100).state, State::more);
}

TEST(BodyDecoder, ChunksComeApartWhereverTheirBytesAreCut) {
  const std::string input =
      "3\r\nabc\r\n"
      "00A;name=\"value\"; other\r\n0123456789\r\n0\r\nTrailer: x\r\nMore: y\r\n\r\nGET /";
  for (std::size_t in_bytes = 1; in_bytes <= input.size(); ++in_bytes) {
    for (const std::size_t out_bytes : {1U, 2U, 7U, 100U}) {
      const Decoded decoded = decode(chunked(), input, in_bytes, out_bytes);

      ASSERT_EQ(decoded.state, State::done) << in_bytes;
      ASSERT_EQ(decoded.body, "abc0123456789") << in_bytes;
      ASSERT_EQ(decoded.rest, "GET /") << in_bytes;
    }
  }
}

TEST(BodyDecoder, PlainBytesMaySkipIt) {
  BodyDecoder decoder = chunked();
  ASSERT_EQ(decoder.decode(as_bytes("5\r\n"), {}).consumed, 3U);
  ASSERT_EQ(decoder.plain_bytes(), 5U);

  decoder.skip(2);
  EXPECT_EQ(decoder.plain_bytes(), 3U);
  decoder.skip(3);

  EXPECT_EQ(decoder.plain_bytes(), 0U);
  const Decoded decoded = decode(decoder, "\r\n0\r\n\r\n", 1, 1);
  EXPECT_EQ(decoded.state, State::done);
  EXPECT_EQ(decoded.body, "");
}

class BrokenChunks : public ::testing::TestWithParam<std::string> {};

TEST_P(BrokenChunks, AreBrokenHoweverTheyAreCut) {
  for (const std::size_t in_bytes : {1U, 2U, 1000U}) {
    EXPECT_EQ(decode(chunked(), GetParam(), in_bytes, 1000).state, State::broken) << in_bytes;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Inputs, BrokenChunks,
    ::testing::Values("\r\n", "x\r\n", "-5\r\nabcde\r\n", "+5\r\nabcde\r\n", "0x5\r\nabcde\r\n",
                      " 5\r\nabcde\r\n", "5 \r\nabcde\r\n", "5\nabcde\r\n", "5\rabcde\r\n",
                      "5\r\r\n", ";a=b\r\n", "5;a=b\nabcde", "5;a\x01\r\n", "5;a\x7F\r\n",
                      "10000000000000000\r\n", "FFFFFFFFFFFFFFFF0\r\n", "3\r\nabcd\r\n0\r\n\r\n",
                      "3\r\nabc\n0\r\n\r\n", "3\r\nabc0\r\n\r\n", "0\r\n\n", "0\r\nA: b\nC: d\r\n",
                      "0\r\nA: \x01\r\n\r\n", "5;" + std::string(kChunkLineBytes + 1, 'a'),
                      std::string(kChunkLineBytes + 1, '0'),
                      "0\r\nA: " + std::string(kTrailerBytes, 'b')));

TEST(BodyDecoder, ALargestChunkIsNoOverflow) {
  BodyDecoder decoder = chunked();

  const std::string line = "FFFFFFFFFFFFFFFF\r\n";
  ASSERT_EQ(decoder.decode(as_bytes(line), {}).consumed, line.size());

  EXPECT_EQ(decoder.state(), State::more);
  EXPECT_EQ(decoder.plain_bytes(), 0xFFFFFFFFFFFFFFFFU);
}

TEST(BodyDecoder, ManySmallTrailersAreLimitedTogether) {
  std::string input = "0\r\n";
  for (std::size_t i = 0; i < kTrailerBytes; ++i) input += "A:b\r\n";

  EXPECT_EQ(decode(chunked(), input, 1000, 1000).state, State::broken);
}

}  // namespace
}  // namespace isthmus::http::rules
