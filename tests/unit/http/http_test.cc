#include "http/http.h"

#include "support/matchers.h"

namespace isthmus::http {
namespace {

using test::FailsWith;
using test::IsOk;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(Headers, NamesCompareWithoutRegardToCase) {
  const Headers headers{{"Content-Type", "text/plain"}};

  EXPECT_EQ(headers.find("content-type"), "text/plain");
  EXPECT_EQ(headers.get("CONTENT-TYPE"), "text/plain");
  EXPECT_TRUE(headers.contains("content-Type"));
}

TEST(Headers, FindGivesTheFirstOfSeveralAndNothingForNone) {
  const Headers headers{{"Via", "a"}, {"via", "b"}};

  EXPECT_EQ(headers.find("Via"), "a");
  EXPECT_EQ(headers.find("Vi"), std::nullopt);
  EXPECT_EQ(headers.get("Host", "none"), "none");
}

TEST(Headers, SetReplacesEveryFieldOfThatNameInPlace) {
  Headers headers{{"Via", "a"}, {"Date", "d"}, {"via", "b"}};

  headers.set("VIA", "c");

  EXPECT_THAT(headers.all(), ElementsAre(Pair("Via", "c"), Pair("Date", "d")));
}

TEST(Headers, AddAppendsAndRemoveTakesAll) {
  Headers headers;
  headers.add("Via", "a");
  headers.add("via", "b");
  headers.add("Date", "d");
  ASSERT_EQ(headers.all().size(), 3U);

  headers.remove("VIA");

  EXPECT_THAT(headers.all(), ElementsAre(Pair("Date", "d")));
}

TEST(Head, SplitsTheRawTargetAtTheFirstQuestionMark) {
  Head head;
  head.target = "/a%20b/c?x=1?2&y=%2F";

  EXPECT_EQ(head.path(), "/a%20b/c");
  EXPECT_EQ(head.query(), "x=1?2&y=%2F");
}

TEST(Head, WithoutAQuestionMarkTheQueryIsEmpty) {
  Head head;
  head.target = "/a";

  EXPECT_EQ(head.path(), "/a");
  EXPECT_EQ(head.query(), "");
}

TEST(ParseQuery, DecodesInOrderAndKeepsThePlus) {
  EXPECT_THAT(parse_query("b=1%202&a=x+y&b=%C3%A4"),
              ElementsAre(Pair("b", "1 2"), Pair("a", "x+y"), Pair("b", "\xC3\xA4")));
}

TEST(ParseQuery, KnowsParametersWithoutAValueAndSkipsEmptyOnes) {
  EXPECT_THAT(parse_query("uploads&&x=&=y"),
              ElementsAre(Pair("uploads", ""), Pair("x", ""), Pair("", "y")));
  EXPECT_THAT(parse_query(""), IsEmpty());
}

TEST(ParseQuery, TheFirstEqualsSignEndsTheName) {
  EXPECT_THAT(parse_query("token=a=b"), ElementsAre(Pair("token", "a=b")));
}

TEST(ParseQuery, LeavesABrokenEscapeAsItCame) {
  EXPECT_THAT(parse_query("a=%4"), ElementsAre(Pair("a", "%4")));
}

TEST(PercentDecode, RefusesBrokenEscapes) {
  EXPECT_EQ(percent_decode("a%2fb%41"), "a/bA");
  EXPECT_EQ(percent_decode("%00").value(), std::string(1, '\0'));
  EXPECT_EQ(percent_decode("%"), std::nullopt);
  EXPECT_EQ(percent_decode("%4"), std::nullopt);
  EXPECT_EQ(percent_decode("%4g"), std::nullopt);
  EXPECT_EQ(percent_decode("%+1"), std::nullopt);
}

TEST(PercentEncode, EncodesAllButUnreserved) {
  EXPECT_EQ(percent_encode("aZ09-._~", false), "aZ09-._~");
  EXPECT_EQ(percent_encode("a b+c/d\xC3\xA4%", false), "a%20b%2Bc%2Fd%C3%A4%25");
  EXPECT_EQ(percent_encode("a/b c", true), "a/b%20c");
}

TEST(PercentEncode, ComesBackForEveryByte) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));

  EXPECT_EQ(percent_decode(percent_encode(all, false)), all);
}

WallTime at(std::int64_t seconds) {
  return WallTime(std::chrono::seconds(seconds));
}

