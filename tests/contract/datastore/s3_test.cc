// What a client of the bucket API may rely on.
#include "wire/s3.h"
#include "contract/datastore/store_kit.h"

namespace isthmus {
namespace {

using test::Answer;
using test::StoreKit;

namespace s3 = wire::s3;

std::string error_code(const Answer& answer) {
  const auto error = s3::parse_error(answer.body);
  return error ? error->code : "no error: " + answer.body;
}

s3::ListResult listed(const Answer& answer) {
  EXPECT_EQ(answer.status, 200) << answer.body;
  auto result = s3::parse_list_result(answer.body);
  EXPECT_THAT(result, test::IsOk());
  return result ? std::move(*result) : s3::ListResult{};
}

std::vector<std::string> keys(const s3::ListResult& result) {
  std::vector<std::string> names;
  for (const auto& object : result.contents) names.push_back(object.key);
  return names;
}

class S3 : public ::testing::Test {
 protected:
  S3() { EXPECT_EQ(kit.s3("PUT", "/bucket-1").status, 200); }
  StoreKit kit;
};

TEST_F(S3, GivesBackWhatWasPut) {
  const Answer put = kit.s3("PUT", "/bucket-1/a/b.dcm", "hello",
                            {{"Content-Type", "application/dicom"}, {"x-amz-meta-kind", "test"}});

  const Answer got = kit.s3("GET", "/bucket-1/a/b.dcm");

  EXPECT_EQ(put.status, 200) << put.body;
  EXPECT_EQ(put.headers.get("ETag"), "\"5d41402abc4b2a76b9719d911017c592\"");
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.body, "hello");
  EXPECT_EQ(got.headers.get("Content-Type"), "application/dicom");
  EXPECT_EQ(got.headers.get("x-amz-meta-kind"), "test");
  EXPECT_EQ(got.headers.get("ETag"), put.headers.get("ETag"));
  EXPECT_FALSE(got.headers.get("Last-Modified").empty());
}

TEST_F(S3, KeepsObjectsOverAReopen) {
  kit.s3("PUT", "/bucket-1/kept", "bytes");

  kit.open();

  EXPECT_EQ(kit.s3("GET", "/bucket-1/kept").body, "bytes");
}

TEST_F(S3, PutsAnEmptyObjectAndOneWithAnAwkwardName) {
  EXPECT_EQ(kit.s3("PUT", "/bucket-1/empty", "").status, 200);
  EXPECT_EQ(kit.s3("PUT", "/bucket-1/a%20b%2Bc%2F%C3%BC%3D%26", "x").status, 200);

  EXPECT_EQ(kit.s3("GET", "/bucket-1/empty").status, 200);
  EXPECT_EQ(kit.s3("GET", "/bucket-1/empty").body, "");
  EXPECT_THAT(keys(listed(kit.s3("GET", "/bucket-1?encoding-type=url&list-type=2&prefix=a"))),
              ::testing::ElementsAre("a b+c/\xC3\xBC=&"));
}

TEST_F(S3, HeadTellsSizeWithoutBody) {
  kit.s3("PUT", "/bucket-1/k", "12345");

  const Answer head = kit.s3("HEAD", "/bucket-1/k");

  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.get("Content-Length"), "5");
  EXPECT_EQ(head.body, "");
  EXPECT_EQ(kit.s3("HEAD", "/bucket-1/none").status, 404);
}

TEST_F(S3, ServesRanges) {
  kit.s3("PUT", "/bucket-1/k", "0123456789");

  const Answer middle = kit.s3("GET", "/bucket-1/k", "", {{"Range", "bytes=2-4"}});
  const Answer tail = kit.s3("GET", "/bucket-1/k", "", {{"Range", "bytes=-3"}});
  const Answer beyond = kit.s3("GET", "/bucket-1/k", "", {{"Range", "bytes=10-"}});

  EXPECT_EQ(middle.status, 206);
  EXPECT_EQ(middle.body, "234");
  EXPECT_EQ(middle.headers.get("Content-Range"), "bytes 2-4/10");
  EXPECT_EQ(tail.body, "789");
  EXPECT_EQ(beyond.status, 416);
  EXPECT_EQ(error_code(beyond), "InvalidRange");
}

