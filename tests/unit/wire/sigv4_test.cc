#include "wire/sigv4.h"

#include "base/digest.h"
#include "support/matchers.h"

namespace isthmus::wire::sigv4 {
namespace {

using test::FailsWith;
using test::IsOk;

// The example keys of AWS's signing test suite and of its S3 documentation: no real ones.
const Keys kSuiteKeys{"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""};
const Keys kS3Keys{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};
const WallTime kSuiteTime = *from_amz_date("20150830T123600Z");
const WallTime kS3Time = *from_amz_date("20130524T000000Z");

std::string signature_in(const http::Request& request) {
  const auto claim = parse_authorization(request.headers.get("Authorization"));
  return claim.ok() ? claim->signature : "";
}

// --- the signing test suite (AWS General Reference; service "service", region us-east-1)
// ----------
struct SuiteCase {
  const char* name;
  http::Request request;
  const char* signature;
};
void PrintTo(const SuiteCase& one, std::ostream* out) {
  *out << one.name;
}

http::Request suite_request(std::string method, std::string target, http::Headers headers = {}) {
  http::Request request;
  request.method = std::move(method);
  request.url = "https://example.amazonaws.com" + target;
  request.headers = std::move(headers);
  return request;
}

class SigningSuite : public testing::TestWithParam<SuiteCase> {};

TEST_P(SigningSuite, GivesThePublishedSignature) {
  http::Request request = GetParam().request;

  ASSERT_THAT(sign(request, kSuiteKeys, "us-east-1", "service", kSuiteTime, kEmptyPayloadHash),
              IsOk());

  EXPECT_EQ(signature_in(request), GetParam().signature);
}

const char* const kVanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

INSTANTIATE_TEST_SUITE_P(
    Published, SigningSuite,
    testing::Values(
        SuiteCase{"vanilla", suite_request("GET", "/"), kVanilla},
        SuiteCase{"post", suite_request("POST", "/"),
                  "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
        SuiteCase{"relative", suite_request("GET", "/example/.."), kVanilla},
        SuiteCase{"dot_slash", suite_request("GET", "/./"), kVanilla},
        SuiteCase{"slash", suite_request("GET", "//"), kVanilla},
        SuiteCase{"slashes", suite_request("GET", "//example//"),
                  "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"},
        SuiteCase{"pointless_dot", suite_request("GET", "/./example"),
                  "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"},
        SuiteCase{"query_order", suite_request("GET", "/?Param2=value2&Param1=value1"),
                  "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
        SuiteCase{"query_key", suite_request("GET", "/?Param1=value1"),
                  "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
        SuiteCase{"header_sort", suite_request("POST", "/", {{"My-Header1", "value1"}}),
                  "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
        SuiteCase{"header_value_case", suite_request("POST", "/", {{"My-Header1", "VALUE1"}}),
                  "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
        SuiteCase{"header_trim",
                  suite_request("GET", "/",
                                {{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}}),
                  "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
        SuiteCase{"header_repeated",
                  suite_request("GET", "/",
                                {{"My-Header1", "value2"},
                                 {"My-Header1", "value2"},
                                 {"My-Header1", "value1"}}),
                  "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"}),
    [](const auto& one) { return std::string(one.param.name); });

// Targets that no client of ours sends, but a server may be sent.
TEST(SigV4, ComputesThePublishedSignaturesOfRawTargets) {
  struct Raw {
    const char* path;
    const char* query;
    const char* signature;
  };
  const http::Headers headers{{"Host", "example.amazonaws.com"},
                              {"X-Amz-Date", "20150830T123600Z"}};
  const std::vector<std::string> names = {"host", "x-amz-date"};
  const Scope scope{"20150830", "us-east-1", "service"};
  for (const Raw& raw : {
           Raw{"/example space/", "",
               "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
           Raw{"/\xE1\x88\xB4", "",
               "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
           Raw{"/", "\xE1\x88\xB4=bar",
               "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
       }) {
    const std::string canonical = canonical_request({"GET", raw.path, raw.query, headers}, names,
                                                    kEmptyPayloadHash, PathRule::encoded_twice);
    EXPECT_EQ(signature(kSuiteKeys.secret_access_key, scope,
                        string_to_sign("20150830T123600Z", scope, canonical)),
              raw.signature)
        << canonical;
  }
}

// --- the examples of the S3 documentation ("Authenticating Requests: Using the Authorization
// Header")
http::Request s3_request(std::string method, std::string target, http::Headers headers) {
  http::Request request;
  request.method = std::move(method);
  request.url = "https://examplebucket.s3.amazonaws.com" + target;
  request.headers = std::move(headers);
  return request;
}

TEST(SigV4, SignsTheDocumentedGetOfARange) {
  http::Request request = s3_request("GET", "/test.txt", {{"Range", "bytes=0-9"}});

  ASSERT_THAT(sign(request, kS3Keys, "us-east-1", "s3", kS3Time, kEmptyPayloadHash), IsOk());

  EXPECT_EQ(request.headers.get("Authorization"),
            "AWS4-HMAC-SHA256 "
            "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(SigV4, SignsTheDocumentedPut) {
  http::Request request = s3_request(
      "PUT", "/test%24file.text",
      {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}});

  ASSERT_THAT(
      sign(request, kS3Keys, "us-east-1", "s3", kS3Time, sha256("Welcome to Amazon S3.").hex()),
      IsOk());

  EXPECT_EQ(signature_in(request),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

TEST(SigV4, SignsTheDocumentedSubresource) {
  http::Request request = s3_request("GET", "/?lifecycle", {});

  ASSERT_THAT(sign(request, kS3Keys, "us-east-1", "s3", kS3Time, kEmptyPayloadHash), IsOk());

  EXPECT_EQ(signature_in(request),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

TEST(SigV4, SignsTheDocumentedListing) {
  http::Request request = s3_request("GET", "/?max-keys=2&prefix=J", {});

  ASSERT_THAT(sign(request, kS3Keys, "us-east-1", "s3", kS3Time, kEmptyPayloadHash), IsOk());

  EXPECT_EQ(signature_in(request),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

// --- paths
// ----------------------------------------------------------------------------------------
std::string canonical_path(std::string_view path, PathRule rule) {
  const http::Headers none;
  const std::string text = canonical_request({"GET", path, "", none}, {}, "", rule);
  return text.substr(4, text.find('\n', 4) - 4);
}

TEST(SigV4, KeepsS3PathsAsTheyAre) {
  EXPECT_EQ(canonical_path("/bucket/a/../b//c/./", PathRule::s3), "/bucket/a/../b//c/./");
  EXPECT_EQ(canonical_path("/b/caf%C3%A9%20au%2blait", PathRule::s3), "/b/caf%C3%A9%20au%2Blait");
  EXPECT_EQ(canonical_path("/b/k=v:w", PathRule::s3), "/b/k%3Dv%3Aw");
  EXPECT_EQ(canonical_path("", PathRule::s3), "/");
}

TEST(SigV4, EncodesOtherPathsTwice) {
  EXPECT_EQ(canonical_path("/tags/arn%3Aaws%2Fx", PathRule::encoded_twice),
            "/tags/arn%253Aaws%252Fx");
  EXPECT_EQ(canonical_path("/a/../b//c/.", PathRule::encoded_twice), "/b/c/");
}

TEST(SigV4, SortsQueriesByEncodedName) {
  const http::Headers none;
  const std::string text =
      canonical_request({"GET", "/", "b=2&a=%7e&uploads&a=!", none}, {}, "", PathRule::s3);

  EXPECT_THAT(text, testing::HasSubstr("\na=%21&a=~&b=2&uploads=\n"));
}

// --- signing
// --------------------------------------------------------------------------------------
TEST(SigV4, ReplacesAnOlderSignature) {
  http::Request once = s3_request("GET", "/a", {});
  ASSERT_THAT(sign(once, kS3Keys, "us-east-1", "s3", kS3Time, kEmptyPayloadHash), IsOk());
  http::Request twice = s3_request("GET", "/a", {});
  Keys with_session = kS3Keys;
  with_session.session_token = "old";
  ASSERT_THAT(sign(twice, with_session, "us-east-1", "s3", kSuiteTime, kUnsignedPayload), IsOk());

  ASSERT_THAT(sign(twice, kS3Keys, "us-east-1", "s3", kS3Time, kEmptyPayloadHash), IsOk());

  EXPECT_EQ(twice.headers.get("Authorization"), once.headers.get("Authorization"));
}

TEST(SigV4, LeavesOutWhatTransportsChange) {
  http::Request request = s3_request(
      "GET", "/a", {{"User-Agent", "x"}, {"Connection", "close"}, {"Content-Length", "3"}});

  ASSERT_THAT(sign(request, kS3Keys, "us-east-1", "s3", kS3Time, kEmptyPayloadHash), IsOk());

  ASSERT_OK_AND_ASSIGN(const Authorization claim,
                       parse_authorization(request.headers.get("Authorization")));
  EXPECT_THAT(claim.signed_headers,
              testing::ElementsAre("host", "x-amz-content-sha256", "x-amz-date"));
}

TEST(SigV4, SignsTheAuthorityOfTheUrl) {
  http::Request request;
  request.url = "http://127.0.0.1:8181/?x=1";

  ASSERT_THAT(sign(request, kS3Keys, "us-east-1", "s3", kS3Time, kEmptyPayloadHash), IsOk());

  EXPECT_EQ(request.headers.get("Host"), "127.0.0.1:8181");
}

TEST(SigV4, RefusesToSignARelativeUrl) {
  http::Request request;
  request.url = "/a";
  EXPECT_THAT(sign(request, kS3Keys, "us-east-1", "s3", kS3Time, kEmptyPayloadHash),
              FailsWith("http.bad_url"));
}

// --- reading claims
// -------------------------------------------------------------------------------
const std::string kSignature(64, 'a');

TEST(SigV4, ReadsAClaim) {
  ASSERT_OK_AND_ASSIGN(
      const Authorization claim,
      parse_authorization("AWS4-HMAC-SHA256 Credential=A/B/20150830/eu-central-1/s3/aws4_request,"
                          "SignedHeaders=host;x-amz-date, Signature=" +
                          kSignature));

  EXPECT_EQ(claim.access_key_id, "A/B");
  EXPECT_EQ(claim.scope, (Scope{"20150830", "eu-central-1", "s3"}));
  EXPECT_THAT(claim.signed_headers, testing::ElementsAre("host", "x-amz-date"));
  EXPECT_EQ(claim.signature, kSignature);
}

TEST(SigV4, RefusesClaimsItCannotRead) {
  const std::string good = "Credential=A/20150830/r/s3/aws4_request";
  const std::string rest = ", SignedHeaders=host, Signature=" + kSignature;
  EXPECT_THAT(parse_authorization(""), FailsWith("sigv4.missing"));
  EXPECT_THAT(parse_authorization("Basic abc"), FailsWith("sigv4.unsupported"));
  for (const std::string& text : {
           std::string("AWS4-HMAC-SHA256"),
           "AWS4-HMAC-SHA256 " + good,
           "AWS4-HMAC-SHA256 " + good + ", SignedHeaders=host, Signature=abc",
           "AWS4-HMAC-SHA256 " + good + ", SignedHeaders=Host, Signature=" + kSignature,
           "AWS4-HMAC-SHA256 " + good + ", SignedHeaders=host;, Signature=" + kSignature,
           "AWS4-HMAC-SHA256 " + good + rest + ", Signature=" + kSignature,
           "AWS4-HMAC-SHA256 " + good + rest + ", More=1",
           "AWS4-HMAC-SHA256 Credential=A/20150830/r/s3" + rest,
           "AWS4-HMAC-SHA256 Credential=A/20150830/r/s3/aws5_request" + rest,
           "AWS4-HMAC-SHA256 Credential=/20150830/r/s3/aws4_request" + rest,
           "AWS4-HMAC-SHA256 Credential=A/2015/r/s3/aws4_request" + rest,
       }) {
    EXPECT_THAT(parse_authorization(text), FailsWith("sigv4.malformed")) << text;
  }
}

// --- verifying
// ------------------------------------------------------------------------------------
class Verify : public testing::Test {
 protected:
  Verify() {
    http::Request request;
    request.method = "PUT";
    request.url = "http://127.0.0.1:9000/bucket/a%20b?partNumber=1";
    request.headers.set("x-amz-meta-color", "red");
    ignore(sign(request, kS3Keys, "us-east-1", "s3", kS3Time, hash_), "held by the first test");
    headers_ = request.headers;
  }
  Result<void> verdict(WallTime now = kS3Time) {
    const auto claim = parse_authorization(headers_.get("Authorization"));
    if (!claim.ok()) return claim.error();
    return verify({method_, path_, query_, headers_}, *claim, secret_, region_, "s3", now,
                  std::chrono::minutes(15), hash_);
  }

  std::string hash_ = sha256("body").hex();
  std::string method_ = "PUT", path_ = "/bucket/a%20b", query_ = "partNumber=1";
  std::string secret_ = kS3Keys.secret_access_key, region_ = "us-east-1";
  http::Headers headers_;
};

TEST_F(Verify, AcceptsWhatSignMade) {
  EXPECT_THAT(verdict(), IsOk());
}

TEST_F(Verify, AcceptsHeadersThatWereAddedOnTheWay) {
  headers_.set("Via", "1.1 proxy");
  EXPECT_THAT(verdict(), IsOk());
}

TEST_F(Verify, RefusesAnotherSecret) {
  secret_ += "x";
  EXPECT_THAT(verdict(), FailsWith("sigv4.mismatch"));
}

TEST_F(Verify, RefusesAnythingChanged) {
  method_ = "DELETE";
  EXPECT_THAT(verdict(), FailsWith("sigv4.mismatch"));
  method_ = "PUT";
  path_ = "/bucket/a%20c";
  EXPECT_THAT(verdict(), FailsWith("sigv4.mismatch"));
  path_ = "/bucket/a%20b";
  query_ = "partNumber=2";
  EXPECT_THAT(verdict(), FailsWith("sigv4.mismatch"));
  query_ = "partNumber=1";
  hash_ = sha256("other body").hex();
  EXPECT_THAT(verdict(), FailsWith("sigv4.mismatch"));
  hash_ = sha256("body").hex();
  headers_.set("x-amz-meta-color", "blue");
  EXPECT_THAT(verdict(), FailsWith("sigv4.mismatch"));
}

TEST_F(Verify, RefusesAnUnsignedAmazonHeader) {
  headers_.set("X-Amz-Acl", "public-read");
  EXPECT_THAT(verdict(), FailsWith("sigv4.unsigned_header"));
}

TEST_F(Verify, RefusesAClaimThatDoesNotCoverTheHost) {
  std::string text(headers_.get("Authorization"));
  text.replace(text.find("host;"), 5, "");
  headers_.set("Authorization", text);
  EXPECT_THAT(verdict(), FailsWith("sigv4.unsigned_header"));
}

TEST_F(Verify, RefusesAnotherRegion) {
  region_ = "eu-central-1";
  EXPECT_THAT(verdict(), FailsWith("sigv4.wrong_scope"));
}

TEST_F(Verify, RefusesADateOutsideTheWindow) {
  EXPECT_THAT(verdict(kS3Time + std::chrono::minutes(15)), IsOk());
  EXPECT_THAT(verdict(kS3Time + std::chrono::minutes(16)), FailsWith("sigv4.skewed"));
  EXPECT_THAT(verdict(kS3Time - std::chrono::minutes(16)), FailsWith("sigv4.skewed"));
}

TEST_F(Verify, RefusesARequestWithoutADate) {
  headers_.remove("X-Amz-Date");
  EXPECT_THAT(verdict(), FailsWith("sigv4.no_date"));
  headers_.set("X-Amz-Date", "yesterday");
  EXPECT_THAT(verdict(), FailsWith("sigv4.no_date"));
}

TEST_F(Verify, TakesTheHttpDateWhenThereIsNoOther) {
  headers_.remove("X-Amz-Date");
  headers_.set("Date", "Fri, 24 May 2013 00:00:00 GMT");
  const Scope scope{"20130524", "us-east-1", "s3"};
  const std::vector<std::string> names = {"date", "host", "x-amz-content-sha256",
                                          "x-amz-meta-color"};
  const std::string canonical =
      canonical_request({method_, path_, query_, headers_}, names, hash_, PathRule::s3);
  headers_.set("Authorization",
               "AWS4-HMAC-SHA256 Credential=A/" + scope.text() +
                   ", SignedHeaders=date;host;x-amz-content-sha256;x-amz-meta-color, Signature=" +
                   signature(secret_, scope, string_to_sign("20130524T000000Z", scope, canonical)));

  EXPECT_THAT(verdict(), IsOk());
}

// --- presigned URLs; the example of the S3 documentation ("Authenticating Requests: Using Query
// Parameters")
constexpr const char* kPresignedQuery =
    "X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";

class VerifyPresigned : public ::testing::Test {
 protected:
  Result<void> verdict(const std::string& query, WallTime now = kS3Time) {
    TRY_ASSIGN(const Presigned presigned, parse_presigned(query));
    return verify_presigned({"GET", "/test.txt", query, headers_}, presigned,
                            kS3Keys.secret_access_key, "us-east-1", "s3", now,
                            std::chrono::minutes(15));
  }
  static std::string changed(std::string_view from, std::string_view to) {
    std::string query = kPresignedQuery;
    query.replace(query.find(from), from.size(), to);
    return query;
  }
  http::Headers headers_{{"Host", "examplebucket.s3.amazonaws.com"}};
};

TEST_F(VerifyPresigned, TakesTheDocumentedUrl) {
  EXPECT_TRUE(is_presigned(kPresignedQuery));
  EXPECT_THAT(verdict(kPresignedQuery), IsOk());
}

TEST_F(VerifyPresigned, EndsWhenItSaysSo) {
  EXPECT_THAT(verdict(kPresignedQuery, kS3Time + std::chrono::hours(24)), IsOk());
  EXPECT_THAT(verdict(kPresignedQuery, kS3Time + std::chrono::hours(24) + std::chrono::seconds(1)),
              FailsWith("sigv4.expired"));
  EXPECT_THAT(verdict(kPresignedQuery, kS3Time - std::chrono::minutes(16)),
              FailsWith("sigv4.not_yet_valid"));
}

TEST_F(VerifyPresigned, RefusesWhatWasChanged) {
  EXPECT_THAT(verdict(changed("=86400", "=86401")), FailsWith("sigv4.mismatch"));
  EXPECT_THAT(verdict(std::string(kPresignedQuery) + "&versionId=1"), FailsWith("sigv4.mismatch"));
  EXPECT_THAT(verdict(changed("us-east-1", "eu-west-1")), FailsWith("sigv4.wrong_scope"));
  headers_.set("X-Amz-Acl", "public-read");
  EXPECT_THAT(verdict(kPresignedQuery), FailsWith("sigv4.unsigned_header"));
}

TEST_F(VerifyPresigned, RefusesWhatIsNotOne) {
  for (const auto& [from, to] : {std::pair("AWS4-HMAC-SHA256", "AWS4"), std::pair("=86400", "=0"),
                                 std::pair("=86400", "=604801"), std::pair("=86400", "=soon"),
                                 std::pair("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders="),
                                 std::pair("X-Amz-Date=20130524T000000Z", "X-Amz-Date=today"),
                                 std::pair("%2Faws4_request", ""),
                                 std::pair("&X-Amz-Signature", "&X-Amz-Expires=1&X-Amz-Signature"),
                                 std::pair("=aeeed9", "=zzzzzz")}) {
    EXPECT_THAT(verdict(changed(from, to)), FailsWith("sigv4.malformed_query")) << to;
  }
}

TEST_F(VerifyPresigned, TakesWhatWePresign) {
  http::Request request = s3_request("PUT", "/a%20b?partNumber=1", {{"x-amz-meta-kind", "x"}});
  ASSERT_THAT(presign(request, kS3Keys, "us-east-1", "s3", kS3Time, std::chrono::minutes(1)),
              IsOk());
  const http::Url url = *http::parse_url(request.url);

  const Presigned presigned = *parse_presigned(url.query());

  EXPECT_THAT(verify_presigned({"PUT", url.path(), url.query(), request.headers}, presigned,
                               kS3Keys.secret_access_key, "us-east-1", "s3", kS3Time,
                               std::chrono::minutes(15)),
              IsOk());
}

// --- dates
// ----------------------------------------------------------------------------------------
TEST(SigV4, PrintsAndReadsDates) {
  EXPECT_EQ(to_amz_date(*from_amz_date("20240229T235959Z")), "20240229T235959Z");
  for (const char* wrong : {"", "20230229T000000Z", "20240101T240000Z", "20240101T006000Z",
                            "2024-01-01T00:00Z", "20240101T000000", "2024010aT000000Z"}) {
    EXPECT_FALSE(from_amz_date(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace isthmus::wire::sigv4
