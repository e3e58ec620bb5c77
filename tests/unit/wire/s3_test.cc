#include "wire/s3.h"

#include "http/http.h"
#include "support/matchers.h"

namespace isthmus::wire::s3 {
namespace {

using test::FailsWith;
using test::IsOk;
using testing::ElementsAre;
using testing::Eq;
using testing::Optional;

// --- documents from outside
// -----------------------------------------------------------------------
TEST(S3Xml, RefusesDocumentTypes) {
  EXPECT_THAT(parse_delete_request("<!DOCTYPE Delete [<!ENTITY a \"b\">]>"
                                   "<Delete><Object><Key>&a;</Key></Object></Delete>"),
              FailsWith("s3.malformed_xml"));
}

TEST(S3Xml, RefusesWhatIsNotOneElement) {
  for (const char* text : {"", "text", "<Delete>", "<Delete></Other>", "<Delete/><Delete/>",
                           "<Other><Object><Key>a</Key></Object></Other>", "{\"Delete\":{}}"}) {
    EXPECT_THAT(parse_delete_request(text), FailsWith("s3.malformed_xml")) << text;
  }
}

TEST(S3Xml, RefusesAZeroByte) {
  const std::string text("<Delete><Object><Key>a\0b</Key></Object></Delete>", 49);
  EXPECT_THAT(parse_delete_request(text), FailsWith("s3.malformed_xml"));
}

TEST(S3Xml, RefusesDeepNestingWithoutFallingIn) {
  std::string text = "<Delete>";
  constexpr int kDepth = 500'000;
  for (int at = 0; at < kDepth; ++at) text += "<a>";
  for (int at = 0; at < kDepth; ++at) text += "</a>";
  text += "</Delete>";
  EXPECT_THAT(parse_delete_request(text), FailsWith("s3.malformed_xml"));
}

TEST(S3Xml, RefusesWhatIsTooLarge) {
  const std::string text = "<Delete>" + std::string(kMaxXmlBytes, ' ') + "</Delete>";
  EXPECT_THAT(parse_delete_request(text), FailsWith("s3.malformed_xml"));
}

TEST(S3Xml, TakesTheNamespaceAndCommentsAndUnknownElements) {
  ASSERT_OK_AND_ASSIGN(
      const DeleteRequest request,
      parse_delete_request("<?xml version=\"1.0\"?><!-- hello -->\r\n"
                           "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                           "<New>1</New><Object><ETag>x</ETag><Key>a</Key></Object></Delete>"));
  EXPECT_THAT(request.keys, ElementsAre("a"));
}

// --- keys
// ----------------------------------------------------------------------------------------- What
// keys may hold: markup, blanks at the ends, quotes, control characters, other scripts.
const std::vector<std::string> kNastyKeys = {
    "plain",    "a&b<c>d\"e'", " leading",  "trailing ",    "\ttab", "line\nfeed", "car\rriage",
    "bell\x07", "percent%41",  "plus+sign", "\xE1\x88\xB4", "]]>",   "&amp;",      " "};

TEST(S3Xml, KeepsAnyKeyInADeleteRequest) {
  DeleteRequest request{kNastyKeys, true};

  ASSERT_OK_AND_ASSIGN(const DeleteRequest read, parse_delete_request(print(request)));

  EXPECT_EQ(read.keys, kNastyKeys);
  EXPECT_TRUE(read.quiet);
}

TEST(S3Xml, KeepsAnyKeyInAListing) {
  for (const bool encode : {false, true}) {
    ListResult result;
    result.bucket = "b";
    result.request.encode_url = encode;
    for (const std::string& key : kNastyKeys) result.contents.push_back({key, 7, "e", {}});
    result.common_prefixes = kNastyKeys;

    ASSERT_OK_AND_ASSIGN(const ListResult read, parse_list_result(print(result)));

    ASSERT_EQ(read.contents.size(), kNastyKeys.size());
    for (std::size_t at = 0; at < kNastyKeys.size(); ++at) {
      EXPECT_EQ(read.contents[at].key, kNastyKeys[at]);
    }
    EXPECT_EQ(read.common_prefixes, kNastyKeys);
  }
}

// --- errors
// ---------------------------------------------------------------------------------------
TEST(S3Errors, PrintsAndReadsTheDocument) {
  const std::string xml =
      print(ErrorBody{"NoSuchKey", "Not there <really>.", "/b/k", "4442587FB7D0A2F9"});

  EXPECT_EQ(xml,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<Error><Code>NoSuchKey</Code><Message>Not there &lt;really&gt;.</Message>"
            "<Resource>/b/k</Resource><RequestId>4442587FB7D0A2F9</RequestId></Error>");
  ASSERT_OK_AND_ASSIGN(const ErrorBody read, parse_error(xml));
  EXPECT_EQ(read.code, "NoSuchKey");
  EXPECT_EQ(read.message, "Not there <really>.");
  EXPECT_EQ(read.resource, "/b/k");
  EXPECT_EQ(read.request_id, "4442587FB7D0A2F9");
}

TEST(S3Errors, RefusesADocumentWithoutACode) {
  EXPECT_THAT(parse_error("<Error><Message>m</Message></Error>"), FailsWith("s3.malformed_xml"));
}

TEST(S3Errors, KnowsTheDocumentedStatuses) {
  EXPECT_EQ(status_of("NoSuchBucket"), 404);
  EXPECT_EQ(status_of("SlowDown"), 503);
  EXPECT_EQ(status_of("BadDigest"), 400);
  EXPECT_EQ(status_of("SignatureDoesNotMatch"), 403);
  EXPECT_EQ(status_of("InvalidRange"), 416);
  EXPECT_EQ(status_of("SomethingNew"), 500);
}

TEST(S3Errors, NamesAStatusWithoutABody) {
  EXPECT_EQ(code_of_status(404), "NoSuchKey");
  EXPECT_EQ(code_of_status(403), "AccessDenied");
  EXPECT_EQ(code_of_status(503), "SlowDown");
  EXPECT_EQ(code_of_status(500), "InternalError");
  EXPECT_EQ(code_of_status(418), "InvalidRequest");
}

// --- listing
// --------------------------------------------------------------------------------------
TEST(S3List, PrintsAndReadsTheQuery) {
  ListRequest request;
  request.prefix = "a b/";
  request.delimiter = "/";
  request.continuation_token = "t+/=";
  request.max_keys = 5;
  request.encode_url = true;

  const std::string query = print_query(request);

  EXPECT_EQ(query,
            "continuation-token=t%2B%2F%3D&delimiter=%2F&encoding-type=url&list-type=2&max-keys=5"
            "&prefix=a%20b%2F");
  ASSERT_OK_AND_ASSIGN(const ListRequest read, parse_list_query(http::parse_query(query)));
  EXPECT_EQ(read.prefix, "a b/");
  EXPECT_EQ(read.delimiter, "/");
  EXPECT_THAT(read.continuation_token, Optional(Eq("t+/=")));
  EXPECT_EQ(read.max_keys, 5);
  EXPECT_TRUE(read.encode_url);
}

Result<ListRequest> list_query(std::string_view query) {
  return parse_list_query(http::parse_query(query));
}

TEST(S3List, ListsAThousandAtMost) {
  ASSERT_OK_AND_ASSIGN(const ListRequest request, list_query("list-type=2&max-keys=5000"));
  EXPECT_EQ(request.max_keys, 1000);
}

TEST(S3List, RefusesWrongArguments) {
  for (const char* query :
       {"max-keys=-1", "max-keys=x", "max-keys=2147483648", "encoding-type=base64", "list-type=1",
        "list-type=2&continuation-token="}) {
    EXPECT_THAT(list_query(query), FailsWith("s3.invalid_argument")) << query;
  }
}

TEST(S3List, ReadsAPageOfAmazonsForm) {
  // The response example of ListObjectsV2 in the Amazon S3 API Reference, shortened.
  ASSERT_OK_AND_ASSIGN(
      const ListResult page,
      parse_list_result(
          "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
          "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n"
          "  <Name>bucket</Name>\n  <Prefix/>\n"
          "  "
          "<NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=</"
          "NextContinuationToken>\n"
          "  <KeyCount>1</KeyCount>\n  <MaxKeys>1000</MaxKeys>\n  <IsTruncated>true</IsTruncated>\n"
          "  <Contents>\n    <Key>happyface.jpg</Key>\n"
          "    <LastModified>2014-11-21T19:40:05.000Z</LastModified>\n"
          "    <ETag>\"70ee1738b6b21e2c8a43f3a5ab0eee71\"</ETag>\n    <Size>11</Size>\n"
          "    <StorageClass>STANDARD</StorageClass>\n  </Contents>\n</ListBucketResult>"));

  EXPECT_TRUE(page.truncated);
  EXPECT_THAT(page.next_continuation_token,
              Optional(Eq("1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=")));
  ASSERT_EQ(page.contents.size(), 1U);
  EXPECT_EQ(page.contents[0].key, "happyface.jpg");
  EXPECT_EQ(page.contents[0].size_bytes, 11U);
  EXPECT_EQ(page.contents[0].etag, "70ee1738b6b21e2c8a43f3a5ab0eee71");
  EXPECT_EQ(to_rfc3339(page.contents[0].last_modified), "2014-11-21T19:40:05.000Z");
}

TEST(S3List, RefusesAPageThatWouldNeverEnd) {
  EXPECT_THAT(parse_list_result("<ListBucketResult><IsTruncated>true</IsTruncated>"
                                "</ListBucketResult>"),
              FailsWith("s3.malformed_xml"));
}

TEST(S3List, RefusesAnObjectWithoutASize) {
  EXPECT_THAT(parse_list_result("<ListBucketResult><Contents><Key>a</Key></Contents>"
                                "</ListBucketResult>"),
              FailsWith("s3.malformed_xml"));
}

TEST(S3List, PrintsAPage) {
  ListResult page;
  page.bucket = "b";
  page.request.prefix = "p/";
  page.request.max_keys = 2;
  page.truncated = true;
  page.next_continuation_token = "n";
  page.contents = {{"p/k", 3, "abc", *from_rfc3339("2026-01-31T09:30:00.000Z")}};
  page.common_prefixes = {"p/q/"};

  EXPECT_EQ(print(page),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
            "<Name>b</Name><Prefix>p/</Prefix><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys>"
            "<IsTruncated>true</IsTruncated><NextContinuationToken>n</NextContinuationToken>"
            "<Contents><Key>p/k</Key><LastModified>2026-01-31T09:30:00.000Z</LastModified>"
            "<ETag>&quot;abc&quot;</ETag><Size>3</Size><StorageClass>STANDARD</StorageClass>"
            "</Contents><CommonPrefixes><Prefix>p/q/</Prefix></CommonPrefixes></ListBucketResult>");
}

// --- multipart
// ------------------------------------------------------------------------------------
TEST(S3Multipart, PrintsAndReadsTheStart) {
  ASSERT_OK_AND_ASSIGN(const InitiatedUpload upload,
                       parse_initiated_upload(print(InitiatedUpload{"b", "k&", "id-1"})));
  EXPECT_EQ(upload.bucket, "b");
  EXPECT_EQ(upload.key, "k&");
  EXPECT_EQ(upload.upload_id, "id-1");
  EXPECT_THAT(parse_initiated_upload(print(InitiatedUpload{"b", "k", ""})),
              FailsWith("s3.malformed_xml"));
}

TEST(S3Multipart, PrintsAndReadsTheParts) {
  const CompleteRequest request{{{1, "e1", "c1"}, {10000, "e2", ""}}};

  ASSERT_OK_AND_ASSIGN(const CompleteRequest read, parse_complete_request(print(request)));

  ASSERT_EQ(read.parts.size(), 2U);
  EXPECT_EQ(read.parts[0].number, 1);
  EXPECT_EQ(read.parts[0].etag, "e1");
  EXPECT_EQ(read.parts[0].checksum_sha256, "c1");
  EXPECT_EQ(read.parts[1].number, 10000);
  EXPECT_EQ(read.parts[1].checksum_sha256, "");
}

TEST(S3Multipart, RefusesPartsThatCannotBe) {
  for (const CompleteRequest& request :
       {CompleteRequest{}, CompleteRequest{{{0, "e", ""}}}, CompleteRequest{{{10001, "e", ""}}},
        CompleteRequest{{{1, "", ""}}}}) {
    EXPECT_THAT(parse_complete_request(print(request)), FailsWith("s3.malformed_xml"));
  }
  EXPECT_THAT(parse_complete_request("<CompleteMultipartUpload><Part><PartNumber>one</PartNumber>"
                                     "<ETag>e</ETag></Part></CompleteMultipartUpload>"),
              FailsWith("s3.malformed_xml"));
}

TEST(S3Multipart, SeesAnErrorInsideASuccess) {
  const auto result = parse_completed_upload(print(ErrorBody{"InternalError", "Again.", "", ""}));
  ASSERT_THAT(result, FailsWith("s3.error_in_body", Fate::transient));
  EXPECT_EQ(result.error().message, "InternalError");
}

TEST(S3Multipart, ReadsTheEnd) {
  ASSERT_OK_AND_ASSIGN(const CompletedUpload upload,
                       parse_completed_upload(print(CompletedUpload{"l", "b", "k", "e-2", "c-2"})));
  EXPECT_EQ(upload.etag, "e-2");
  EXPECT_EQ(upload.checksum_sha256, "c-2");
}

TEST(S3Multipart, ComputesTagsOfParts) {
  // md5 of the two parts' md5s, as `printf '%s' a | md5sum` and so on gives them.
  EXPECT_EQ(multipart_etag(std::vector{md5(as_bytes("a")), md5(as_bytes("b"))}),
            "96e024ba2074fe77e8e965ba43a704be-2");
  Sha256 whole;
  whole.update(sha256("a").raw());
  whole.update(sha256("b").raw());
  EXPECT_EQ(composite_checksum(std::vector{sha256("a"), sha256("b")}),
            whole.finish().base64() + "-2");
}

// --- deletes and buckets
// --------------------------------------------------------------------------
TEST(S3Delete, LimitsTheNumberOfKeys) {
  DeleteRequest request;
  EXPECT_THAT(parse_delete_request(print(request)), FailsWith("s3.malformed_xml"));
  request.keys.assign(1000, "k");
  EXPECT_THAT(parse_delete_request(print(request)), IsOk());
  request.keys.push_back("k");
  EXPECT_THAT(parse_delete_request(print(request)), FailsWith("s3.malformed_xml"));
}

TEST(S3Delete, PrintsAndReadsTheResult) {
  ASSERT_OK_AND_ASSIGN(
      const DeleteResult result,
      parse_delete_result(print(DeleteResult{{"a"}, {{"b", "AccessDenied", "No."}}})));
  EXPECT_THAT(result.deleted, ElementsAre("a"));
  ASSERT_EQ(result.errors.size(), 1U);
  EXPECT_EQ(result.errors[0].key, "b");
  EXPECT_EQ(result.errors[0].code, "AccessDenied");
  EXPECT_EQ(result.errors[0].message, "No.");
}

TEST(S3Buckets, ReadsTheRequestedRegion) {
  EXPECT_EQ(parse_create_bucket_request("")->location_constraint, "");
  EXPECT_EQ(
      parse_create_bucket_request(print(CreateBucketRequest{"eu-west-1"}))->location_constraint,
      "eu-west-1");
  EXPECT_EQ(print(CreateBucketRequest{}), "");
}

TEST(S3Buckets, PrintsTheDefaultRegionAsNothing) {
  EXPECT_THAT(print_location("us-east-1"), testing::EndsWith("/\"></LocationConstraint>"));
  EXPECT_THAT(print_location("eu-west-1"), testing::HasSubstr(">eu-west-1<"));
}

TEST(S3Buckets, PrintsAndReadsTheList) {
  const WallTime created = *from_rfc3339("2026-01-31T09:30:00.000Z");
  ASSERT_OK_AND_ASSIGN(
      const BucketList list,
      parse_bucket_list(print(BucketList{"me", {{"one", created}, {"two", created}}})));
  EXPECT_EQ(list.owner_id, "me");
  ASSERT_EQ(list.buckets.size(), 2U);
  EXPECT_EQ(list.buckets[1].name, "two");
  EXPECT_EQ(list.buckets[1].created_at, created);
}

TEST(S3Buckets, KnowsValidNames) {
  for (const char* name : {"abc", "a-b.c", "1bucket", "192.168.5", "my.bucket.of.4"}) {
    EXPECT_TRUE(valid_bucket_name(name)) << name;
  }
  EXPECT_TRUE(valid_bucket_name(std::string(63, 'a')));
  for (const char* name : {"", "ab", "-ab", "ab-", "Abc", "a_b", "a..b", "192.168.5.4", "a/b"}) {
    EXPECT_FALSE(valid_bucket_name(name)) << name;
  }
  EXPECT_FALSE(valid_bucket_name(std::string(64, 'a')));
}

// --- headers
// --------------------------------------------------------------------------------------
TEST(S3Headers, TakesQuotesOffAnETag) {
  EXPECT_EQ(from_etag_header("\"a\""), "a");
  EXPECT_EQ(from_etag_header("W/\"a\""), "a");
  EXPECT_EQ(from_etag_header("a"), "a");
  EXPECT_EQ(from_etag_header("\""), "\"");
  EXPECT_EQ(to_etag_header("a"), "\"a\"");
}

struct RangeCase {
  const char* header;
  std::uint64_t size;
  ByteRange expected;
};
class Ranges : public testing::TestWithParam<RangeCase> {};
TEST_P(Ranges, AreCutToTheObject) {
  ASSERT_OK_AND_ASSIGN(const auto range, parse_range(GetParam().header, GetParam().size));
  EXPECT_THAT(range, Optional(Eq(GetParam().expected)));
}
INSTANTIATE_TEST_SUITE_P(
    , Ranges,
    testing::Values(RangeCase{"bytes=0-9", 100, {0, 10}}, RangeCase{"bytes=5-", 8, {5, 3}},
                    RangeCase{"bytes=-3", 8, {5, 3}}, RangeCase{"bytes=-30", 8, {0, 8}},
                    RangeCase{"bytes=7-900", 8, {7, 1}}, RangeCase{"bytes=0-0", 1, {0, 1}}));

TEST(S3Headers, IgnoresRangesItDoesNotUnderstand) {
  for (const char* header : {"", "lines=1-2", "bytes=1", "bytes=a-b", "bytes=3-1", "bytes=0-1,3-4",
                             "bytes=-", "bytes=1-x"}) {
    ASSERT_OK_AND_ASSIGN(const auto range, parse_range(header, 10));
    EXPECT_FALSE(range) << header;
  }
}

TEST(S3Headers, RefusesRangesOutsideTheObject) {
  EXPECT_THAT(parse_range("bytes=10-", 10), FailsWith("s3.invalid_range"));
  EXPECT_THAT(parse_range("bytes=-0", 10), FailsWith("s3.invalid_range"));
  EXPECT_THAT(parse_range("bytes=0-", 0), FailsWith("s3.invalid_range"));
  EXPECT_THAT(parse_range("bytes=-1", 0), FailsWith("s3.invalid_range"));
}

TEST(S3Headers, PrintsAContentRange) {
  EXPECT_EQ(content_range({5, 3}, 100), "bytes 5-7/100");
}

}  // namespace
}  // namespace isthmus::wire::s3
