#include "storage/s3.h"

#include "base/thread.h"
#include "support/matchers.h"
#include "support/scripted_transport.h"
#include "support/test_env.h"
#include "wire/s3.h"
#include "wire/sigv4.h"

namespace isthmus {
namespace {

using test::FailsWith;
using test::IsOk;
using test::ScriptedTransport;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class S3Store : public testing::Test {
 protected:
  S3Store() { remake(); }
  void remake() { store_ = make_s3_store(env_, transport_, *credentials_, options_); }
  Result<StoredObject> put(const std::string& bytes) {
    return store_->put(key_, source_of(bytes), sha256(bytes));
  }
  static std::string error_xml(std::string code) {
    return wire::s3::print(wire::s3::ErrorBody{std::move(code), "m", "", ""});
  }

  test::TestEnv env_;
  ScriptedTransport transport_;
  std::unique_ptr<CredentialsSource> credentials_ = make_static_credentials(
      {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "", std::nullopt});
  S3Options options_{.endpoint = "http://127.0.0.1:9000/", .bucket = "bucket", .retry = {}};
  std::unique_ptr<ObjectStore> store_;
  const ObjectKey key_{"pre/b1/in/i1.dcm"};
};

// --- one request
// ----------------------------------------------------------------------------------
TEST_F(S3Store, PutsWithTheExpectedDigestSignedAndAsChecksum) {
  transport_.answers(200, "", {{"ETag", "\"tag\""}});

  ASSERT_OK_AND_ASSIGN(const StoredObject stored, put("bytes"));

  EXPECT_EQ(stored.key, key_);
  EXPECT_EQ(stored.size_bytes, 5U);
  EXPECT_EQ(stored.etag, "tag");
  const auto& sent = transport_.last();
  EXPECT_EQ(sent.method, "PUT");
  EXPECT_EQ(sent.url, "http://127.0.0.1:9000/bucket/pre/b1/in/i1.dcm");
  EXPECT_EQ(sent.body, "bytes");
  EXPECT_EQ(sent.headers.get("x-amz-content-sha256"), sha256("bytes").hex());
  EXPECT_EQ(sent.headers.get("x-amz-checksum-sha256"), sha256("bytes").base64());
  EXPECT_THAT(std::string(sent.headers.get("Authorization")),
              HasSubstr("SignedHeaders=content-type;host;x-amz-checksum-sha256;"
                        "x-amz-content-sha256;x-amz-date,"));
}

TEST_F(S3Store, IsUnderstoodByAVerifier) {
  transport_.answers(200);
  ASSERT_THAT(put("bytes"), IsOk());

  const auto& sent = transport_.last();
  ASSERT_OK_AND_ASSIGN(const auto claim,
                       wire::sigv4::parse_authorization(sent.headers.get("Authorization")));
  EXPECT_THAT(wire::sigv4::verify({"PUT", "/bucket/pre/b1/in/i1.dcm", "", sent.headers}, claim,
                                  "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1", "s3",
                                  env_.clock.wall_now(), Milliseconds(0), sha256("bytes").hex()),
              IsOk());
}

TEST_F(S3Store, SignsEachTryAnew) {
  transport_.after([this] { env_.clock.advance(std::chrono::minutes(20)); });
  transport_.answers(503, error_xml("SlowDown")).answers(200);
  options_.retry.budget = std::chrono::hours(1);
  remake();

  ASSERT_THAT(put("bytes"), IsOk());

  const auto& seen = transport_.seen();
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].headers.get("X-Amz-Date"), "20260131T093000Z");
  EXPECT_THAT(std::string(seen[1].headers.get("X-Amz-Date")), testing::StartsWith("20260131T0950"));
  EXPECT_EQ(seen[1].body, "bytes");
}

TEST_F(S3Store, SendsTheSessionToken) {
  credentials_ = make_static_credentials({"id", "secret", "session", std::nullopt});
  remake();
  transport_.answers(204);

  ASSERT_THAT(store_->remove(key_), IsOk());

  EXPECT_EQ(transport_.last().headers.get("x-amz-security-token"), "session");
}

