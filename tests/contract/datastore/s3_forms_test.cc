// The bucket API's other forms: presigned URLs, buckets by host name, copies, checksums of every
// algorithm, and the older list.
#include <filesystem>
#include <thread>

#include "base/checksums.h"
#include "contract/datastore/store_kit.h"
#include "wire/s3.h"

namespace isthmus {
namespace {

using test::Answer;
using test::kKey;
using test::StoreKit;

namespace s3 = wire::s3;
namespace sigv4 = wire::sigv4;

std::string error_code(const Answer& answer) {
  const auto error = s3::parse_error(answer.body);
  return error ? error->code : "no error: " + answer.body;
}

std::string element(const std::string& xml, const std::string& name) {
  const std::size_t begin = xml.find("<" + name + ">");
  if (begin == std::string::npos) return "no " + name + " in " + xml;
  const std::size_t at = begin + name.size() + 2;
  return xml.substr(at, xml.find("</" + name + ">") - at);
}

const sigv4::Keys kKeys{kKey.access_key_id, kKey.secret_access_key, ""};

class S3Forms : public ::testing::Test {
 protected:
  S3Forms() {
    EXPECT_EQ(kit.s3("PUT", "/bucket-1").status, 200);
    EXPECT_EQ(kit.s3("PUT", "/bucket-2").status, 200);
  }
  http::Request presigned(const std::string& method, const std::string& target,
                          const std::string& body = "", http::Headers headers = {}) {
    http::Request request = kit.request(method, target, body, std::move(headers));
    EXPECT_THAT(sigv4::presign(request, kKeys, "us-east-1", "s3", kit.env().clock.wall_now(),
                               std::chrono::seconds(60)),
                test::IsOk());
    return request;
  }
  // As S3 answers `method` on `target`, asked by the bucket's host name.
  Answer by_host(const std::string& host, const std::string& method, const std::string& target,
                 const std::string& body = "") {
    http::Request request = kit.request(method, target, body);
    request.url = "http://" + host + target;
    EXPECT_THAT(sigv4::sign(request, kKeys, "us-east-1", "s3", kit.env().clock.wall_now(),
                            sha256(body).hex()),
                test::IsOk());
    return kit.raw(std::move(request));
  }
  std::size_t blobs_kept() {
    std::size_t count = 0;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(kit.env().folder() / "store" / "blobs")) {
      count += entry.is_regular_file() ? 1U : 0U;
    }
    return count;
  }
  StoreKit kit;
};

TEST_F(S3Forms, UploadsThatNobodyGoesOnWithAreDroppedAndTheirSpaceIsFree) {
  const auto days = [](int count) { return Milliseconds(count * 24LL * 3600 * 1000); };
  const Answer begun = kit.s3("POST", "/bucket-1/k?uploads");
  const std::string upload = "/bucket-1/k?uploadId=" + element(begun.body, "UploadId");
  const auto part = [&](int number) {
    return kit.s3("PUT", upload + "&partNumber=" + std::to_string(number),
                  "part " + std::to_string(number));
  };
  EXPECT_EQ(part(1).status, 200);
  kit.env().clock.advance(days(6));
  EXPECT_EQ(part(2).status, 200);
  kit.env().clock.advance(days(6));
  kit.open();
  EXPECT_EQ(kit.s3("GET", upload).status, 200) << "something came six days ago";
  EXPECT_EQ(blobs_kept(), 2U);

  kit.env().clock.advance(days(2));
  kit.store().start();  // looks at once
  for (int i = 0; i < 3000 && blobs_kept() > 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }

  EXPECT_EQ(blobs_kept(), 0U);
  EXPECT_EQ(error_code(kit.s3("GET", upload)), "NoSuchUpload");
}

TEST_F(S3Forms, PresignedUrlsPutAndGet) {
  const Answer put = kit.raw(presigned("PUT", "/bucket-1/a%20b", "hello"));
  const Answer got = kit.raw(presigned("GET", "/bucket-1/a%20b"));

  EXPECT_EQ(put.status, 200) << put.body;
  EXPECT_EQ(got.body, "hello");
}

TEST_F(S3Forms, PresignedUrlsAreForWhatTheySayAndNotForever) {
  kit.s3("PUT", "/bucket-1/k", "hello");
  http::Request other_key = presigned("GET", "/bucket-1/other");
  other_key.url.replace(other_key.url.find("other"), 5, "k");
  http::Request other_method = presigned("GET", "/bucket-1/k");
  other_method.method = "DELETE";
  http::Request late = presigned("GET", "/bucket-1/k");
  http::Request without_expiry = presigned("GET", "/bucket-1/k");
  without_expiry.url.replace(without_expiry.url.find("&X-Amz-Expires=60"), 17, "");

  EXPECT_EQ(error_code(kit.raw(std::move(other_key))), "SignatureDoesNotMatch");
  EXPECT_EQ(error_code(kit.raw(std::move(other_method))), "SignatureDoesNotMatch");
  EXPECT_EQ(error_code(kit.raw(std::move(without_expiry))), "AuthorizationQueryParametersError");
  kit.env().clock.advance(Milliseconds(61'000));
  const Answer refused = kit.raw(std::move(late));
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(error_code(refused), "AccessDenied");
}

TEST_F(S3Forms, PresignedUrlsCarryHeadersInTheQuery) {
  http::Request request = presigned(
      "PUT", "/bucket-1/k?x-amz-meta-kind=test&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD", "hello");
  EXPECT_EQ(kit.raw(std::move(request)).status, 200);

  EXPECT_EQ(kit.s3("HEAD", "/bucket-1/k").headers.get("x-amz-meta-kind"), "test");
}

TEST_F(S3Forms, TakesTheBucketFromTheHost) {
  const Answer put = by_host("bucket-1.localhost:8181", "PUT", "/a/b", "hello");
  const Answer list = by_host("bucket-1.localhost:8181", "GET", "/?list-type=2");
  const Answer plain = by_host("localhost:8181", "GET", "/bucket-1/a/b");

  EXPECT_EQ(put.status, 200) << put.body;
  EXPECT_NE(list.body.find("<Key>a/b</Key>"), std::string::npos) << list.body;
  EXPECT_EQ(plain.body, "hello");
  EXPECT_EQ(error_code(by_host("no-such.localhost", "GET", "/a/b")), "NoSuchBucket");
}

TEST_F(S3Forms, KeysForSomeBucketsAreHeldToThemInEveryForm) {
  datastore::DataStoreOptions options;
  options.access_keys = {kKey, {"ONE", "one-secret", "mine", {"bucket-1"}}};
  StoreKit narrow(options);
  for (const char* bucket : {"/bucket-1", "/bucket-2"}) narrow.s3("PUT", bucket);
  narrow.s3("PUT", "/bucket-1/k", "mine");
  narrow.s3("PUT", "/bucket-2/k", "other");
  const sigv4::Keys one{"ONE", "one-secret", ""};
  const auto get = [&](const std::string& url, const std::string& method = "GET") {
    http::Request request = narrow.request(method, "/", "");
    request.url = url;
    EXPECT_THAT(sigv4::presign(request, one, "us-east-1", "s3", narrow.env().clock.wall_now(),
                               std::chrono::seconds(60)),
                test::IsOk());
    return narrow.raw(std::move(request)).status;
  };

  EXPECT_EQ(get("http://store.test/bucket-1/k"), 200);
  EXPECT_EQ(get("http://store.test/bucket-2/k"), 403);
  EXPECT_EQ(get("http://bucket-1.localhost/k"), 200);
  EXPECT_EQ(get("http://bucket-2.localhost/bucket-1/k"), 403);
  EXPECT_EQ(get("http://store.test/bucket-1/n?x-amz-copy-source=bucket-1%2Fk", "PUT"), 200);
  EXPECT_EQ(get("http://store.test/bucket-1/n?x-amz-copy-source=bucket-2%2Fk", "PUT"), 403);
}

TEST_F(S3Forms, CopiesWithWhatIsSaidOfTheObject) {
  const std::string crc = "mnG7TA==";  // CRC-32C of "hello"
  kit.s3("PUT", "/bucket-1/a%20b", "hello",
         {{"x-amz-meta-kind", "test"}, {"x-amz-checksum-crc32c", crc}});

  const Answer copied =
      kit.s3("PUT", "/bucket-2/copy", "", {{"x-amz-copy-source", "/bucket-1/a%20b"}});

  EXPECT_EQ(copied.status, 200) << copied.body;
  EXPECT_EQ(element(copied.body, "ChecksumCRC32C"), crc);
  kit.s3("DELETE", "/bucket-1/a%20b");
  const Answer got = kit.s3("GET", "/bucket-2/copy", "", {{"x-amz-checksum-mode", "ENABLED"}});
  EXPECT_EQ(got.body, "hello");
  EXPECT_EQ(got.headers.get("x-amz-meta-kind"), "test");
  EXPECT_EQ(got.headers.get("x-amz-checksum-crc32c"), crc);
}

TEST_F(S3Forms, CopiesWithOtherHeadersAndChecksumsWhenAsked) {
  kit.s3("PUT", "/bucket-1/k", "hello", {{"x-amz-meta-kind", "test"}});
  const http::Headers same{{"x-amz-copy-source", "bucket-1/k"}};
  EXPECT_EQ(error_code(kit.s3("PUT", "/bucket-1/k", "", same)), "InvalidRequest");

  const Answer copied = kit.s3("PUT", "/bucket-1/k", "",
                               {{"x-amz-copy-source", "bucket-1/k"},
                                {"x-amz-metadata-directive", "REPLACE"},
                                {"x-amz-checksum-algorithm", "SHA1"},
                                {"x-amz-meta-other", "new"}});

  EXPECT_EQ(element(copied.body, "ChecksumSHA1"), "qvTGHdzF6KLavt4PO0gs2a6pQ00=");
  const Answer got = kit.s3("GET", "/bucket-1/k");
  EXPECT_EQ(got.body, "hello");
  EXPECT_EQ(got.headers.get("x-amz-meta-other"), "new");
  EXPECT_EQ(got.headers.get("x-amz-meta-kind"), "");
}

TEST_F(S3Forms, CopiesOnlyFromWhatIsThereAndFits) {
  kit.s3("PUT", "/bucket-1/k", "hello");
  const auto copy = [&](http::Headers headers) {
    return error_code(kit.s3("PUT", "/bucket-2/c", "", std::move(headers)));
  };

  EXPECT_EQ(copy({{"x-amz-copy-source", "bucket-1/none"}}), "NoSuchKey");
  EXPECT_EQ(copy({{"x-amz-copy-source", "bucket-9/k"}}), "NoSuchBucket");
  EXPECT_EQ(copy({{"x-amz-copy-source", "bucket-1"}}), "InvalidArgument");
  EXPECT_EQ(copy({{"x-amz-copy-source", "bucket-1/k"}, {"x-amz-copy-source-if-match", "\"0\""}}),
            "PreconditionFailed");
  EXPECT_EQ(copy({{"x-amz-copy-source", "bucket-1/k"}, {"x-amz-copy-source-if-none-match", "*"}}),
            "PreconditionFailed");
  EXPECT_EQ(kit.s3("HEAD", "/bucket-2/c").status, 404);
}

TEST_F(S3Forms, ListsAsVersionOneDid) {
  for (const char* key : {"a", "b/1", "b/2", "c"}) {
    kit.s3("PUT", std::string("/bucket-1/") + key, "x");
  }

  const Answer first = kit.s3("GET", "/bucket-1?delimiter=%2F&max-keys=2");
  const Answer second =
      kit.s3("GET", "/bucket-1?delimiter=%2F&marker=" + element(first.body, "NextMarker"));
  const Answer plain = kit.s3("GET", "/bucket-1?max-keys=1&marker=a");

  EXPECT_EQ(element(first.body, "IsTruncated"), "true");
  EXPECT_EQ(element(first.body, "NextMarker"), "b/");
  EXPECT_EQ(element(first.body, "Marker"), "");
  EXPECT_EQ(first.body.find("KeyCount"), std::string::npos);
  EXPECT_EQ(element(second.body, "Key"), "c");
  EXPECT_EQ(element(second.body, "IsTruncated"), "false");
  EXPECT_EQ(element(plain.body, "Key"), "b/1");
  EXPECT_EQ(plain.body.find("NextMarker"), std::string::npos);
}

TEST_F(S3Forms, VerifiesAndKeepsEveryChecksum) {
  const struct {
    const char* name;
    const char* of_hello;
  } kSums[] = {{"crc32", "NhCmhg=="},
               {"crc32c", "mnG7TA=="},
               {"crc64nvme", "M3eFcAZSQlc="},
               {"sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00="},
               {"sha256", "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="}};
  for (const auto& sum : kSums) {
    const std::string header = std::string("x-amz-checksum-") + sum.name;
    const Answer put = kit.s3("PUT", "/bucket-1/k", "hello", {{header, sum.of_hello}});
    const Answer got = kit.s3("GET", "/bucket-1/k", "", {{"x-amz-checksum-mode", "ENABLED"}});
    const Answer bad = kit.s3("PUT", "/bucket-1/k", "hullo", {{header, sum.of_hello}});

    EXPECT_EQ(put.status, 200) << sum.name << put.body;
    EXPECT_EQ(got.headers.get(header), sum.of_hello);
    EXPECT_EQ(got.headers.get("x-amz-checksum-type"), "FULL_OBJECT");
    EXPECT_EQ(error_code(bad), "BadDigest") << sum.name;
  }
}

class S3Parts : public S3Forms {
 protected:
  std::string begin(http::Headers headers) {
    const Answer answer = kit.s3("POST", "/bucket-1/big?uploads", "", std::move(headers));
    EXPECT_EQ(answer.status, 200) << answer.body;
    return element(answer.body, "UploadId");
  }
  Answer part(const std::string& upload, int number, const std::string& body,
              http::Headers headers = {}) {
    return kit.s3("PUT",
                  "/bucket-1/big?partNumber=" + std::to_string(number) + "&uploadId=" + upload,
                  body, std::move(headers));
  }
  Answer complete(const std::string& upload, std::vector<s3::CompletedPart> parts,
                  http::Headers headers = {}) {
    return kit.s3("POST", "/bucket-1/big?uploadId=" + upload,
                  s3::print(s3::CompleteRequest{std::move(parts)}), std::move(headers));
  }
  static std::string etag(const Answer& answer) {
    return s3::from_etag_header(answer.headers.get("ETag"));
  }
};

TEST_F(S3Parts, HaveAChecksumOfTheWholeWhenAsked) {
  const std::string upload = begin({{"x-amz-checksum-algorithm", "CRC64NVME"}});
  const std::string first(5 * MiB, 'a');
  const std::uint64_t crc = crc64nvme(as_bytes(first + "tail"));
  std::string raw;
  for (int shift = 56; shift >= 0; shift -= 8) raw += static_cast<char>(crc >> shift);
  const std::string whole = to_base64(as_bytes(raw));
  const std::vector<s3::CompletedPart> parts = {{1, etag(part(upload, 1, first)), ""},
                                                {2, etag(part(upload, 2, "tail")), ""}};

  const Answer wrong = complete(upload, parts, {{"x-amz-checksum-crc64nvme", "AAAAAAAAAAA="}});
  const Answer short_one = complete(upload, parts, {{"x-amz-mp-object-size", "7"}});
  const Answer done = complete(upload, parts, {{"x-amz-checksum-crc64nvme", whole}});

  EXPECT_EQ(error_code(wrong), "BadDigest");
  EXPECT_EQ(error_code(short_one), "InvalidRequest");
  EXPECT_EQ(element(done.body, "ChecksumCRC64NVME"), whole) << done.body;
  EXPECT_EQ(element(done.body, "ChecksumType"), "FULL_OBJECT");
}

TEST_F(S3Parts, KeepToTheAlgorithmTheyBeganWith) {
  const std::string upload = begin({{"x-amz-checksum-algorithm", "SHA1"}});

  EXPECT_EQ(error_code(part(upload, 1, "hello", {{"x-amz-checksum-crc32", "NhCmhg=="}})),
            "InvalidRequest");
  EXPECT_EQ(error_code(kit.s3(
                "POST", "/bucket-1/big?uploads", "",
                {{"x-amz-checksum-algorithm", "SHA1"}, {"x-amz-checksum-type", "FULL_OBJECT"}})),
            "InvalidRequest");
}

TEST_F(S3Parts, AreCopiedFromObjects) {
  std::string source(6 * MiB, 'a');
  source.back() = 'z';
  kit.s3("PUT", "/bucket-2/source", source);
  const std::string upload = begin({});
  const auto copy = [&](int number, const std::string& range) {
    return part(upload, number, "",
                {{"x-amz-copy-source", "bucket-2/source"}, {"x-amz-copy-source-range", range}});
  };
  const Answer one = copy(1, "bytes=0-5242879"), two = copy(2, "bytes=5242880-6291455");

  EXPECT_EQ(error_code(copy(3, "bytes=0-6291456")), "InvalidArgument");
  const auto etag_in = [](const Answer& answer) {
    std::string text = element(answer.body, "ETag");
    return text.substr(text.find_first_of("0123456789abcdef"), 32);
  };
  const Answer done = complete(upload, {{1, s3::from_etag_header(etag_in(one)), ""},
                                        {2, s3::from_etag_header(etag_in(two)), ""}});
  EXPECT_EQ(done.status, 200) << done.body << one.body;
  EXPECT_TRUE(kit.s3("GET", "/bucket-1/big").body == source);
}

}  // namespace
}  // namespace isthmus
