// What a client of the Cloud Storage face may rely on.
#include <filesystem>

#include "contract/datastore/store_kit.h"

namespace isthmus {
namespace {

using nlohmann::json;
using test::Answer;
using test::StoreKit;

datastore::DataStoreOptions with_metadata_server() {
  datastore::DataStoreOptions options;
  options.google_metadata_server = true;
  return options;
}

class CloudStorage : public ::testing::Test {
 protected:
  CloudStorage() : kit(with_metadata_server()) {
    token_ = fetch_token();
    EXPECT_EQ(call("POST", "/storage/v1/b?project=p", R"({"name":"bucket-1"})").status, 200);
  }
  std::string fetch_token() {
    const Answer answer =
        kit.raw(kit.request("GET", "/computeMetadata/v1/instance/service-accounts/default/token",
                            "", {{"Metadata-Flavor", "Google"}}));
    EXPECT_EQ(answer.headers.get("Metadata-Flavor"), "Google");
    EXPECT_EQ(answer.json().value("token_type", ""), "Bearer") << answer.body;
    return answer.json().value("access_token", "");
  }
  Answer call(const std::string& method, const std::string& target, std::string body = {},
              http::Headers headers = {}) {
    if (!headers.contains("Authorization")) headers.set("Authorization", "Bearer " + token_);
    return kit.raw(kit.request(method, target, std::move(body), std::move(headers)));
  }
  Answer put(const std::string& name, const std::string& body, const std::string& more = "") {
    return call("POST", "/upload/storage/v1/b/bucket-1/o?uploadType=media&name=" + name + more,
                body, {{"Content-Type", "application/dicom"}});
  }
  Answer media(const std::string& name, http::Headers headers = {}) {
    return call("GET", "/storage/v1/b/bucket-1/o/" + name + "?alt=media", "", std::move(headers));
  }
  static std::string reason(const Answer& answer) {
    const json body = answer.json();
    return std::to_string(answer.status) + " " +
           body.value("/error/errors/0/reason"_json_pointer, body.dump());
  }
  // The session's target, without scheme and host.
  std::string begin(const std::string& name, const std::string& metadata = "{}",
                    const std::string& more = "") {
    const Answer answer =
        call("POST", "/upload/storage/v1/b/bucket-1/o?uploadType=resumable&name=" + name + more,
             metadata, {{"X-Upload-Content-Type", "application/dicom"}});
    EXPECT_EQ(answer.status, 200) << answer.body;
    const std::string location(answer.headers.get("Location"));
    EXPECT_TRUE(location.starts_with("http://store.test/upload/")) << location;
    return location.substr(std::min<std::size_t>(17, location.size()));
  }
  Answer piece(const std::string& session, const std::string& range, const std::string& body = "") {
    http::Headers headers;
    if (!range.empty()) headers.set("Content-Range", range);
    return call("PUT", session, body, std::move(headers));
  }
  StoreKit kit;
  std::string token_;
};

TEST_F(CloudStorage, TakesNobodyWithoutAToken) {
  const auto as = [&](const char* authorization) {
    return reason(call("GET", "/storage/v1/b/bucket-1", "", {{"Authorization", authorization}}));
  };
  EXPECT_EQ(as(""), "401 authError");
  EXPECT_EQ(as("Bearer nobody"), "401 authError");
  EXPECT_EQ(call("GET", "/storage/v1/b/bucket-1").status, 200);

  kit.env().clock.advance(Milliseconds(3'600'001));

  EXPECT_EQ(reason(call("GET", "/storage/v1/b/bucket-1")), "401 authError");
}

TEST_F(CloudStorage, TokensComeOnlyFromAMetadataServerThatIsOn) {
  StoreKit closed;
  const auto ask = [](StoreKit& store, http::Headers headers) {
    return store
        .raw(store.request("GET", "/computeMetadata/v1/instance/service-accounts/default/token", "",
                           std::move(headers)))
        .status;
  };
  EXPECT_EQ(ask(closed, {{"Metadata-Flavor", "Google"}}), 404);
  EXPECT_EQ(ask(kit, {}), 403);
  EXPECT_EQ(ask(kit, {{"Metadata-Flavor", "Google"}, {"X-Forwarded-For", "1.2.3.4"}}), 403);
}

TEST_F(CloudStorage, KeepsMediaWithItsChecksums) {
  const Answer stored = put("in%2Fa.dcm", "hello");
  const json object = stored.json();

  EXPECT_EQ(object.value("name", ""), "in/a.dcm") << stored.body;
  EXPECT_EQ(object.value("size", ""), "5");
  EXPECT_EQ(object.value("crc32c", ""), "mnG7TA==");
  EXPECT_EQ(object.value("md5Hash", ""), "XUFAKrxLKna5cZ2REBfFkg==");
  EXPECT_EQ(object.value("contentType", ""), "application/dicom");
  const Answer got = media("in%2Fa.dcm");
  EXPECT_EQ(got.body, "hello");
  EXPECT_EQ(got.headers.get("X-Goog-Hash"), "crc32c=mnG7TA==,md5=XUFAKrxLKna5cZ2REBfFkg==");
  EXPECT_EQ(got.headers.get("X-Goog-Generation"), object.value("generation", "none"));
  const Answer part = media("in%2Fa.dcm", {{"Range", "bytes=1-3"}});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, "ell");
  EXPECT_EQ(media("in%2Fa.dcm", {{"Range", "bytes=9-"}}).status, 416);
}

TEST_F(CloudStorage, TellsAPlusFromASpace) {
  EXPECT_EQ(put("a%2Bb", "plus").json().value("name", ""), "a+b");
  EXPECT_EQ(put("a+b", "space").json().value("name", ""), "a b");
  EXPECT_EQ(media("a%2Bb").body, "plus");
}

TEST_F(CloudStorage, SharesItsObjectsWithS3) {
  put("of-google", "hello");
  kit.s3("PUT", "/bucket-1/of-amazon", "hello", {{"x-amz-meta-kind", "test"}});

  EXPECT_EQ(kit.s3("GET", "/bucket-1/of-google").body, "hello");
  const json object = call("GET", "/storage/v1/b/bucket-1/o/of-amazon").json();
  EXPECT_EQ(object.value("crc32c", ""), "mnG7TA==");
  EXPECT_EQ(object.value("/metadata/kind"_json_pointer, ""), "test");
}

TEST_F(CloudStorage, TakesMetadataAndBytesInOneBody) {
  const auto multipart = [&](const std::string& metadata, const std::string& more = "") {
    return call("POST", "/upload/storage/v1/b/bucket-1/o?uploadType=multipart&name=m" + more,
                "--BB\r\nContent-Type: application/json\r\n\r\n" + metadata +
                    "\r\n--BB\r\nContent-Type: application/dicom\r\n\r\nhello\r\n--BB--",
                {{"Content-Type", "multipart/related; boundary=BB"}});
  };

  const Answer stored =
      multipart(R"({"contentType":"text/x","crc32c":"mnG7TA==","metadata":{"sop":"1.2.3"}})");
  EXPECT_EQ(stored.json().value("contentType", ""), "text/x") << stored.body;
  EXPECT_EQ(stored.json().value("/metadata/sop"_json_pointer, ""), "1.2.3");
  EXPECT_EQ(media("m").body, "hello");
  EXPECT_EQ(reason(multipart(R"({"crc32c":"AAAAAA=="})")), "400 invalid");
  EXPECT_EQ(reason(multipart("no json")), "400 invalid");
  EXPECT_EQ(media("m").headers.get("X-Goog-Generation"), stored.json().value("generation", ""));
}

TEST_F(CloudStorage, PutsOnlyOverTheGenerationThatWasSeen) {
  const Answer first = put("k", "one", "&ifGenerationMatch=0");
  const Answer second = put("k", "two", "&ifGenerationMatch=0");
  const std::string generation = first.json().value("generation", "");
  const Answer third = put("k", "three", "&ifGenerationMatch=" + generation);

  EXPECT_EQ(reason(second), "412 conditionNotMet");
  EXPECT_EQ(third.status, 200) << third.body;
  EXPECT_GT(std::stoll(third.json().value("generation", "0")), std::stoll(generation));
  EXPECT_EQ(reason(call("DELETE", "/storage/v1/b/bucket-1/o/k?ifGenerationMatch=" + generation)),
            "412 conditionNotMet");
  EXPECT_EQ(reason(call("GET", "/storage/v1/b/bucket-1/o/k?generation=" + generation)),
            "404 notFound");
  EXPECT_EQ(call("DELETE", "/storage/v1/b/bucket-1/o/k").status, 204);
  EXPECT_EQ(reason(call("DELETE", "/storage/v1/b/bucket-1/o/k")), "404 notFound");
}

TEST_F(CloudStorage, ListsByPrefixDelimiterAndPage) {
  for (const char* name : {"a", "in%2F1", "in%2F2", "in%2F3", "z"}) put(name, "x");
  const auto list = [&](const std::string& query) {
    return call("GET", "/storage/v1/b/bucket-1/o?" + query).json();
  };
  const auto names = [](const json& page) {
    std::string joined;
    for (const json& item : page.value("items", json::array())) {
      joined += item.value("name", "?") + " ";
    }
    return joined;
  };

  const json folders = list("delimiter=%2F");
  const json first = list("prefix=in%2F&maxResults=2");
  const json rest = list("prefix=in%2F&maxResults=2&pageToken=" +
                         http::percent_encode(first.value("nextPageToken", ""), false));

  EXPECT_EQ(names(folders), "a z ");
  EXPECT_EQ(folders.value("prefixes", json()), json({"in/"}));
  EXPECT_EQ(names(first), "in/1 in/2 ");
  EXPECT_EQ(names(rest), "in/3 ");
  EXPECT_FALSE(rest.contains("nextPageToken"));
  EXPECT_EQ(names(list("startOffset=in%2F3")), "in/3 z ");
  EXPECT_EQ(reason(call("GET", "/storage/v1/b/no-such-bucket/o")), "404 notFound");
}

TEST_F(CloudStorage, ResumesPieceByPiece) {
  const std::string bytes = std::string(256 * KiB, 'a') + std::string(256 * KiB, 'b') + "tail";
  const std::string total = std::to_string(bytes.size());
  const std::string session = begin("big", R"({"metadata":{"k":"v"}})");

  EXPECT_EQ(piece(session, "bytes */*").status, 308);
  EXPECT_FALSE(piece(session, "bytes */*").headers.contains("Range"));
  const Answer one = piece(session, "bytes 0-262143/*", bytes.substr(0, 256 * KiB));
  EXPECT_EQ(one.status, 308) << one.body;
  EXPECT_EQ(one.headers.get("Range"), "bytes=0-262143");
  kit.open();
  token_ = fetch_token();
  EXPECT_EQ(piece(session, "bytes */*").headers.get("Range"), "bytes=0-262143");
  EXPECT_EQ(piece(session, "bytes 262144-262149/*", "aaaaaa").status, 400);
  // A gap keeps nothing; what is known already is passed over.
  EXPECT_EQ(piece(session, "bytes 524288-" + std::to_string(bytes.size() - 1) + "/" + total, "tail")
                .headers.get("Range"),
            "bytes=0-262143");
  const Answer two = piece(session, "bytes 0-524287/" + total, bytes.substr(0, 512 * KiB));
  EXPECT_EQ(two.headers.get("Range"), "bytes=0-524287") << two.body;
  EXPECT_EQ(media("big").status, 404);
  const Answer done =
      piece(session, "bytes 524288-" + std::to_string(bytes.size() - 1) + "/" + total, "tail");

  EXPECT_EQ(done.status, 200) << done.body;
  EXPECT_EQ(done.json().value("size", ""), total);
  EXPECT_EQ(done.json().value("/metadata/k"_json_pointer, ""), "v");
  EXPECT_EQ(done.json().value("md5Hash", ""), to_base64(md5(as_bytes(bytes))));
  EXPECT_TRUE(media("big").body == bytes);
  const Answer lost = piece(session, "bytes */*");
  EXPECT_EQ(lost.status, 200);
  EXPECT_EQ(lost.json().value("generation", ""), done.json().value("generation", "-"));
}

TEST_F(CloudStorage, TakesASessionInOneRequest) {
  EXPECT_EQ(piece(begin("a"), "", "hello").json().value("size", ""), "5");
  EXPECT_EQ(piece(begin("b"), "bytes 0-4/5", "hello").json().value("size", ""), "5");
  EXPECT_EQ(piece(begin("c"), "bytes 0-*/*", "hello").json().value("size", ""), "5");
  EXPECT_EQ(piece(begin("d"), "", "").json().value("size", ""), "0");
}

TEST_F(CloudStorage, SessionsKeepWhatTheyWereBegunWith) {
  const std::string session = begin("k", R"({"crc32c":"AAAAAA=="})");
  EXPECT_EQ(reason(piece(session, "", "hello")), "400 invalid");
  EXPECT_EQ(media("k").status, 404);
  const std::string absent = begin("k", "{}", "&ifGenerationMatch=0");
  put("k", "first");
  EXPECT_EQ(reason(piece(absent, "", "hello")), "412 conditionNotMet");
  EXPECT_EQ(media("k").body, "first");
  EXPECT_EQ(call("DELETE", absent).status, 499);
  EXPECT_EQ(reason(piece(absent, "bytes */*")), "404 notFound");
}

TEST_F(CloudStorage, SessionsLiveAWeek) {
  const std::string session = begin("k");
  piece(session, "bytes 0-262143/*", std::string(256 * KiB, 'a'));
  kit.env().clock.advance(Milliseconds(7LL * 24 * 3600 * 1000));
  token_ = fetch_token();
  EXPECT_EQ(reason(piece(session, "bytes */*")), "404 notFound");

  kit.open();

  std::size_t blobs = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(kit.env().folder() / "store" / "blobs")) {
    blobs += entry.is_regular_file() ? 1U : 0U;
  }
  EXPECT_EQ(blobs, 0U);
}