TEST_F(S3Store, AsksNobodyWithoutCredentials) {
  credentials_ = make_static_credentials({});
  remake();

  EXPECT_THAT(put("bytes"), FailsWith("auth.no_credentials", Fate::transient));
  EXPECT_TRUE(transport_.seen().empty());
}

TEST_F(S3Store, EncodesKeysAndSpeaksToVirtualHosts) {
  options_.endpoint = "https://s3.eu-central-1.amazonaws.com";
  options_.path_style = false;
  remake();
  transport_.answers(204).answers(200, "<ListBucketResult/>");

  ASSERT_THAT(store_->remove(ObjectKey{"a b/c+d=\xC3\xBC"}), IsOk());
  ASSERT_THAT(store_->check(), IsOk());

  EXPECT_EQ(transport_.seen()[0].url,
            "https://bucket.s3.eu-central-1.amazonaws.com/a%20b/c%2Bd%3D%C3%BC");
  EXPECT_EQ(transport_.seen()[1].url,
            "https://bucket.s3.eu-central-1.amazonaws.com/?list-type=2&max-keys=1");
}

TEST_F(S3Store, GivesLargeBodiesMoreTime) {
  transport_.answers(200).answers(200);
  ASSERT_THAT(put("bytes"), IsOk());
  ASSERT_THAT(put(std::string(static_cast<std::size_t>(8 * MiB), 'x')), IsOk());
  EXPECT_GT(transport_.seen()[1].timeout, transport_.seen()[0].timeout + std::chrono::seconds(30));
}

// --- refusals
// -------------------------------------------------------------------------------------
struct RefusalCase {
  int status;
  const char* s3_code;  // empty: no body
  const char* code;
  Fate fate;
};
void PrintTo(const RefusalCase& one, std::ostream* out) {
  *out << one.status << one.s3_code;
}

class S3Refusals : public S3Store, public testing::WithParamInterface<RefusalCase> {};

TEST_P(S3Refusals, HaveACodeAndAFate) {
  const RefusalCase& one = GetParam();
  options_.retry.attempts = 1;
  remake();
  const std::string_view s3_code = one.s3_code;
  transport_.answers(one.status, s3_code.empty() ? "" : error_xml(std::string(s3_code)));

  EXPECT_THAT(store_->get(key_), FailsWith(one.code, one.fate));
}

INSTANTIATE_TEST_SUITE_P(
    Documented, S3Refusals,
    testing::Values(RefusalCase{404, "NoSuchKey", "store.not_found", Fate::permanent},
                    RefusalCase{404, "", "store.not_found", Fate::permanent},
                    RefusalCase{404, "NoSuchBucket", "store.no_bucket", Fate::transient},
                    RefusalCase{403, "AccessDenied", "store.denied", Fate::transient},
                    RefusalCase{403, "SignatureDoesNotMatch", "store.denied", Fate::transient},
                    RefusalCase{403, "RequestTimeTooSkewed", "store.denied", Fate::transient},
                    RefusalCase{400, "ExpiredToken", "store.denied", Fate::transient},
                    RefusalCase{403, "SomethingNew", "store.denied", Fate::transient},
                    RefusalCase{503, "SlowDown", "store.slow_down", Fate::transient},
                    RefusalCase{503, "", "store.slow_down", Fate::transient},
                    RefusalCase{429, "", "store.slow_down", Fate::transient},
                    RefusalCase{500, "InternalError", "store.unavailable", Fate::transient},
                    RefusalCase{502, "", "store.unavailable", Fate::transient},
                    RefusalCase{400, "RequestTimeout", "store.unavailable", Fate::transient},
                    RefusalCase{409, "OperationAborted", "store.unavailable", Fate::transient},
                    RefusalCase{400, "BadDigest", "store.bad_digest", Fate::permanent},
                    RefusalCase{400, "InvalidArgument", "store.protocol", Fate::permanent},
                    RefusalCase{301, "PermanentRedirect", "store.protocol", Fate::permanent}));

