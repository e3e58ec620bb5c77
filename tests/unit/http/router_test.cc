#include "http/router.h"

#include "support/matchers.h"

namespace isthmus::http {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

// Answers with the name of the route and remembers the parameters.
class RouterTest : public ::testing::Test {
 protected:
  void route(const std::string& method, const std::string& path) {
    router_.add(method, path,
                [this, name = method + " " + path](const Head&, const PathParameters& parameters) {
                  parameters_ = parameters;
                  return answer_with(text_response(200, "text/plain", name));
                });
  }
  Response ask(const std::string& method, const std::string& target) {
    parameters_.clear();
    Head head;
    head.method = method;
    head.target = target;
    return router_.open(head)->finish();
  }
  std::string routed(const std::string& method, const std::string& target) {
    Response response = ask(method, target);
    return response.status == 200 ? read_all(*response.body, 1000).value()
                                  : std::to_string(response.status);
  }

  Router router_;
  PathParameters parameters_;
};

TEST_F(RouterTest, MatchesSegmentsAndDecodesParameters) {
  route("GET", "/datastore/{datastoreId}/imageSet/{imageSetId}");

  EXPECT_EQ(routed("GET", "/datastore/a%20b/imageSet/x%2Fy?version=1"),
            "GET /datastore/{datastoreId}/imageSet/{imageSetId}");
  EXPECT_THAT(parameters_, ElementsAre(Pair("datastoreId", "a b"), Pair("imageSetId", "x/y")));
}

TEST_F(RouterTest, AParameterIsOneSegmentThatIsNotEmpty) {
  route("GET", "/a/{b}");

  EXPECT_EQ(routed("GET", "/a/"), "404");
  EXPECT_EQ(routed("GET", "/a"), "404");
  EXPECT_EQ(routed("GET", "/a/b/"), "404");
  EXPECT_EQ(routed("GET", "/a/b/c"), "404");
  EXPECT_EQ(routed("GET", "//a/b"), "404");
}

TEST_F(RouterTest, TheLastParameterMayTakeTheRest) {
  route("PUT", "/{bucket}/{key+}");

  EXPECT_EQ(routed("PUT", "/b//x%2Fy/z/"), "PUT /{bucket}/{key+}");
  EXPECT_THAT(parameters_, ElementsAre(Pair("bucket", "b"), Pair("key", "/x/y/z/")));
  EXPECT_EQ(routed("PUT", "/b/"), "404");
  EXPECT_EQ(routed("PUT", "/b"), "404");
}

TEST_F(RouterTest, TheRootIsARoute) {
  route("GET", "/");

  EXPECT_EQ(routed("GET", "/"), "GET /");
  EXPECT_EQ(routed("GET", "/x"), "404");
  EXPECT_EQ(routed("GET", "*"), "404");
}

TEST_F(RouterTest, TheFirstRegisteredWins) {
  route("GET", "/studies/export");
  route("GET", "/studies/{study}");

  EXPECT_EQ(routed("GET", "/studies/export"), "GET /studies/export");
  EXPECT_EQ(routed("GET", "/studies/1.2"), "GET /studies/{study}");
}

TEST_F(RouterTest, LiteralsAreComparedRaw) {
  route("GET", "/a/b");

  EXPECT_EQ(routed("GET", "/a%2Fb"), "404");
  EXPECT_EQ(routed("GET", "/A/b"), "404");
}

TEST_F(RouterTest, AnotherMethodIs405WithAllow) {
  route("POST", "/a/{b}");
  route("DELETE", "/a/{b}");
  route("GET", "/c");

  const Response response = ask("PUT", "/a/x");

  EXPECT_EQ(response.status, 405);
  EXPECT_EQ(response.headers.get("Allow"), "POST, DELETE");
  EXPECT_EQ(ask("PUT", "/c").headers.get("Allow"), "GET, HEAD");
}

TEST_F(RouterTest, HeadIsAnsweredByItsOwnRouteOrElseByGet) {
  route("GET", "/a");
  route("GET", "/b");
  route("HEAD", "/b");

  EXPECT_EQ(routed("HEAD", "/a"), "GET /a");
  EXPECT_EQ(routed("HEAD", "/b"), "HEAD /b");
}

TEST_F(RouterTest, ABrokenEscapeInAParameterIs400) {
  route("GET", "/a/{b}");

  EXPECT_EQ(routed("GET", "/a/%zz"), "400");
}

TEST_F(RouterTest, OnNotFoundReplacesThe404) {
  router_.on_not_found([](const Head& head, const PathParameters&) {
    return answer_with(text_response(410, "text/plain", std::string(head.path())));
  });

  Response response = ask("GET", "/none");

  EXPECT_EQ(response.status, 410);
  EXPECT_EQ(read_all(*response.body, 100).value(), "/none");
}

TEST_F(RouterTest, ListsItsRoutesInOrder) {
  route("GET", "/healthz");
  route("PUT", "/{bucket}/{key+}");

  EXPECT_THAT(router_.routes(), ElementsAre("GET /healthz", "PUT /{bucket}/{key+}"));
}

}  // namespace
}  // namespace isthmus::http
