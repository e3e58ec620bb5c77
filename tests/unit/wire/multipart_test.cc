#include "wire/multipart.h"

#include <gtest/gtest.h>

#include "support/matchers.h"

namespace isthmus::wire {
namespace {

using test::FailsWith;
using test::IsOk;

// What was found, as text: "[name=value;…]body" for each part.
class Gatherer : public PartSink {
 public:
  Result<void> begin_part(const http::Headers& headers) override {
    found.emplace_back("[");
    for (const auto& [name, value] : headers.all()) found.back() += name + "=" + value + ";";
    found.back() += "]";
    return {};
  }
  Result<void> part_bytes(ByteSpan bytes) override {
    found.back() += as_text(bytes);
    return {};
  }
  Result<void> end_part() override {
    ++ended;
    return {};
  }
  std::vector<std::string> found;
  std::size_t ended = 0;
};

using Parts = std::vector<std::string>;

// Fed in pieces of this size; 0: at once.
Result<Parts> read(std::string_view body, std::size_t piece = 0, std::string_view boundary = "XX",
                   MultipartLimits limits = {}) {
  Gatherer gatherer;
  MultipartReader reader(boundary, gatherer, limits);
  for (std::size_t at = 0; at < body.size();) {
    const std::size_t size = piece == 0 ? body.size() : std::min(piece, body.size() - at);
    TRY(reader.feed(as_bytes(body.substr(at, size))));
    at += size;
  }
  TRY(reader.finish());
  EXPECT_EQ(gatherer.ended, gatherer.found.size());
  EXPECT_EQ(reader.parts(), gatherer.found.size());
  return gatherer.found;
}

void expect_parts(std::string_view body, const Parts& expected) {
  for (std::size_t piece = 0; piece <= body.size(); ++piece) {
    const Result<Parts> found = read(body, piece);
    ASSERT_THAT(found, IsOk()) << "in pieces of " << piece;
    ASSERT_EQ(*found, expected) << "in pieces of " << piece;
  }
}

TEST(Multipart, GivesPartsWhereverTheBodyIsCut) {
  expect_parts(
      "--XX\r\nContent-Type: application/dicom\r\n\r\nfirst\r\n"
      "--XX\r\nContent-Type: text/plain\r\nContent-Location: u\r\n\r\nsecond\r\n--XX--\r\n",
      {"[Content-Type=application/dicom;]first",
       "[Content-Type=text/plain;Content-Location=u;]second"});
}

TEST(Multipart, PassesOverPreambleAndEpilogue) {
  expect_parts("some words\r\n--X\r\n\r\n--XX\r\n\r\na\r\n--XX--\r\nand more --XX\r\n", {"[]a"});
}

TEST(Multipart, TakesWhatLooksLikeADelimiterAsData) {
  expect_parts(
      "--XX\r\n\r\nx--XX\r\n-XX\n--XX--\r--XX\r\n--X\r\n--XXY\r\n--XX-\r\n\r\n--XX\r\n\r\n\r\n\r\n"
      "--XX--",
      {"[]x--XX\r\n-XX\n--XX--\r--XX\r\n--X\r\n--XXY\r\n--XX-\r\n", "[]\r\n"});
}

TEST(Multipart, KnowsEmptyPartsAndPaddedDelimiters) {
  expect_parts("--XX \t \r\n\r\n\r\n--XX\r\nA: b\r\n\r\n--XX--", {"[]", "[A=b;]"});
}

TEST(Multipart, KeepsEveryByteOfPixelData) {
  std::string data;
  for (int round = 0; round < 3; ++round) {
    for (int byte = 0; byte < 256; ++byte) data += static_cast<char>(byte);
    data += "\r\n\r\n--XXa\r\n--";
  }
  expect_parts("--XX\r\n\r\n" + data + "\r\n--XX--\r\n", {"[]" + data});
}

// A part's bytes go on from where they came, without being gathered first: delimiters, and what
// begins like one, wherever they are cut.
TEST(Multipart, KeepsEveryByteOfLargeParts) {
  std::string data;
  for (std::uint32_t i = 0, noise = 1; i < 100'000; ++i) {
    noise = noise * 1'664'525 + 1'013'904'223;
    data += static_cast<char>(noise >> 24);
    if (noise >> 22 == 0) data += "\r\n--XXno delimiter\r\n--X";
  }
  const std::string body =
      "--XX\r\n\r\n" + data + "\r\n--XX\r\nA: b\r\n\r\n" + data + "\r\n--XX--\r\n";
  for (const std::size_t piece : {0, 1, 7, 8191, 8192, 8193, 65'536, 100'000}) {
    const Result<Parts> found = read(body, piece);
    ASSERT_THAT(found, IsOk()) << "in pieces of " << piece;
    EXPECT_TRUE(*found == (Parts{"[]" + data, "[A=b;]" + data})) << "in pieces of " << piece;
  }
}

TEST(Multipart, RefusesWhatIsNone) {
  EXPECT_THAT(read("--XX\r\n\r\na"), FailsWith("multipart.truncated"));
  EXPECT_THAT(read("--XX\r\n\r\na\r\n--XX"), FailsWith("multipart.truncated"));
  EXPECT_THAT(read("--XX\r\nno field\r\n\r\na\r\n--XX--"), FailsWith("multipart.malformed"));
  EXPECT_THAT(read("--XX\r\nA\x01: b\r\n\r\na\r\n--XX--"), FailsWith("multipart.malformed"));
  EXPECT_THAT(read("--XX\nA: b\n\na\n--XX--\n"), FailsWith("multipart.malformed"));
  EXPECT_THAT(read("--XX\r\nA: b\nB: c\r\n\r\na\r\n--XX--"), FailsWith("multipart.malformed"));
  EXPECT_THAT(read(""), FailsWith("multipart.truncated"));
}

TEST(Multipart, TakesLinesOfHeadsThatEndInLfWhenTold) {
  const MultipartLimits tolerant{.lf_in_heads = true};
  const std::string body =
      "--XX\nA: b\nC: d\n\n\n1\n--XX\n\r\n--XX \nE: f\r\n\n2\r\n--XX\r\n\r\n3\n\n\r\n--XX\r\nG: "
      "h\r\n\r\n"
      "\r\n--XX--";
  for (std::size_t piece = 0; piece <= body.size(); ++piece) {
    const Result<Parts> found = read(body, piece, "XX", tolerant);
    ASSERT_THAT(found, IsOk()) << "in pieces of " << piece;
    EXPECT_EQ(*found, (Parts{"[A=b;C=d;]\n1\n--XX\n", "[E=f;]2", "[]3\n\n", "[G=h;]"}))
        << "in pieces of " << piece;
  }
}

TEST(Multipart, HasLimits) {
  const MultipartLimits limits{
      .head_bytes = 20, .head_fields = 2, .preamble_bytes = 10, .parts = 2};
  const auto limited = [&](const std::string& body) { return read(body, 3, "XX", limits); };

  EXPECT_THAT(limited("--XX\r\nA: 1\r\nB: 2\r\n\r\na\r\n--XX--"), IsOk());
  EXPECT_THAT(limited("--XX\r\nA:1\r\nB:2\r\nC:3\r\n\r\na\r\n--XX--"),
              FailsWith("multipart.too_large"));
  EXPECT_THAT(limited("--XX\r\nA: " + std::string(30, 'a')), FailsWith("multipart.too_large"));
  EXPECT_THAT(limited(std::string(40, 'p')), FailsWith("multipart.too_large"));
  const std::string long_epilogue = "--XX\r\n\r\na\r\n--XX--" + std::string(40, 'e');
  EXPECT_THAT(limited(long_epilogue), FailsWith("multipart.too_large"));
  EXPECT_THAT(read(long_epilogue, 0, "XX", limits), FailsWith("multipart.too_large"));
  EXPECT_THAT(limited("--XX\r\n\r\n\r\n--XX\r\n\r\n\r\n--XX\r\n\r\n\r\n--XX--"),
              FailsWith("multipart.too_large"));
}

TEST(Multipart, IsReadAsItWasWritten) {
  const auto part = [](std::string type, std::string body) {
    const std::uint64_t size = body.size();
    return OutgoingPart{
        {{"Content-Type", std::move(type)}}, size, [body]() -> Result<std::unique_ptr<ByteSource>> {
          return source_of(body);
        }};
  };
  const auto body =
      multipart_body("XX", {part("a/b", "one"), part("c/d", ""), part("e/f", "3\r\n")});
  for (int round = 0; round < 2; ++round) {
    const Result<std::string> text = read_all(*body, 1000);
    ASSERT_THAT(text, IsOk());
    EXPECT_EQ(text->size(), body->size());
    expect_parts(*text,
                 {"[Content-Type=a/b;]one", "[Content-Type=c/d;]", "[Content-Type=e/f;]3\r\n"});
    ASSERT_THAT(body->rewind(), IsOk());
  }
}

TEST(MediaTypes, AreReadInEveryForm) {
  const auto media = parse_media_type(
      " Multipart/Related ;TYPE=\"application/dicom\"; boundary=a/b=c ; x=\"q\\\"s;,\" ");

  ASSERT_TRUE(media);
  EXPECT_EQ(media->type, "multipart/related");
  EXPECT_EQ(media->parameter("type"), "application/dicom");
  EXPECT_EQ(media->parameter("boundary"), "a/b=c");
  EXPECT_EQ(media->parameter("x"), "q\"s;,");
  for (const char* none : {"", "a", "a/", "/b", "a/b;c", "a/b;=d", "a/b; c=\"d", "a b/c"}) {
    EXPECT_FALSE(parse_media_type(none)) << none;
  }
}

TEST(MediaTypes, AreAcceptedByQuality) {
  const auto accepted = parse_accept(
      "a/b;q=0.2, multipart/related; type=\"x/y,z\"; transfer-syntax=*, broken, c/d;q=2, e/f;q=0");

  ASSERT_EQ(accepted.size(), 4U);
  EXPECT_EQ(accepted[0].media.type, "multipart/related");
  EXPECT_EQ(accepted[0].media.parameter("type"), "x/y,z");
  EXPECT_EQ(accepted[1].media.type, "c/d");
  EXPECT_EQ(accepted[2].media.type, "a/b");
  EXPECT_EQ(accepted[3].quality, 0);
}

TEST(MediaTypes, KnowWhatABoundaryMayBe) {
  const auto boundary = [](const std::string& text) {
    return boundary_of({"multipart/related", {{"boundary", text}}});
  };

  EXPECT_EQ(boundary("0f3cf5c0-70e0-41ef-baef-c6f9f65ec3e1"),
            "0f3cf5c0-70e0-41ef-baef-c6f9f65ec3e1");
  EXPECT_EQ(boundary("'()+_,-./:=? x"), "'()+_,-./:=? x");
  EXPECT_FALSE(boundary(""));
  EXPECT_FALSE(boundary("blank "));
  EXPECT_TRUE(boundary(std::string(73, 'a')));  // as Orthanc 1.10 makes them
  EXPECT_FALSE(boundary(std::string(201, 'a')));
  EXPECT_FALSE(boundary("a\r\nb"));
}

}  // namespace
}  // namespace isthmus::wire