TEST_F(S3Store, PassesOnHowLongToWait) {
  options_.retry.attempts = 1;
  remake();
  transport_.answers(503, error_xml("SlowDown"), {{"Retry-After", "7"}});

  const auto result = put("bytes");

  ASSERT_THAT(result, FailsWith("store.slow_down"));
  EXPECT_THAT(result.error().retry_after, testing::Optional(Milliseconds(7000)));
}

TEST_F(S3Store, RepeatsNothingOfAServersMessage) {
  transport_.answers(403, wire::s3::print(wire::s3::ErrorBody{"Access<Denied>", "for DOE^JANE",
                                                              "/bucket/DOE^JANE", ""}));

  const auto result = store_->get(key_);

  ASSERT_THAT(result, FailsWith("store.denied"));
  EXPECT_THAT(result.error().message, Not(HasSubstr("JANE")));
  EXPECT_THAT(result.error().message, Not(HasSubstr("<")));
}

TEST_F(S3Store, PassesOnTransportErrors) {
  transport_.fails(transient_error("http.connect", "No."), options_.retry.attempts);
  EXPECT_THAT(put("bytes"), FailsWith("http.connect", Fate::transient));
}

// --- digests
// --------------------------------------------------------------------------------------
TEST_F(S3Store, CallsItsOwnCopyDamagedOnlyWhenItIs) {
  transport_.answers(400, error_xml("XAmzContentSHA256Mismatch"));

  EXPECT_THAT(store_->put(key_, source_of(std::string("bytes")), sha256("other")),
              FailsWith("store.bad_digest", Fate::permanent));
}

TEST_F(S3Store, TriesAgainWhatWasDamagedOnItsWay) {
  transport_.answers(400, error_xml("XAmzContentSHA256Mismatch"));

  EXPECT_THAT(put("bytes"), FailsWith("store.unavailable", Fate::transient));
}

TEST_F(S3Store, DoesNotBelieveAnotherChecksum) {
  transport_.answers(200, "", {{"x-amz-checksum-sha256", sha256("other").base64()}});
  EXPECT_THAT(put("bytes"), FailsWith("store.protocol"));
}

// --- multipart
// ------------------------------------------------------------------------------------
class S3Parts : public S3Store {
 protected:
  S3Parts() {
    options_.multipart_threshold_bytes = 5 * MiB;
    options_.part_bytes = 5 * MiB;
    options_.retry.attempts = 2;
    remake();
    for (std::size_t at = 0; at < bytes_.size(); ++at) bytes_[at] = static_cast<char>(at * 31 >> 8);
  }
  // Answers up to the upload of all three parts.
  void script_parts() {
    transport_.answers(200,
                       wire::s3::print(wire::s3::InitiatedUpload{"bucket", key_.text, "up/1"}));
    for (const std::string& etag : etags_)
      transport_.answers(200, "", {{"ETag", "\"" + etag + "\""}});
  }
  std::string completed(std::string checksum = "") {
    return wire::s3::print(
        wire::s3::CompletedUpload{"", "bucket", key_.text, "", std::move(checksum)});
  }
  http::Headers final_head() {
    std::vector<std::array<std::byte, 16>> md5s;
    for (const std::string& part : parts_) md5s.push_back(md5(as_bytes(part)));
    return {{"Content-Length", std::to_string(bytes_.size())},
            {"ETag", "\"" + wire::s3::multipart_etag(md5s) + "\""}};
  }
  std::vector<std::string> sent() const {
    std::vector<std::string> lines;
    for (const auto& one : transport_.seen()) {
      const std::size_t question = one.url.find('?');
      lines.push_back(one.method + (question == std::string::npos ? "" : one.url.substr(question)));
    }
    return lines;
  }

  std::string bytes_ = std::string(static_cast<std::size_t>(11 * MiB), '\0');
  static constexpr std::size_t kPart = 5 * MiB;
  std::vector<std::string> parts_{};
  std::vector<std::string> etags_{};
  void SetUp() override {
    for (std::size_t at = 0; at < bytes_.size(); at += kPart) {
      parts_.push_back(bytes_.substr(at, kPart));
      etags_.push_back(to_hex(md5(as_bytes(parts_.back()))));
    }
  }
};

