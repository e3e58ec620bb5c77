#include "http/retrying.h"

#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::http {
namespace {

using test::FailsWith;
using test::IsOk;
using ::testing::ElementsAre;

// Gives the answers it was told to give, in order, and notes when it was asked for what.
class ScriptedTransport : public Transport {
 public:
  using Answer = std::function<Result<Response>()>;

  explicit ScriptedTransport(Clock& clock) : clock_(clock) {}

  void status(int status, Headers headers = {}, std::string body = "") {
    script_.emplace_back([=]() -> Result<Response> {
      return Response{.status = status, .headers = headers, .body = source_of(body)};
    });
  }
  void error(Error error) {
    script_.emplace_back([=]() -> Result<Response> { return error; });
  }

  Result<Response> send(Request request) override {
    times_.push_back(clock_.steady_now());
    bodies_.push_back(request.body ? read_all(*request.body, 1000).value() : "");
    requests_.push_back(request);
    if (tries() > static_cast<int>(script_.size())) {
      return permanent_error("test.script_ended", "asked too often");
    }
    return script_[requests_.size() - 1]();
  }

  int tries() const { return static_cast<int>(requests_.size()); }
  Milliseconds waited(std::size_t before_try) const {
    return times_.at(before_try) - times_.at(before_try - 1);
  }

  std::vector<Request> requests_;
  std::vector<std::string> bodies_;

 private:
  Clock& clock_;
  std::vector<Answer> script_;
  std::vector<SteadyTime> times_;
};

class RetryingTest : public ::testing::Test {
 protected:
  Result<Response> send(Request request = {.url = "http://h/a"}) {
    RetryingTransport retrying(env_, script_, policy_, before_try_);
    return retrying.send(std::move(request));
  }

  test::TestEnv env_;
  ScriptedTransport script_{env_.clock};
  RetryPolicy policy_;
  BeforeTry before_try_;
};

TEST_F(RetryingTest, AGoodAnswerIsTheOnlyTry) {
  script_.status(200);

  EXPECT_EQ(send()->status, 200);
  EXPECT_EQ(script_.tries(), 1);
}

class RetryingStatus : public RetryingTest, public ::testing::WithParamInterface<int> {};

TEST_P(RetryingStatus, IsTriedAgain) {
  script_.status(GetParam());
  script_.status(200);

  EXPECT_EQ(send()->status, 200);
  EXPECT_EQ(script_.tries(), 2);
}

INSTANTIATE_TEST_SUITE_P(Statuses, RetryingStatus, ::testing::Values(429, 500, 502, 503, 504));

class FinalStatus : public RetryingTest, public ::testing::WithParamInterface<int> {};

TEST_P(FinalStatus, IsTheAnswer) {
  script_.status(GetParam());

  EXPECT_EQ(send()->status, GetParam());
  EXPECT_EQ(script_.tries(), 1);
}

INSTANTIATE_TEST_SUITE_P(Statuses, FinalStatus,
                         ::testing::Values(201, 204, 301, 304, 307, 400, 401, 402, 403, 404, 408,
                                           409, 412, 413, 501, 505));

TEST_F(RetryingTest, TheLastAnswerComesBackAsItIs) {
  policy_.attempts = 3;
  script_.status(500);
  script_.status(503);
  script_.status(503, {{"X-Try", "3"}}, "<Code>SlowDown</Code>");

  ASSERT_OK_AND_ASSIGN(Response response, send());

  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.headers.get("X-Try"), "3");
  EXPECT_EQ(read_all(*response.body, 100).value(), "<Code>SlowDown</Code>");
  EXPECT_EQ(script_.tries(), 3);
}

TEST_F(RetryingTest, TransientErrorsAreTriedAgainAndTheLastOneComesBack) {
  policy_.attempts = 2;
  script_.error(transient_error("http.connect", "1"));
  script_.error(transient_error("http.closed", "2"));

  EXPECT_THAT(send(), FailsWith("http.closed", Fate::transient));
  EXPECT_EQ(script_.tries(), 2);
}

TEST_F(RetryingTest, PermanentErrorsAreNotTriedAgain) {
  script_.error(permanent_error("http.bad_url", "no"));

  EXPECT_THAT(send(), FailsWith("http.bad_url"));
  EXPECT_EQ(script_.tries(), 1);
}

TEST_F(RetryingTest, TheBodyIsSentWholeEveryTime) {
  script_.status(500);
  script_.error(transient_error("http.closed", "cut"));
  script_.status(200);
  const std::shared_ptr<ByteSource> body = source_of(std::string("abc"));
  ASSERT_THAT(read_all(*body, 10), IsOk());  // somebody read it before

  ASSERT_THAT(send({.url = "http://h/a", .body = body}), IsOk());

  EXPECT_THAT(script_.bodies_, ElementsAre("abc", "abc", "abc"));
}

class OneWaySource : public ByteSource {
 public:
  std::uint64_t size() const override { return 1; }
  Result<std::size_t> read(MutableByteSpan) override { return std::size_t{0}; }
  Result<void> rewind() override { return permanent_error("test.one_way", "cannot"); }
};

TEST_F(RetryingTest, ABodyThatCannotBeRewoundIsAnError) {
  EXPECT_THAT(send({.url = "http://h/a", .body = std::make_shared<OneWaySource>()}),
              FailsWith("test.one_way"));
  EXPECT_EQ(script_.tries(), 0);
}

