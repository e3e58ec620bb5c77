#include "http/loopback.h"

#include <stdexcept>

#include "support/matchers.h"

namespace isthmus::http {
namespace {

using test::FailsWith;

class Throwing : public Handler {
 public:
  std::unique_ptr<Exchange> open(const Head&) override { throw std::runtime_error("bug"); }
};

class BadHeader : public Handler {
 public:
  std::unique_ptr<Exchange> open(const Head&) override {
    Response response = text_response(200, "text/plain", "x");
    response.headers.set("X-Split", "a\r\nSet-Cookie: b");
    return answer_with(std::move(response));
  }
};

TEST(Loopback, AHandlerThatThrowsIs500) {
  Throwing handler;
  const auto loopback = make_loopback(handler);

  EXPECT_EQ(loopback->send({.url = "http://h/"})->status, 500);
}

TEST(Loopback, AnAnswerWhoseHeaderHoldsALineEndIs500) {
  BadHeader handler;
  const auto loopback = make_loopback(handler);

  ASSERT_OK_AND_ASSIGN(const Response response, loopback->send({.url = "http://h/"}));

  EXPECT_EQ(response.status, 500);
  EXPECT_FALSE(response.headers.contains("X-Split"));
}

TEST(Loopback, ABadUrlReachesNoHandler) {
  Throwing handler;
  const auto loopback = make_loopback(handler);

  EXPECT_THAT(loopback->send({.url = "h/a"}), FailsWith("http.bad_url"));
}

}  // namespace
}  // namespace isthmus::http