TEST_F(S3Parts, GoUpWithTheirDigestsAndAreConfirmed) {
  std::vector<Digest> digests;
  for (const std::string& part : parts_) digests.push_back(sha256(part));
  script_parts();
  transport_.answers(200, completed(wire::s3::composite_checksum(digests)));
  transport_.answers(200, "", final_head());

  ASSERT_OK_AND_ASSIGN(const StoredObject stored, put(bytes_));

  EXPECT_EQ(stored.size_bytes, bytes_.size());
  EXPECT_THAT(sent(),
              ElementsAre("POST?uploads=", "PUT?partNumber=1&uploadId=up%2F1",
                          "PUT?partNumber=2&uploadId=up%2F1", "PUT?partNumber=3&uploadId=up%2F1",
                          "POST?uploadId=up%2F1", "HEAD"));
  EXPECT_EQ(transport_.seen()[0].headers.get("x-amz-checksum-algorithm"), "SHA256");
  for (std::size_t at = 0; at < parts_.size(); ++at) {
    const auto& part = transport_.seen()[at + 1];
    EXPECT_TRUE(part.body == parts_[at]) << at;
    EXPECT_EQ(part.headers.get("x-amz-content-sha256"), digests[at].hex());
    EXPECT_EQ(part.headers.get("x-amz-checksum-sha256"), digests[at].base64());
  }
  ASSERT_OK_AND_ASSIGN(const auto list,
                       wire::s3::parse_complete_request(transport_.seen()[4].body));
  ASSERT_EQ(list.parts.size(), 3U);
  EXPECT_EQ(list.parts[2].etag, etags_[2]);
  EXPECT_EQ(list.parts[2].checksum_sha256, digests[2].base64());
}

TEST_F(S3Parts, AreAbortedWhenOneFails) {
  transport_.answers(200, wire::s3::print(wire::s3::InitiatedUpload{"bucket", key_.text, "up/1"}));
  transport_.answers(403, error_xml("AccessDenied")).answers(204);

  EXPECT_THAT(put(bytes_), FailsWith("store.denied"));

  EXPECT_EQ(sent().back(), "DELETE?uploadId=up%2F1");
}

TEST_F(S3Parts, AreAbortedWhenTheBytesAreOthers) {
  script_parts();
  transport_.answers(204);

  EXPECT_THAT(store_->put(key_, source_of(bytes_), sha256("other")),
              FailsWith("store.bad_digest", Fate::permanent));

  EXPECT_EQ(sent().back(), "DELETE?uploadId=up%2F1");
}

TEST_F(S3Parts, SayWhenAnUploadCouldNotBeAborted) {
  transport_.answers(200, wire::s3::print(wire::s3::InitiatedUpload{"bucket", key_.text, "up/1"}));
  transport_.answers(403, error_xml("AccessDenied")).answers(403, error_xml("AccessDenied"));

  EXPECT_THAT(put(bytes_), FailsWith("store.denied"));

  EXPECT_TRUE(env_.log.contains("store.abort_failed"));
}

TEST_F(S3Parts, ArriveThoughTheLastAnswerWasLost) {
  script_parts();
  transport_.fails(transient_error("http.closed", "Gone."));
  transport_.answers(404, error_xml("NoSuchUpload")).answers(200, "", final_head());

  EXPECT_THAT(put(bytes_), IsOk());
  EXPECT_TRUE(transport_.finished());
}

TEST_F(S3Parts, AreNotConfirmedByAnotherObject) {
  script_parts();
  transport_.answers(404, error_xml("NoSuchUpload"));
  transport_.answers(200, "", {{"Content-Length", "5"}, {"ETag", "\"x\""}}).answers(204);

  EXPECT_THAT(put(bytes_), FailsWith("store.unavailable", Fate::transient));
}

TEST_F(S3Parts, SeeAnErrorInsideASuccess) {
  script_parts();
  transport_.answers(200, error_xml("InternalError")).answers(204);

  EXPECT_THAT(put(bytes_), FailsWith("store.unavailable", Fate::transient));
  EXPECT_EQ(sent().back(), "DELETE?uploadId=up%2F1");
}