TEST_F(S3, HoldsConditionsOfReadsAndPuts) {
  const std::string etag(kit.s3("PUT", "/bucket-1/k", "one").headers.get("ETag"));

  EXPECT_EQ(kit.s3("GET", "/bucket-1/k", "", {{"If-None-Match", etag}}).status, 304);
  EXPECT_EQ(kit.s3("GET", "/bucket-1/k", "", {{"If-Match", etag}}).status, 200);
  EXPECT_EQ(kit.s3("GET", "/bucket-1/k", "", {{"If-Match", "\"other\""}}).status, 412);
  EXPECT_EQ(kit.s3("PUT", "/bucket-1/k", "two", {{"If-None-Match", "*"}}).status, 412);
  EXPECT_EQ(kit.s3("PUT", "/bucket-1/k", "two", {{"If-Match", "\"other\""}}).status, 412);
  EXPECT_EQ(kit.s3("PUT", "/bucket-1/new", "two", {{"If-None-Match", "*"}}).status, 200);
  EXPECT_EQ(kit.s3("GET", "/bucket-1/k").body, "one");
}

TEST_F(S3, KeepsNothingOfABodyThatIsNotWhatWasSaid) {
  const std::string right_crc = "NhCmhg==";  // CRC-32 of "hello"
  const auto put = [&](http::Headers headers) {
    return kit.s3("PUT", "/bucket-1/k", "hello", std::move(headers));
  };

  EXPECT_EQ(error_code(put({{"Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg=="}})), "BadDigest");
  EXPECT_EQ(error_code(put({{"Content-MD5", "nonsense"}})), "InvalidDigest");
  EXPECT_EQ(error_code(put({{"x-amz-checksum-crc32", "AAAAAA=="}})), "BadDigest");
  EXPECT_EQ(error_code(put({{"x-amz-checksum-crc32c", "AAAAAA=="}})), "BadDigest");
  EXPECT_EQ(error_code(put({{"x-amz-checksum-sha256", sha256("other").base64()}})), "BadDigest");
  EXPECT_EQ(error_code(put({{"x-amz-checksum-crc128", "AAAAAAAAAAA="}})), "NotImplemented");
  EXPECT_EQ(kit.s3("GET", "/bucket-1/k").status, 404);

  const Answer good = put({{"x-amz-checksum-crc32", right_crc}});
  EXPECT_EQ(good.status, 200) << good.body;
  EXPECT_EQ(good.headers.get("x-amz-checksum-crc32"), right_crc);
  EXPECT_EQ(kit.s3("GET", "/bucket-1/k", "", {{"x-amz-checksum-mode", "ENABLED"}})
                .headers.get("x-amz-checksum-crc32"),
            right_crc);
  EXPECT_EQ(put({{"Content-MD5", "XUFAKrxLKna5cZ2REBfFkg=="}}).status, 200);
  EXPECT_EQ(put({{"x-amz-checksum-sha256", sha256("hello").base64()}}).status, 200);
}

TEST_F(S3, RefusesABodyThatWasNotSigned) {
  http::Request request = kit.request("PUT", "/bucket-1/k", "other bytes");
  ASSERT_THAT(wire::sigv4::sign(
                  request, {test::kKey.access_key_id, test::kKey.secret_access_key, ""},
                  "us-east-1", "s3", kit.env().clock.wall_now(), sha256("signed bytes").hex()),
              test::IsOk());

  const Answer answer = kit.raw(std::move(request));

  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(error_code(answer), "XAmzContentSHA256Mismatch");
  EXPECT_EQ(kit.s3("GET", "/bucket-1/k").status, 404);
}

TEST_F(S3, RefusesWhoIsNotWhoTheySay) {
  const auto answer = [&](const std::string& id, const std::string& secret, WallTime when,
                          const std::string& region) {
    http::Request request = kit.request("GET", "/bucket-1?list-type=2", "");
    EXPECT_THAT(wire::sigv4::sign(request, {id, secret, ""}, region, "s3", when,
                                  wire::sigv4::kEmptyPayloadHash),
                test::IsOk());
    return error_code(kit.raw(std::move(request)));
  };
  const WallTime now = kit.env().clock.wall_now();
  const std::string &id = test::kKey.access_key_id, &secret = test::kKey.secret_access_key;

  EXPECT_EQ(answer("NOBODY", secret, now, "us-east-1"), "InvalidAccessKeyId");
  EXPECT_EQ(answer(id, "wrong", now, "us-east-1"), "SignatureDoesNotMatch");
  EXPECT_EQ(answer(id, secret, now - Milliseconds(1'000'000), "us-east-1"), "RequestTimeTooSkewed");
  EXPECT_EQ(answer(id, secret, now, "eu-west-1"), "AuthorizationHeaderMalformed");
  EXPECT_EQ(error_code(kit.raw(kit.request("GET", "/bucket-1", ""))), "AccessDenied");
}

