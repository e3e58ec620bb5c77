#include "api/senders.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "http/loopback.h"
#include "support/matchers.h"
#include "support/memory_access_rows.h"
#include "support/memory_sender_rows.h"
#include "support/scripted_authenticator.h"
#include "support/test_env.h"

namespace isthmus::api {
namespace {

using test::FailsWith;
using testing::HasSubstr;

struct Answer {
  int status = 0;
  std::string body;
};

class SenderRoutes : public testing::Test {
 protected:
  void SetUp() override { add_sender_routes(router_, desk_); }
  Answer post(const std::string& body) {
    http::Request request;
    request.method = "POST";
    request.url = "http://gateway.internal/control/senders";
    request.body = source_of(body);
    auto response = http::make_loopback(router_)->send(std::move(request));
    EXPECT_THAT(response, test::IsOk());
    Answer answer{response->status, ""};
    if (response->body) answer.body = read_all(*response->body, MiB).value();
    return answer;
  }

  test::TestEnv env_;
  test::MemorySenderRows rows_;
  Senders senders_{SenderPolicy{}};
  SenderDesk desk_{env_, rows_, &senders_, {}, {"main"}};
  test::ScriptedAuthenticator authenticator_;
  test::MemoryAccessRows audit_;
  GuardedRouter router_{env_, authenticator_, audit_};
};

SenderOrder whole_order() {
  SenderOrder order;
  order.kind = SenderOrder::Kind::admit;
  order.who = "MR_1";
  order.name = "magnet";
  order.from = {"10.1.0.0/16"};
  order.called = {"ARCHIVE"};
  order.tls_identities = {"mr.example"};
  order.sop_classes = {"images"};
  order.destinations = {"main"};
  order.report_to = "mr.example:104";
  order.report_tls = true;
  order.report_tls_name = "inside.example";
  order.report_tls_pin = std::string(64, 'a');
  order.associations = 4;
  order.bytes_per_second = 1e6;
  return order;
}

TEST_F(SenderRoutes, CarryOutAnOrder) {
  const Answer answer = post(order_json(whole_order()));

  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_THAT(answer.body, HasSubstr("magnet is admitted"));
  const auto sender = senders_.find("magnet");
  ASSERT_TRUE(sender);
  EXPECT_EQ(sender->report_to->text(), "mr.example:104");
  EXPECT_EQ(sender->report_to->tls_name, "inside.example");
  EXPECT_EQ(sender->limits, (SenderLimits{4, 0, 1e6}));
}

TEST_F(SenderRoutes, SayWhatIsWrongByItsCode) {
  SenderOrder order = whole_order();
  order.destinations = {"nowhere"};
  const Answer conflict = post(order_json(order));
  EXPECT_EQ(conflict.status, 409);
  EXPECT_THAT(conflict.body, HasSubstr("sender.bad_order"));

  rows_.refuse(transient_error("ledger.full", "no space"));
  EXPECT_EQ(post(order_json(whole_order())).status, 503);
}

TEST(SenderOrders, AreReadAsTheyWereWritten) {
  ASSERT_OK_AND_ASSIGN(const SenderOrder read, order_from(order_json(whole_order())));

  EXPECT_EQ(order_json(read), order_json(whole_order()));
}

TEST(SenderOrders, RefuseWhatIsNone) {
  for (const char* text :
       {"", "[]", "{}", R"({"kind":"dance","who":"A"})", R"({"kind":"admit"})",
        R"({"kind":"admit","who":1})", R"({"kind":"admit","who":"A","from":"10.0.0.1"})",
        R"({"kind":"admit","who":"A","from":[1]})", R"({"kind":1,"who":"A"})",
        R"({"kind":"admit","who":"A","report_tls":1})",
        R"({"kind":"admit","who":"A","associations":"4"})"}) {
    EXPECT_THAT(order_from(text), FailsWith("api.bad_request")) << text;
  }
}

}  // namespace
}  // namespace isthmus::api
