#include "api/query.h"

#include "support/matchers.h"

namespace isthmus::api {
namespace {

http::Head head_of(std::string query) {
  http::Head head;
  head.method = "GET";
  head.target = "/v1/things?" + std::move(query);
  return head;
}

TEST(Query, GivesWhatIsThere) {
  const Query query(head_of("name=a%20b&limit=7&empty="));

  EXPECT_EQ(query.text("name"), "a b");
  EXPECT_EQ(query.text("empty"), std::nullopt);
  EXPECT_EQ(query.text("other"), std::nullopt);
  EXPECT_EQ(query.integer("limit", 50, 1, 500), 7);
  EXPECT_EQ(query.integer("other", 50, 1, 500), 50);
  EXPECT_FALSE(query.problem({"name", "limit", "empty"}));
}

TEST(Query, SaysWhatIsWrongAndNeverTheValue) {
  for (const char* wrong : {"limit=0", "limit=501", "limit=-1", "limit=+1", "limit=1x", "limit=0x1",
                            "limit=99999999999999999999", "limit=1&limit=2", "secret=1"}) {
    const Query query(head_of(wrong));
    query.integer("limit", 50, 1, 500);

    const auto problem = query.problem({"limit"});

    ASSERT_TRUE(problem) << wrong;
    EXPECT_EQ(problem->code, "api.bad_query");
    EXPECT_EQ(problem->message.find("secret"), std::string::npos);
  }
}

}  // namespace
}  // namespace isthmus::api