TEST_F(CloudStorage, KeepsWhatCameOfABrokenPiece) {
  const std::string session = begin("k");
  http::Head head;
  head.method = "PUT";
  head.target = session;
  head.headers = {{"Authorization", "Bearer " + token_}, {"Content-Range", "bytes 0-*/*"}};
  {
    const auto exchange = kit.store().handler().open(head);
    EXPECT_TRUE(exchange->feed(as_bytes("hello")));
  }

  EXPECT_EQ(piece(session, "bytes */*").headers.get("Range"), "bytes=0-4");
  EXPECT_EQ(piece(session, "bytes 5-6/7", "!!").json().value("size", ""), "7");
  EXPECT_EQ(media("k").body, "hello!!");
}

// As after a crash between the last piece and the object.
TEST_F(CloudStorage, AskingForAWholeSessionEndsIt) {
  const std::string session = begin("k", "{}", "&ifGenerationMatch=0");
  put("k", "first");
  EXPECT_EQ(reason(piece(session, "bytes 0-4/5", "hello")), "412 conditionNotMet");
  EXPECT_EQ(reason(piece(session, "bytes */*")), "412 conditionNotMet");
  EXPECT_EQ(call("DELETE", "/storage/v1/b/bucket-1/o/k").status, 204);

  const Answer asked = piece(session, "bytes */*");

  EXPECT_EQ(asked.status, 200) << asked.body << asked.headers.get("Range");
  EXPECT_EQ(media("k").body, "hello");
}