TEST(HttpDate, WritesTheExampleOfTheStandard) {
  EXPECT_EQ(to_http_date(at(784111777)), "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST(HttpDate, ReadsAllThreeFormsOfTheStandard) {
  EXPECT_EQ(from_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), at(784111777));
  EXPECT_EQ(from_http_date("Sunday, 06-Nov-94 08:49:37 GMT"), at(784111777));
  EXPECT_EQ(from_http_date("Sun Nov  6 08:49:37 1994"), at(784111777));
}

TEST(HttpDate, ReadsWhatItWrites) {
  for (std::int64_t seconds = 0; seconds < 4'000'000'000; seconds += 86'400 * 13 + 3'607) {
    ASSERT_EQ(from_http_date(to_http_date(at(seconds))), at(seconds)) << seconds;
  }
}

TEST(HttpDate, RefusesWhatIsNoDate) {
  EXPECT_EQ(from_http_date(""), std::nullopt);
  EXPECT_EQ(from_http_date("120"), std::nullopt);
  EXPECT_EQ(from_http_date("Sun, 31 Feb 1994 08:49:37 GMT"), std::nullopt);
  EXPECT_EQ(from_http_date("Sun, 06 Nov 1994 24:49:37 GMT"), std::nullopt);
  EXPECT_EQ(from_http_date("Sun, 06 Nov 1994 08:49:37 CET"), std::nullopt);
  EXPECT_EQ(from_http_date("Sun, 262 Nov 1994 08:49:37 GMT"), std::nullopt);  // 262 % 256 is 6
  EXPECT_EQ(from_http_date("Sun, 06 Nov 67530 08:49:37 GMT"), std::nullopt);
}

TEST(ParseUrl, SplitsAndLeavesEveryPartRaw) {
  ASSERT_OK_AND_ASSIGN(const Url url, parse_url("http://h:8080//a%2Fb/../c+d?x=%20&y"));

  EXPECT_EQ(url.scheme, "http");
  EXPECT_EQ(url.authority, "h:8080");
  EXPECT_EQ(url.target, "//a%2Fb/../c+d?x=%20&y");
  EXPECT_EQ(url.path(), "//a%2Fb/../c+d");
  EXPECT_EQ(url.query(), "x=%20&y");
}

TEST(ParseUrl, TheTargetOfABareHostIsASlash) {
  ASSERT_OK_AND_ASSIGN(const Url url, parse_url("https://[::1]"));

  EXPECT_EQ(url.authority, "[::1]");
  EXPECT_EQ(url.target, "/");
}

class BadUrl : public ::testing::TestWithParam<const char*> {};

TEST_P(BadUrl, IsPermanent) {
  EXPECT_THAT(parse_url(GetParam()), FailsWith("http.bad_url", Fate::permanent));
}

INSTANTIATE_TEST_SUITE_P(Url, BadUrl,
                         ::testing::Values("", "/a", "h/a", "ftp://h/a", "http://", "http:///a",
                                           "http://:80/a", "http://u:p@h/a", "http://h/a#b",
                                           "http://h/a b", "http://h/a\r\nX: y", "http://h/\xC3",
                                           "http://h?x"));

TEST(TextResponse, HoldsTypeAndBody) {
  const Response response = text_response(404, "text/plain", "none");

  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.headers.get("Content-Type"), "text/plain");
  EXPECT_EQ(read_all(*response.body, 100).value(), "none");
}

TEST(Gather, CallsTheAnswerOnceWithTheWholeBody) {
  std::vector<std::string> bodies;
  const auto exchange = gather(6, [&](std::string body) {
    bodies.push_back(std::move(body));
    return Response{.status = 201, .headers = {}, .body = nullptr};
  });

  EXPECT_TRUE(exchange->feed({}));
  EXPECT_TRUE(exchange->feed(as_bytes("abc")));
  EXPECT_TRUE(exchange->feed(as_bytes("def")));
  const Response response = exchange->finish();

  EXPECT_EQ(response.status, 201);
  EXPECT_THAT(bodies, ElementsAre("abcdef"));
}

TEST(Gather, RefusesOneByteTooManyWithoutCallingTheAnswer) {
  bool called = false;
  const auto exchange = gather(5, [&](std::string) {
    called = true;
    return Response();
  });

  EXPECT_TRUE(exchange->feed(as_bytes("abc")));
  EXPECT_FALSE(exchange->feed(as_bytes("def")));
  const Response response = exchange->finish();

  EXPECT_EQ(response.status, 413);
  EXPECT_FALSE(called);
}

TEST(AnswerWith, WantsNoBody) {
  const auto exchange = answer_with(text_response(403, "text/plain", "no"));

  EXPECT_FALSE(exchange->feed(as_bytes("abc")));
  EXPECT_EQ(exchange->finish().status, 403);
}

}  // namespace
}  // namespace isthmus::http