TEST_F(RetryingTest, EachTryIsSignedAfreshFromTheOriginalRequest) {
  int signatures = 0;
  before_try_ = [&](Request& request) -> Result<void> {
    request.headers.add("Authorization", std::to_string(++signatures));
    return {};
  };
  script_.status(500);
  script_.status(200);

  ASSERT_THAT(send(), IsOk());

  ASSERT_EQ(script_.tries(), 2);
  EXPECT_EQ(script_.requests_[0].headers.get("Authorization"), "1");
  EXPECT_EQ(script_.requests_[1].headers.all().size(), 1U);
  EXPECT_EQ(script_.requests_[1].headers.get("Authorization"), "2");
}

TEST_F(RetryingTest, AnErrorBeforeTheTryEndsIt) {
  before_try_ = [](Request&) -> Result<void> {
    return transient_error("auth.expired", "no credentials");
  };

  EXPECT_THAT(send(), FailsWith("auth.expired"));
  EXPECT_EQ(script_.tries(), 0);
}

TEST_F(RetryingTest, BacksOffWithFullJitterUnderADoublingCeiling) {
  constexpr int kRuns = 200;
  policy_ = {.attempts = 5,
             .first_backoff = Milliseconds(100),
             .longest_backoff = Milliseconds(300),
             .budget = Milliseconds(1'000'000)};
  const std::vector<Milliseconds> ceilings = {Milliseconds(100), Milliseconds(200),
                                              Milliseconds(300), Milliseconds(300)};
  std::vector<double> sums(ceilings.size());

  for (int run = 0; run < kRuns; ++run) {
    ScriptedTransport script(env_.clock);
    for (int i = 0; i < 5; ++i) script.status(503);
    RetryingTransport retrying(env_, script, policy_, {});
    ASSERT_EQ(retrying.send({.url = "http://h/a"})->status, 503);
    for (std::size_t i = 0; i < ceilings.size(); ++i) {
      ASSERT_LE(script.waited(i + 1), ceilings[i]);
      sums[i] += static_cast<double>(script.waited(i + 1).count());
    }
  }

  // Full jitter has its mean at half the ceiling; equal or no jitter would be at 3/4 or at all of
  // it.
  for (std::size_t i = 0; i < ceilings.size(); ++i) {
    EXPECT_NEAR(sums[i] / kRuns / static_cast<double>(ceilings[i].count()), 0.5, 0.1) << i;
  }
}

TEST_F(RetryingTest, RetryAfterInSecondsIsTheLeastWait) {
  script_.status(503, {{"Retry-After", "7"}});
  script_.status(200);

  ASSERT_THAT(send(), IsOk());

  EXPECT_EQ(script_.waited(1), Milliseconds(7'000));
}

TEST_F(RetryingTest, RetryAfterAsADateIsTheLeastWait) {
  script_.status(429, {{"Retry-After", to_http_date(env_.clock.wall_now() + Milliseconds(9'000))}});
  script_.status(200);

  ASSERT_THAT(send(), IsOk());

  EXPECT_EQ(script_.waited(1), Milliseconds(9'000));
}

TEST_F(RetryingTest, ARetryAfterThatIsPastOrNonsenseIsNoReasonToWaitLonger) {
  script_.status(503, {{"Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT"}});
  script_.status(503, {{"Retry-After", "-5"}});
  script_.status(503, {{"Retry-After", "99999999999999999999"}});
  script_.status(200);

  ASSERT_THAT(send(), IsOk());

  EXPECT_LE(script_.waited(1), Milliseconds(200));
  EXPECT_LE(script_.waited(2), Milliseconds(400));
  EXPECT_LE(script_.waited(3), Milliseconds(800));
}

TEST_F(RetryingTest, AnErrorsOwnRetryAfterIsHonouredToo) {
  Error error = transient_error("http.closed", "soon");
  error.retry_after = Milliseconds(3'000);
  script_.error(error);
  script_.status(200);

  ASSERT_THAT(send(), IsOk());

  EXPECT_EQ(script_.waited(1), Milliseconds(3'000));
}

TEST_F(RetryingTest, NoTryStartsAfterTheBudget) {
  policy_.budget = Milliseconds(60'000);
  script_.status(503, {{"Retry-After", "61"}});
  const SteadyTime start = env_.clock.steady_now();

  EXPECT_EQ(send()->status, 503);
  EXPECT_EQ(script_.tries(), 1);
  EXPECT_EQ(env_.clock.steady_now(), start);  // nor is the wait for it begun
}

TEST_F(RetryingTest, A402IsTriedAgainWhenItsNameIsAThrottle) {
  script_.status(402, {{"x-amzn-ErrorType", "ThrottlingException:http://internal/"}});
  script_.status(402, {}, R"({"__type":"com.amazonaws.medicalimaging#ThrottlingException"})");
  script_.status(402, {}, R"({"__type":"ServiceQuotaExceededException","message":"SlowDown"})");

  ASSERT_OK_AND_ASSIGN(Response response, send());

  EXPECT_EQ(script_.tries(), 3);
  EXPECT_EQ(response.status, 402);
  EXPECT_EQ(read_all(*response.body, 1000).value(),
            R"({"__type":"ServiceQuotaExceededException","message":"SlowDown"})");
}

}  // namespace
}  // namespace isthmus::http