TEST_F(CloudStorage, PatchesAndRewrites) {
  put("k", "hello");

  const json patched =
      call("PATCH", "/storage/v1/b/bucket-1/o/k", R"({"metadata":{"a":"1"},"contentType":"x/y"})")
          .json();
  const json copied =
      call("POST", "/storage/v1/b/bucket-1/o/k/rewriteTo/b/bucket-1/o/in%2Fcopy", "").json();

  EXPECT_EQ(patched.value("metageneration", ""), "2");
  EXPECT_EQ(patched.value("contentType", ""), "x/y");
  EXPECT_EQ(copied.value("done", false), true) << copied;
  EXPECT_EQ(copied.value("/resource/metadata/a"_json_pointer, ""), "1");
  EXPECT_EQ(media("in%2Fcopy").body, "hello");
}

TEST_F(CloudStorage, MakesAndRemovesBuckets) {
  EXPECT_EQ(reason(call("POST", "/storage/v1/b", R"({"name":"bucket-1"})")), "409 conflict");
  EXPECT_EQ(reason(call("POST", "/storage/v1/b", R"({"name":"X"})")), "400 invalid");
  EXPECT_EQ(reason(call("GET", "/storage/v1/b/no-such-bucket")), "404 notFound");
  put("k", "x");
  EXPECT_EQ(reason(call("DELETE", "/storage/v1/b/bucket-1")), "409 conflict");
  call("DELETE", "/storage/v1/b/bucket-1/o/k");
  EXPECT_EQ(call("DELETE", "/storage/v1/b/bucket-1").status, 204);
}

}  // namespace
}  // namespace isthmus
