#include "http/rules/rules.h"

#include "support/matchers.h"

namespace isthmus::http::rules {
namespace {

struct Case {
  const char* name;
  int minor;
  Headers headers;
  int status;  // 0: accepted
};

class Judge : public ::testing::TestWithParam<Case> {};

TEST_P(Judge, RefusesWhatCouldBeFramedInTwoWays) {
  Framing framing;

  const std::optional<Refusal> refusal = judge(GetParam().minor, GetParam().headers, framing);

  EXPECT_EQ(refusal ? refusal->status : 0, GetParam().status);
}

INSTANTIATE_TEST_SUITE_P(
    Framing, Judge,
    ::testing::Values(
        Case{"Plain", 1, {{"Host", "h"}}, 0}, Case{"NoHost", 1, {}, 400},
        Case{"NoHostInOldVersion", 0, {}, 0},
        Case{"TwoHosts", 1, {{"Host", "h"}, {"host", "h"}}, 400},
        Case{"Length", 1, {{"Host", "h"}, {"Content-Length", "18446744073709551615"}}, 0},
        Case{"LengthOverflow", 1, {{"Host", "h"}, {"Content-Length", "18446744073709551616"}}, 400},
        Case{"NegativeLength", 1, {{"Host", "h"}, {"Content-Length", "-1"}}, 400},
        Case{"SignedLength", 1, {{"Host", "h"}, {"Content-Length", "+1"}}, 400},
        Case{"HexLength", 1, {{"Host", "h"}, {"Content-Length", "0x10"}}, 400},
        Case{"EmptyLength", 1, {{"Host", "h"}, {"Content-Length", ""}}, 400},
        Case{"ListedLength", 1, {{"Host", "h"}, {"Content-Length", "5, 5"}}, 400},
        Case{"DoubledLength",
             1,
             {{"Host", "h"}, {"Content-Length", "5"}, {"Content-Length", "5"}},
             400},
        Case{"LengthAndCoding",
             1,
             {{"Host", "h"}, {"Content-Length", "5"}, {"Transfer-Encoding", "chunked"}},
             400},
        Case{"Chunked", 1, {{"Host", "h"}, {"Transfer-Encoding", "Chunked"}}, 0},
        Case{"ChunkedInOldVersion", 0, {{"Host", "h"}, {"Transfer-Encoding", "chunked"}}, 400},
        Case{"DoubledCoding",
             1,
             {{"Host", "h"}, {"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}},
             400},
        Case{"OtherCoding", 1, {{"Host", "h"}, {"Transfer-Encoding", "gzip, chunked"}}, 501},
        Case{"MangledCoding", 1, {{"Host", "h"}, {"Transfer-Encoding", "xchunked"}}, 501},
        Case{"Expectation", 1, {{"Host", "h"}, {"Expect", "100-Continue"}}, 0},
        Case{"OtherExpectation", 1, {{"Host", "h"}, {"Expect", "200-ok"}}, 417}),
    [](const auto& one) { return one.param.name; });

TEST(Judgement, KeepsAliveByVersionAndConnection) {
  const auto keeps = [](int minor, Headers headers) {
    headers.set("Host", "h");
    Framing framing;
    EXPECT_EQ(judge(minor, headers, framing), std::nullopt);
    return framing.keep_alive;
  };

  EXPECT_TRUE(keeps(1, {}));
  EXPECT_FALSE(keeps(1, {{"Connection", "foo, Close"}}));
  EXPECT_FALSE(keeps(0, {}));
  EXPECT_TRUE(keeps(0, {{"Connection", "keep-alive"}}));
}

// botocore reads a final answer to "Expect: 100-continue" and then misreads the next one.
TEST(Judgement, EndsTheConnectionWhenThereIsNothingToContinueWith) {
  const auto keeps = [](Headers headers) {
    headers.set("Host", "h");
    headers.set("Expect", "100-continue");
    Framing framing;
    EXPECT_EQ(judge(1, headers, framing), std::nullopt);
    return framing.keep_alive;
  };

  EXPECT_TRUE(keeps({{"Content-Length", "1"}}));
  EXPECT_FALSE(keeps({{"Content-Length", "0"}}));
  EXPECT_FALSE(keeps({}));
}

TEST(Judgement, ExpectationCountsOnlyWithABodyAndInThisVersion) {
  const auto expects = [](int minor, Headers headers) {
    headers.set("Host", "h");
    headers.set("Expect", "100-continue");
    Framing framing;
    EXPECT_EQ(judge(minor, headers, framing), std::nullopt);
    return framing.expects_continue;
  };

  EXPECT_TRUE(expects(1, {{"Content-Length", "1"}}));
  EXPECT_FALSE(expects(1, {{"Content-Length", "0"}}));
  EXPECT_FALSE(expects(1, {}));
  EXPECT_FALSE(expects(0, {{"Content-Length", "1"}}));
}

TEST(OriginForm, KeepsTheTargetRaw) {
  EXPECT_EQ(origin_form("/a%20b//c?x"), "/a%20b//c?x");
  EXPECT_EQ(origin_form("http://h:1/a?b"), "/a?b");
  EXPECT_EQ(origin_form("http://h"), "/");
  EXPECT_EQ(origin_form("*"), std::nullopt);
  EXPECT_EQ(origin_form("h:443"), std::nullopt);
}

TEST(Complete, TellsTheLengthOfEveryBody) {
  Response response = text_response(200, "text/plain", "abc");

  ASSERT_TRUE(complete(response, "GET"));

  EXPECT_EQ(response.headers.get("Content-Length"), "3");
  EXPECT_NE(response.body, nullptr);
}

TEST(Complete, WithoutABodyTheLengthIsZeroWhateverWasSaid) {
  Response response{.status = 200, .headers = {{"Content-Length", "9"}}, .body = nullptr};

  ASSERT_TRUE(complete(response, "GET"));

  EXPECT_EQ(response.headers.get("Content-Length"), "0");
}

TEST(Complete, HeadTellsTheLengthAndSendsNothing) {
  Response response = text_response(200, "text/plain", "abc");
  Response told{.status = 200, .headers = {{"Content-Length", "9"}}, .body = nullptr};

  ASSERT_TRUE(complete(response, "HEAD"));
  ASSERT_TRUE(complete(told, "HEAD"));

  EXPECT_EQ(response.headers.get("Content-Length"), "3");
  EXPECT_EQ(response.body, nullptr);
  EXPECT_EQ(told.headers.get("Content-Length"), "9");
}

TEST(Complete, NoContentHasNoLengthAndNoBody) {
  Response response = text_response(204, "text/plain", "abc");

  ASSERT_TRUE(complete(response, "GET"));

  EXPECT_FALSE(response.headers.contains("Content-Length"));
  EXPECT_EQ(response.body, nullptr);
}

TEST(Complete, RefusesHeadersThatWouldSplitTheAnswer) {
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{{"X", "a\r\nY: b"},
                                                        {"X", "a\nb"},
                                                        {"X\r\n", "a"},
                                                        {"X:", "a"},
                                                        {"", "a"},
                                                        {"X ", "a"},
                                                        {"X", std::string("a\0b", 3)},
                                                        {"X", "\x7F"}}) {
    Response response;
    response.headers.add(name, value);
    EXPECT_FALSE(complete(response, "GET")) << name;
  }
}

TEST(HeadText, IsTheAnswersFirstPart) {
  Response response{.status = 404, .headers = {{"A", "b"}}, .body = nullptr};

  EXPECT_EQ(head_text(response, true),
            "HTTP/1.1 404 Not Found\r\nA: b\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(head_text(response, false),
            "HTTP/1.1 404 Not Found\r\nA: b\r\nConnection: close\r\n\r\n");
}

}  // namespace
}  // namespace isthmus::http::rules
