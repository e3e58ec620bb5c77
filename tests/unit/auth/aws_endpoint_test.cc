#include "auth/aws_endpoint.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus {
namespace {

using test::FailsWith;

std::string endpoint(std::string_view service, const AwsEndpointChoice& choice) {
  const auto found = aws_endpoint(service, choice);
  return found.ok() ? *found : found.error().code;
}

// The service's own test vectors.
TEST(AwsEndpoint, IsWhatTheServiceModelSays) {
  USE_SHARED(const auto shared);
  std::ifstream file(shared / "contracts/healthimaging/endpoint-tests-1.json");
  const auto cases = nlohmann::json::parse(file).at("testCases");
  ASSERT_FALSE(cases.empty());
  for (const auto& one : cases) {
    const auto params = one.value("params", nlohmann::json::object());
    const AwsEndpointChoice choice{params.value("Region", ""), params.value("Endpoint", ""),
                                   params.value("UseFIPS", false),
                                   params.value("UseDualStack", false)};
    const auto& expected = one.at("expect");
    EXPECT_EQ(endpoint("medical-imaging", choice),
              expected.contains("endpoint") ? expected["endpoint"]["url"] : "config.endpoint")
        << one.dump();
  }
}

TEST(AwsEndpoint, OfS3HasFormsOfItsOwn) {
  EXPECT_EQ(endpoint("s3", {.region = "eu-central-1"}), "https://s3.eu-central-1.amazonaws.com");
  EXPECT_EQ(endpoint("s3", {.region = "us-gov-west-1", .fips = true, .dual_stack = true}),
            "https://s3-fips.dualstack.us-gov-west-1.amazonaws.com");
  EXPECT_EQ(endpoint("s3", {.region = "cn-north-1", .dual_stack = true}),
            "https://s3.dualstack.cn-north-1.amazonaws.com.cn");
}

TEST(AwsEndpoint, IsNoneForARegionThatIsNone) {
  for (const char* region : {"", "eu central", "EU-CENTRAL-1", "x.example.org/"}) {
    EXPECT_THAT(aws_endpoint("s3", {.region = region}),
                FailsWith("config.endpoint", Fate::permanent))
        << region;
  }
}

}  // namespace
}  // namespace isthmus