TEST_F(S3Parts, DoNotBelieveAnotherChecksum) {
  script_parts();
  transport_.answers(200, completed("AAAA-3")).answers(404, error_xml("NoSuchUpload"));

  EXPECT_THAT(put(bytes_), FailsWith("store.protocol"));
}

TEST_F(S3Parts, AreNeverSmallerThanS3Takes) {
  options_.part_bytes = 1;
  remake();
  script_parts();
  transport_.answers(200, completed()).answers(200, "", final_head());

  EXPECT_THAT(put(bytes_), IsOk());
}

// Answers parts when a third one has come, or when none comes for a while.
class CrowdedTransport : public http::Transport {
 public:
  Result<http::Response> send(http::Request request) override {
    if (request.method == "POST" && request.url.ends_with("?uploads=")) {
      const auto upload = wire::s3::print(wire::s3::InitiatedUpload{"bucket", "key", "up"});
      return http::Response{200, {}, source_of(upload)};
    }
    if (request.method != "PUT") return http::Response{403, {}, source_of(std::string())};
    std::unique_lock lock(mutex_);
    most_ = std::max(most_, ++inside_);
    came_.notify_all();
    came_.wait_for(lock, std::chrono::milliseconds(100), [&] { return inside_ > 2; });
    --inside_;
    return http::Response{200, {{"ETag", "\"etag\""}}, source_of(std::string())};
  }
  int most() const { return most_; }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  int inside_ = 0;
  int most_ = 0;
};

TEST_F(S3Parts, AreNoMoreInMemoryThanAllowedHoweverManyUploads) {
  options_.parts_at_once = 2;
  CrowdedTransport crowd;
  const auto store = make_s3_store(env_, crowd, *credentials_, options_);
  {
    std::vector<Thread> uploads;
    for (int i = 0; i < 4; ++i) {
      uploads.emplace_back(env_, "upload", [&, key = ObjectKey{"k" + std::to_string(i)}] {
        EXPECT_FALSE(store->put(key, source_of(bytes_), sha256(bytes_)).ok());  // not completed
      });
    }
  }

  EXPECT_LE(crowd.most(), 2);
  EXPECT_GE(crowd.most(), 1);
}

// --- an upload that was cut off
class S3Resumed : public S3Parts {
 protected:
  void SetUp() override {
    S3Parts::SetUp();
    ASSERT_OK_AND_ASSIGN(sessions_, open_upload_sessions(env_, env_.folder() / "uploads"));
    options_.sessions = sessions_.get();
    remake();
  }
  std::string initiated() {
    return wire::s3::print(wire::s3::InitiatedUpload{"bucket", key_.text, "up/1"});
  }
  // The bucket has the first `count` parts.
  std::string listed(std::size_t count, bool truncated = false, std::size_t first = 0) {
    std::string xml = "<ListPartsResult><IsTruncated>" + std::string(truncated ? "true" : "false") +
                      "</IsTruncated><NextPartNumberMarker>" + std::to_string(count) +
                      "</NextPartNumberMarker>";
    for (std::size_t at = first; at < count; ++at) {
      xml += "<Part><PartNumber>" + std::to_string(at + 1) + "</PartNumber><ETag>\"" + etags_[at] +
             "\"</ETag><Size>" + std::to_string(parts_[at].size()) + "</Size><ChecksumSHA256>" +
             sha256(parts_[at]).base64() + "</ChecksumSHA256></Part>";
    }
    return xml + "</ListPartsResult>";
  }
  // Fails after the first part, and leaves a note.
  void cut_off() {
    transport_.answers(200, initiated()).answers(200, "", {{"ETag", "\"" + etags_[0] + "\""}});
    transport_.answers(503, error_xml("SlowDown")).answers(503, error_xml("SlowDown"));
    ASSERT_THAT(put(bytes_), FailsWith("store.slow_down"));
    ASSERT_TRUE(transport_.finished());
  }
  std::vector<std::string> sent_since(std::size_t count) const {
    std::vector<std::string> lines = sent();
    lines.erase(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(count));
    return lines;
  }