// A copy of a signed request is as good as the request, until its time is too far from the clock.
TEST_F(S3, ARequestCanBeReplayedWithinTheClockSkewAndNoLonger) {
  const auto sign_get = [&] {
    http::Request request = kit.request("GET", "/bucket-1?list-type=2", "");
    EXPECT_THAT(wire::sigv4::sign(
                    request, {test::kKey.access_key_id, test::kKey.secret_access_key, ""},
                    "us-east-1", "s3", kit.env().clock.wall_now(), wire::sigv4::kEmptyPayloadHash),
                test::IsOk());
    return request;
  };
  const http::Request signed_now = sign_get();
  const auto replay = [&] {
    http::Request again = kit.request("GET", "/bucket-1?list-type=2", "");
    again.headers = signed_now.headers;
    return kit.raw(std::move(again));
  };

  EXPECT_EQ(replay().status, 200);
  kit.env().clock.advance(Milliseconds(899'000));
  EXPECT_EQ(replay().status, 200);
  kit.env().clock.advance(Milliseconds(2'000));
  EXPECT_EQ(error_code(replay()), "RequestTimeTooSkewed");
}

TEST_F(S3, TakesAwsChunkedBodiesWithAChecksumBehind) {
  const std::string body =
      "5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n";
  const auto put = [&](const std::string& target, std::string text) {
    http::Request request = kit.request("PUT", target, std::move(text),
                                        {{"Content-Encoding", "aws-chunked"},
                                         {"x-amz-decoded-content-length", "11"},
                                         {"x-amz-trailer", "x-amz-checksum-crc32"}});
    EXPECT_THAT(
        wire::sigv4::sign(request, {test::kKey.access_key_id, test::kKey.secret_access_key, ""},
                          "us-east-1", "s3", kit.env().clock.wall_now(),
                          "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        test::IsOk());
    return kit.raw(std::move(request));
  };
  std::string wrong = body;
  wrong.replace(wrong.find("DUoRhQ=="), 8, "AAAAAA==");

  const Answer good = put("/bucket-1/chunked", body);
  const Answer bad = put("/bucket-1/bad", wrong);
  const Answer torn = put("/bucket-1/torn", body.substr(0, 20));

  EXPECT_EQ(good.status, 200) << good.body;
  EXPECT_EQ(good.headers.get("x-amz-checksum-crc32"), "DUoRhQ==");
  const Answer got = kit.s3("GET", "/bucket-1/chunked");
  EXPECT_EQ(got.body, "hello world");
  EXPECT_FALSE(got.headers.contains("Content-Encoding"));
  EXPECT_EQ(error_code(bad), "BadDigest");
  EXPECT_EQ(error_code(torn), "IncompleteBody");
  EXPECT_EQ(kit.s3("GET", "/bucket-1/bad").status, 404);
}

TEST_F(S3, ListsInOrderPageByPage) {
  for (const char* key : {"b", "a/1", "a/2", "a/3/x", "c", "d/1"}) {
    kit.s3("PUT", std::string("/bucket-1/") + key, "x");
  }

  const auto first = listed(kit.s3("GET", "/bucket-1?list-type=2&max-keys=4"));
  const auto second = listed(
      kit.s3("GET", "/bucket-1?continuation-token=" +
                        http::percent_encode(first.next_continuation_token.value_or(""), false) +
                        "&list-type=2"));
  const auto folders = listed(kit.s3("GET", "/bucket-1?delimiter=%2F&list-type=2"));
  const auto inside = listed(kit.s3("GET", "/bucket-1?delimiter=%2F&list-type=2&prefix=a%2F"));
  const auto after = listed(kit.s3("GET", "/bucket-1?list-type=2&start-after=b"));

  EXPECT_THAT(keys(first), ::testing::ElementsAre("a/1", "a/2", "a/3/x", "b"));
  EXPECT_TRUE(first.truncated);
  EXPECT_THAT(keys(second), ::testing::ElementsAre("c", "d/1"));
  EXPECT_FALSE(second.truncated);
  EXPECT_THAT(keys(folders), ::testing::ElementsAre("b", "c"));
  EXPECT_THAT(folders.common_prefixes, ::testing::ElementsAre("a/", "d/"));
  EXPECT_THAT(keys(inside), ::testing::ElementsAre("a/1", "a/2"));
  EXPECT_THAT(inside.common_prefixes, ::testing::ElementsAre("a/3/"));
  EXPECT_THAT(keys(after), ::testing::ElementsAre("c", "d/1"));
}

TEST_F(S3, PagesOverCommonPrefixesWithoutLossOrRepetition) {
  for (const char* key : {"a/1", "a/2", "b", "c/1", "c/2", "d"}) {
    kit.s3("PUT", std::string("/bucket-1/") + key, "x");
  }
  std::vector<std::string> seen;
  std::string token;

  for (int page = 0; page < 10; ++page) {
    const auto result = listed(kit.s3(
        "GET",
        "/bucket-1?" +
            (token.empty() ? ""
                           : "continuation-token=" + http::percent_encode(token, false) + "&") +
            "delimiter=%2F&list-type=2&max-keys=1"));
    for (const auto& prefix : result.common_prefixes) seen.push_back(prefix);
    for (const auto& object : result.contents) seen.push_back(object.key);
    if (!result.truncated) break;
    token = result.next_continuation_token.value_or("");
  }

  EXPECT_THAT(seen, ::testing::ElementsAre("a/", "b", "c/", "d"));
}

TEST_F(S3, DeletesOneAndMany) {
  for (const char* key : {"1", "2", "3"}) kit.s3("PUT", std::string("/bucket-1/") + key, "x");

  EXPECT_EQ(kit.s3("DELETE", "/bucket-1/1").status, 204);
  EXPECT_EQ(kit.s3("DELETE", "/bucket-1/1").status, 204);
  const Answer many =
      kit.s3("POST", "/bucket-1?delete", s3::print(s3::DeleteRequest{{"2", "never-there"}, false}));

  EXPECT_EQ(many.status, 200);
  const auto result = s3::parse_delete_result(many.body);
  ASSERT_THAT(result, test::IsOk());
  EXPECT_THAT(result->deleted, ::testing::ElementsAre("2", "never-there"));
  EXPECT_THAT(keys(listed(kit.s3("GET", "/bucket-1?list-type=2"))), ::testing::ElementsAre("3"));
}

TEST_F(S3, KnowsBuckets) {
  EXPECT_EQ(kit.s3("HEAD", "/bucket-1").status, 200);
  EXPECT_EQ(kit.s3("HEAD", "/bucket-2").status, 404);
  EXPECT_EQ(error_code(kit.s3("PUT", "/UPPER")), "InvalidBucketName");
  EXPECT_EQ(error_code(kit.s3("PUT", "/bucket-2/key", "x")), "NoSuchBucket");
  EXPECT_EQ(error_code(kit.s3("GET", "/bucket-1/none")), "NoSuchKey");
  kit.s3("PUT", "/bucket-1/k", "x");
  EXPECT_EQ(error_code(kit.s3("DELETE", "/bucket-1")), "BucketNotEmpty");
  kit.s3("DELETE", "/bucket-1/k");
  EXPECT_EQ(kit.s3("DELETE", "/bucket-1").status, 204);
  const auto buckets = s3::parse_bucket_list(kit.s3("GET", "/").body);
  ASSERT_THAT(buckets, test::IsOk());
  EXPECT_TRUE(buckets->buckets.empty());
  EXPECT_EQ(error_code(kit.s3("GET", "/bucket-1?acl")), "NotImplemented");
}

class Multipart : public S3 {
 protected:
  std::string begin(const std::string& target) {
    const Answer answer = kit.s3("POST", target + "?uploads");
    EXPECT_EQ(answer.status, 200) << answer.body;
    const auto upload = s3::parse_initiated_upload(answer.body);
    EXPECT_THAT(upload, test::IsOk());
    return upload ? upload->upload_id : "";
  }
  std::string part(const std::string& target, const std::string& upload, int number,
                   const std::string& body) {
    const Answer answer = kit.s3(
        "PUT", target + "?partNumber=" + std::to_string(number) + "&uploadId=" + upload, body);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return s3::from_etag_header(answer.headers.get("ETag"));
  }
  Answer complete(const std::string& target, const std::string& upload,
                  std::vector<s3::CompletedPart> parts) {
    return kit.s3("POST", target + "?uploadId=" + upload,
                  s3::print(s3::CompleteRequest{std::move(parts)}));
  }
};

TEST_F(Multipart, JoinsPartsInOrder) {
  const std::string first(5 * MiB, 'a');
  const std::string upload = begin("/bucket-1/big");
  const std::string etag_2 = part("/bucket-1/big", upload, 2, "tail");
  const std::string etag_1 = part("/bucket-1/big", upload, 1, first);
  EXPECT_EQ(kit.s3("GET", "/bucket-1/big").status, 404);
  const Answer parts = kit.s3("GET", "/bucket-1/big?uploadId=" + upload);

  const Answer done = complete("/bucket-1/big", upload, {{1, etag_1, ""}, {2, etag_2, ""}});

  EXPECT_EQ(done.status, 200) << done.body;
  EXPECT_TRUE(kit.s3("GET", "/bucket-1/big").body == first + "tail");
  EXPECT_TRUE(kit.s3("HEAD", "/bucket-1/big").headers.get("ETag").ends_with("-2\""));
  EXPECT_NE(parts.body.find("<PartNumber>2</PartNumber>"), std::string::npos);
  EXPECT_EQ(error_code(complete("/bucket-1/big", upload, {{1, etag_1, ""}})), "NoSuchUpload");
}

TEST_F(Multipart, RefusesWrongLists) {
  const std::string upload = begin("/bucket-1/big");
  const std::string etag_1 = part("/bucket-1/big", upload, 1, "small");
  const std::string etag_2 = part("/bucket-1/big", upload, 2, "tail");

  EXPECT_EQ(error_code(complete("/bucket-1/big", upload, {{2, etag_2, ""}, {1, etag_1, ""}})),
            "InvalidPartOrder");
  EXPECT_EQ(error_code(complete("/bucket-1/big", upload, {{1, etag_2, ""}})), "InvalidPart");
  EXPECT_EQ(error_code(complete("/bucket-1/big", upload, {{3, etag_1, ""}})), "InvalidPart");
  EXPECT_EQ(error_code(complete("/bucket-1/big", upload, {{1, etag_1, ""}, {2, etag_2, ""}})),
            "EntityTooSmall");
  EXPECT_EQ(error_code(kit.s3("PUT", "/bucket-1/big?partNumber=0&uploadId=" + upload, "x")),
            "InvalidArgument");
  EXPECT_EQ(kit.s3("DELETE", "/bucket-1/big?uploadId=" + upload).status, 204);
  EXPECT_EQ(error_code(kit.s3("PUT", "/bucket-1/big?partNumber=1&uploadId=" + upload, "x")),
            "NoSuchUpload");
}

std::size_t blobs_on_disk(StoreKit& kit) {
  std::size_t count = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(kit.env().folder() / "store" / "blobs")) {
    if (entry.is_regular_file()) ++count;
  }
  return count;
}

TEST_F(S3, RemovesBytesThatNothingNames) {
  kit.s3("PUT", "/bucket-1/a", "same");
  kit.s3("PUT", "/bucket-1/b", "same");
  EXPECT_EQ(blobs_on_disk(kit), 1U);

  kit.s3("DELETE", "/bucket-1/a");
  EXPECT_EQ(kit.s3("GET", "/bucket-1/b").body, "same");
  kit.s3("PUT", "/bucket-1/b", "other");
  EXPECT_EQ(blobs_on_disk(kit), 1U);
  kit.s3("DELETE", "/bucket-1/b");

  EXPECT_EQ(blobs_on_disk(kit), 0U);
}

TEST(DataStore, IsOpenInOneProcessAtATime) {
  StoreKit kit;

  const auto second = datastore::open_data_store(kit.env(), kit.options());

  EXPECT_THAT(second, test::FailsWith("datastore.locked", Fate::permanent));
}

TEST(DataStore, ProvisionsOnceAndFindsAgain) {
  StoreKit kit;

  const auto first = kit.store().provision("bucket-9", "main");
  const auto second = kit.store().provision("bucket-9", "main");
  kit.open();
  const auto third = kit.store().provision("bucket-9", "main");

  ASSERT_THAT(first, test::IsOk());
  EXPECT_EQ(*first, *second);
  EXPECT_EQ(*first, *third);
}

}  // namespace
}  // namespace isthmus
