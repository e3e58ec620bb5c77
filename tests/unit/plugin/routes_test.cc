#include "plugin/routes.h"

#include <gmock/gmock.h>

#include "http/router.h"
#include "support/matchers.h"

namespace isthmus::test {
namespace {

using plugin::head_of;
using plugin::HostRequest;

TEST(PluginRoutes, TakesTheMountOffAndEncodesWhatOrthancDecoded) {
  HostRequest request;
  request.method = "GET";
  request.url = "/isthmus/v1/things/a b";
  request.query = {{"name", "x&y"}, {"limit", "5"}};

  const http::Head head = head_of(request, {"token", ""});

  EXPECT_EQ(head.target, "/v1/things/a%20b?name=x%26y&limit=5");
  EXPECT_EQ(head_of({"GET", "/isthmus", {}, {}, 0}, {"token", ""}).target, "/");
}

TEST(PluginRoutes, WhoWasLetInByOrthancNeedsNoOtherToken) {
  HostRequest request;
  request.method = "POST";
  request.url = "/isthmus/control/retry";
  request.headers = {{"authorization", "Basic b3J0aGFuYzpvcnRoYW5j"},
                     {"content-type", "application/json"},
                     {"x-isthmus-on-behalf-of", "admin;me"}};

  const http::Head head = head_of(request, {"ours", "read;orthanc/jane"});

  EXPECT_EQ(head.headers.get("Authorization"), "Bearer ours");
  EXPECT_EQ(head.headers.get("X-Isthmus-On-Behalf-Of"), "read;orthanc/jane");
  EXPECT_EQ(head.headers.get("Content-Type"), "application/json");
}

TEST(PluginRoutes, APostMaySayItsMethodAndQueryInAHeader) {
  HostRequest request{"POST", "/isthmus/v1/studies/1.2", {}, {}, 0};
  const auto said = [&](const char* method) {
    request.headers = {{"x-isthmus-method", method}};
    const http::Head head = head_of(request, {});
    return head.method + " " + head.target;
  };

  EXPECT_EQ(said("PATCH?dryRun=true"), "PATCH /v1/studies/1.2?dryRun=true");
  EXPECT_EQ(said("POST?latestVersion=3"), "POST /v1/studies/1.2?latestVersion=3");
  EXPECT_EQ(said("PATCH"), "POST /v1/studies/1.2");  // was it to be a dry run?
  EXPECT_EQ(said("DELETE?a=b"), "POST /v1/studies/1.2");
  request.method = "GET";
  EXPECT_EQ(said("PATCH?dryRun=true"), "GET /v1/studies/1.2");
}

TEST(PluginRoutes, GivesTheWholeBodyToTheHandler) {
  http::Router router;
  router.add("POST", "/echo", [](const http::Head&, const http::PathParameters&) {
    return http::gather(
        1'000, [](std::string body) { return http::text_response(200, "text/plain", body + "!"); });
  });

  http::Response response =
      plugin::answer(router, head_of({"POST", "/isthmus/echo", {}, {}, 5}, {}), as_bytes("hello"));

  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(read_all(*response.body, 100).value(), "hello!");
}

}  // namespace
}  // namespace isthmus::test