  std::unique_ptr<UploadSessions> sessions_;
};

TEST_F(S3Resumed, GoesOnWhereItWas) {
  cut_off();
  const std::size_t before = sent().size();
  remake();  // another process
  transport_.answers(200, listed(1));
  transport_.answers(200, "", {{"ETag", etags_[1]}}).answers(200, "", {{"ETag", etags_[2]}});
  transport_.answers(200, completed()).answers(200, "", final_head());

  ASSERT_THAT(put(bytes_), IsOk());

  EXPECT_THAT(
      sent_since(before),
      ElementsAre("GET?part-number-marker=0&uploadId=up%2F1", "PUT?partNumber=2&uploadId=up%2F1",
                  "PUT?partNumber=3&uploadId=up%2F1", "POST?uploadId=up%2F1", "HEAD"));
  ASSERT_OK_AND_ASSIGN(const auto list,
                       wire::s3::parse_complete_request(transport_.seen()[before + 3].body));
  EXPECT_EQ(list.parts[0].etag, etags_[0]);
  ASSERT_OK_AND_ASSIGN(const auto left, sessions_->find(key_));
  EXPECT_FALSE(left.has_value());
}

TEST_F(S3Resumed, ReadsAListOfSeveralPages) {
  cut_off();
  const std::size_t before = sent().size();
  transport_.answers(200, listed(1, true)).answers(200, listed(2, false, 1));
  transport_.answers(200, "", {{"ETag", etags_[2]}});
  transport_.answers(200, completed()).answers(200, "", final_head());

  ASSERT_THAT(put(bytes_), IsOk());

  EXPECT_EQ(sent()[before + 1], "GET?part-number-marker=1&uploadId=up%2F1");
  EXPECT_EQ(sent()[before + 2], "PUT?partNumber=3&uploadId=up%2F1");
}

TEST_F(S3Resumed, TakesNoPartWithOtherBytes) {
  cut_off();
  const std::size_t before = sent().size();
  std::string other = listed(1);
  other.replace(other.find("<ChecksumSHA256>") + 16, 4, "AAAA");
  transport_.answers(200, other);
  for (const std::string& etag : etags_) transport_.answers(200, "", {{"ETag", etag}});
  transport_.answers(200, completed()).answers(200, "", final_head());

  ASSERT_THAT(put(bytes_), IsOk());

  EXPECT_EQ(sent()[before + 1], "PUT?partNumber=1&uploadId=up%2F1");
}

TEST_F(S3Resumed, IsEndedWhenTheBytesAreOthersByNow) {
  cut_off();
  const std::size_t before = sent().size();
  ASSERT_THAT(sessions_->keep(key_, {"up/1", sha256("other"), bytes_.size()}), IsOk());
  transport_.answers(204);
  script_parts();
  transport_.answers(200, completed()).answers(200, "", final_head());

  ASSERT_THAT(put(bytes_), IsOk());

  EXPECT_EQ(sent()[before], "DELETE?uploadId=up%2F1");
  EXPECT_EQ(sent()[before + 1], "POST?uploads=");
}

// As Ceph's gateway lists them: what is known of their bytes is the MD5 in the ETag.
TEST_F(S3Resumed, TakesPartsOfAStoreWithoutChecksumsByTheirMd5) {
  const auto without_checksum = [this] {
    std::string list = listed(1);
    const std::size_t from = list.find("<ChecksumSHA256>");
    const std::string end = "</ChecksumSHA256>";
    list.erase(from, list.find(end) + end.size() - from);
    return list;
  };
  cut_off();
  std::size_t before = sent().size();
  transport_.answers(200, without_checksum());
  transport_.answers(200, "", {{"ETag", etags_[1]}}).answers(200, "", {{"ETag", etags_[2]}});
  transport_.answers(200, completed()).answers(200, "", final_head());
  ASSERT_THAT(put(bytes_), IsOk());
  EXPECT_EQ(sent()[before + 1], "PUT?partNumber=2&uploadId=up%2F1");

  cut_off();
  before = sent().size();
  std::string other = without_checksum();
  other.replace(other.find(etags_[0]), 4, "abcd");
  transport_.answers(200, other);
  for (const std::string& etag : etags_) transport_.answers(200, "", {{"ETag", etag}});
  transport_.answers(200, completed()).answers(200, "", final_head());
  ASSERT_THAT(put(bytes_), IsOk());
  EXPECT_EQ(sent()[before + 1], "PUT?partNumber=1&uploadId=up%2F1");
}

