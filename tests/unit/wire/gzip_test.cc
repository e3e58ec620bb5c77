#include "wire/gzip.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "support/matchers.h"

namespace isthmus::wire {
namespace {

using test::FailsWith;
using test::IsOk;

std::string gzipped(std::string_view plain) {
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string coded(plain.size() + 1000, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  z.avail_in = static_cast<uInt>(plain.size());
  z.next_out = reinterpret_cast<Bytef*>(coded.data());
  z.avail_out = static_cast<uInt>(coded.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  coded.resize(coded.size() - z.avail_out);
  deflateEnd(&z);
  return coded;
}

Result<std::string> read(std::string_view coded, std::size_t piece) {
  GzipReader reader;
  std::string plain;
  for (; !coded.empty(); coded.remove_prefix(std::min(piece, coded.size()))) {
    TRY(reader.feed(as_bytes(coded.substr(0, piece)), [&](ByteSpan bytes) -> Result<void> {
      EXPECT_LE(bytes.size(), 64 * KiB);
      plain += as_text(bytes);
      return {};
    }));
  }
  TRY(reader.finish());
  return plain;
}

TEST(Gzip, GivesWhatWasCodedWhereverItIsCut) {
  std::string plain;
  for (int i = 0; i < 100'000; ++i) plain += std::to_string(i * 7919);
  const std::string coded = gzipped(plain);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{1000}, coded.size()}) {
    const auto read_back = read(coded, piece);
    ASSERT_THAT(read_back, IsOk());
    EXPECT_TRUE(*read_back == plain);
  }
  EXPECT_EQ(read(gzipped("one ") + gzipped("two"), 3).value(), "one two");
  EXPECT_EQ(read(gzipped(""), 3).value(), "");
}

TEST(Gzip, KnowsWhatIsNotWhole) {
  const std::string coded = gzipped("some words");
  EXPECT_THAT(read(coded.substr(0, coded.size() - 1), 4), FailsWith("gzip.truncated"));
  EXPECT_THAT(read("", 4), FailsWith("gzip.truncated"));
  EXPECT_THAT(read("some words", 4), FailsWith("gzip.malformed"));
  EXPECT_THAT(read(coded + "behind", 100), FailsWith("gzip.malformed"));
  std::string damaged = coded;
  damaged[damaged.size() - 6] ^= 1;  // in the checksum
  EXPECT_THAT(read(damaged, 100), FailsWith("gzip.malformed"));
}

TEST(Gzip, StopsAtTheErrorOfWhoReads) {
  GzipReader reader;
  const auto full = [](ByteSpan) -> Result<void> { return permanent_error("full", "full"); };
  EXPECT_THAT(reader.feed(as_bytes(gzipped("words")), full), FailsWith("full"));
}

}  // namespace
}  // namespace isthmus::wire