TEST_F(S3Resumed, BeginsAnewWhenTheBucketKnowsNothingOfIt) {
  cut_off();
  const std::size_t before = sent().size();
  transport_.answers(404, error_xml("NoSuchUpload"));
  script_parts();
  transport_.answers(200, completed()).answers(200, "", final_head());

  ASSERT_THAT(put(bytes_), IsOk());

  EXPECT_EQ(sent()[before + 1], "POST?uploads=");
}

TEST_F(S3Resumed, IsEndedWithItsObject) {
  cut_off();
  const std::size_t before = sent().size();
  transport_.answers(204).answers(204);

  ASSERT_THAT(store_->remove(key_), IsOk());

  EXPECT_THAT(sent_since(before), ElementsAre("DELETE?uploadId=up%2F1", "DELETE"));
  ASSERT_OK_AND_ASSIGN(const auto left, sessions_->find(key_));
  EXPECT_FALSE(left.has_value());
}

TEST_F(S3Resumed, IsNotGoneOnWithWhenTheBytesAreOthers) {
  script_parts();
  transport_.answers(204);

  EXPECT_THAT(store_->put(key_, source_of(bytes_), sha256("other")),
              FailsWith("store.bad_digest", Fate::permanent));

  EXPECT_EQ(sent().back(), "DELETE?uploadId=up%2F1");
}

// --- what is said of objects
TEST_F(S3Store, SaysNothingOfObjectsUnlessTold) {
  transport_.answers(200);
  ASSERT_THAT(put("bytes"), IsOk());

  for (const char* name : {"x-amz-server-side-encryption", "x-amz-storage-class", "x-amz-tagging",
                           "x-amz-expected-bucket-owner"}) {
    EXPECT_FALSE(transport_.last().headers.contains(name)) << name;
  }
}

TEST_F(S3Store, SaysHowObjectsAreToBeKeptAndSignsIt) {
  options_.encryption = S3Encryption::kms;
  options_.kms_key_id = "alias/gateway";
  options_.expected_bucket_owner = "123456789012";
  options_.storage_class = "STANDARD_IA";
  options_.object_tags = {{"site", "north wing"}, {"a&b", "c=d"}};
  remake();
  transport_.answers(200).answers(204);

  ASSERT_THAT(put("bytes"), IsOk());
  ASSERT_THAT(store_->remove(key_), IsOk());

  const auto& headers = transport_.seen()[0].headers;
  EXPECT_EQ(headers.get("x-amz-server-side-encryption"), "aws:kms");
  EXPECT_EQ(headers.get("x-amz-server-side-encryption-aws-kms-key-id"), "alias/gateway");
  EXPECT_EQ(headers.get("x-amz-storage-class"), "STANDARD_IA");
  EXPECT_EQ(headers.get("x-amz-tagging"), "site=north%20wing&a%26b=c%3Dd");
  EXPECT_THAT(std::string(headers.get("Authorization")),
              HasSubstr("x-amz-expected-bucket-owner;x-amz-server-side-encryption;"
                        "x-amz-server-side-encryption-aws-kms-key-id;x-amz-storage-class;"
                        "x-amz-tagging,"));
  EXPECT_EQ(transport_.seen()[1].headers.get("x-amz-expected-bucket-owner"), "123456789012");
  EXPECT_FALSE(transport_.seen()[1].headers.contains("x-amz-storage-class"));
}

// --- reading
// --------------------------------------------------------------------------------------
TEST_F(S3Store, ReadsAnObject) {
  transport_.answers(200, "bytes");
  ASSERT_OK_AND_ASSIGN(const auto source, store_->get(key_));
  EXPECT_EQ(*read_all(*source, 100), "bytes");
}

TEST_F(S3Store, HeadTellsTheSize) {
  transport_.answers(200, "", {{"Content-Length", "12"}, {"ETag", "\"t\""}});
  ASSERT_OK_AND_ASSIGN(const StoredObject object, store_->head(key_));
  EXPECT_EQ(object.size_bytes, 12U);
  EXPECT_EQ(object.etag, "t");
}

TEST_F(S3Store, HeadWithoutASizeMakesNoSense) {
  transport_.answers(200).answers(200, "", {{"Content-Length", "many"}});
  EXPECT_THAT(store_->head(key_), FailsWith("store.protocol"));
  EXPECT_THAT(store_->head(key_), FailsWith("store.protocol"));
}

TEST_F(S3Store, RemovingNothingSucceeds) {
  transport_.answers(404, error_xml("NoSuchKey")).answers(404, error_xml("NoSuchBucket"));
  EXPECT_THAT(store_->remove(key_), IsOk());
  EXPECT_THAT(store_->remove(key_), FailsWith("store.no_bucket"));
}

// --- listing
// --------------------------------------------------------------------------------------
class S3Listing : public S3Store {
 protected:
  static std::string page(std::vector<std::string> keys, std::optional<std::string> next) {
    wire::s3::ListResult result;
    result.request.encode_url = true;
    result.truncated = next.has_value();
    result.next_continuation_token = std::move(next);
    for (std::string& key : keys) result.contents.push_back({std::move(key), 1, "e", {}});
    return wire::s3::print(result);
  }
  Result<std::vector<std::string>> listed(std::size_t most = 100) {
    std::vector<std::string> keys;
    TRY(store_->list("p/", [&](const StoredObject& object) {
      keys.push_back(object.key.text);
      return keys.size() < most;
    }));
    return keys;
  }
};

TEST_F(S3Listing, FollowsPages) {
  transport_.answers(200, page({"p/a", "p/b c"}, "t+1")).answers(200, page({"p/d"}, std::nullopt));

  ASSERT_OK_AND_ASSIGN(const auto keys, listed());

  EXPECT_THAT(keys, ElementsAre("p/a", "p/b c", "p/d"));
  EXPECT_EQ(transport_.seen()[0].url,
            "http://127.0.0.1:9000/bucket?encoding-type=url&list-type=2&prefix=p%2F");
  EXPECT_THAT(transport_.seen()[1].url, HasSubstr("continuation-token=t%2B1"));
}

TEST_F(S3Listing, StopsWhenToldTo) {
  transport_.answers(200, page({"p/a", "p/b"}, "more"));
  ASSERT_OK_AND_ASSIGN(const auto keys, listed(1));
  EXPECT_THAT(keys, ElementsAre("p/a"));
  EXPECT_TRUE(transport_.finished());
}

TEST_F(S3Listing, DoesNotGoRoundInCircles) {
  transport_.answers(200, page({"p/a"}, "t")).answers(200, page({"p/a"}, "t"));
  EXPECT_THAT(listed(), FailsWith("store.protocol"));
}

TEST_F(S3Listing, RefusesKeysThatWereNotAskedFor) {
  transport_.answers(200, page({"q/a"}, std::nullopt));
  EXPECT_THAT(listed(), FailsWith("store.protocol"));
}

TEST_F(S3Listing, RefusesWhatIsNoListing) {
  transport_.answers(200, "<html><body>Welcome</body></html>");
  EXPECT_THAT(listed(), FailsWith("store.protocol"));
}

TEST_F(S3Listing, ChecksTheBucket) {
  transport_.answers(200, page({}, std::nullopt)).answers(404, error_xml("NoSuchBucket"));
  EXPECT_THAT(store_->check(), IsOk());
  EXPECT_THAT(store_->check(), FailsWith("store.no_bucket"));
}

}  // namespace
}  // namespace isthmus
