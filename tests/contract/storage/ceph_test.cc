// The S3 client against a server that nobody here wrote: Ceph's RADOS gateway, started once for
// this executable by ../shared/tools/start-ceph-rgw.sh when Debian's packages are there.
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>

#include "auth/credentials.h"
#include "contract/storage/object_store_contract.h"
#include "http/client.h"
#include "storage/s3.h"
#include "storage/upload_sessions.h"
#include "support/test_env.h"
#include "wire/sigv4.h"

namespace isthmus::test {
namespace {

// One gateway for all tests. Its processes are ended by the ids that the script wrote down.
class Ceph {
 public:
  static Ceph& instance() {
    static Ceph one;
    return one;
  }
  const std::string& why_not() const { return why_not_; }
  std::string value(const std::string& name) const { return values_.at(name); }

 private:
  Ceph() {
    const auto shared = shared_folder();
    if (!shared) {
      why_not_ = "no ../shared beside the repository";
      return;
    }
    const auto script = *shared / "tools/start-ceph-rgw.sh";
    if (!std::filesystem::exists(script)) {
      why_not_ = "no start-ceph-rgw.sh in ../shared/tools";
      return;
    }
    const std::string port = std::to_string(18'000 + (::getpid() % 100) * 100);
    const std::string command = script.string() + " -d " + folder_.path().string() + "/ceph -p " +
                                port + " > " + folder_.path().string() + "/out 2>&1";
    const int status = std::system(command.c_str());
    std::ifstream env(folder_.path() / "ceph/env");
    for (std::string line; std::getline(env, line);) {
      const std::size_t equals = line.find('=');
      values_[line.substr(0, equals)] = line.substr(equals + 1);
    }
    if (status != 0 || values_.empty()) {
      std::ifstream out(folder_.path() / "out");
      why_not_ = "it did not start: " + std::string(std::istreambuf_iterator<char>(out), {});
    }
  }
  ~Ceph() {
    std::ifstream pids(folder_.path() / "ceph/pids");
    pid_t pid = 0;
    for (std::string name; pids >> pid >> name;) {
      if (pid > 1) ::kill(pid, SIGKILL);
    }
  }

  TempFolder folder_;
  std::map<std::string, std::string> values_;
  std::string why_not_;
};

class CephStore : public StoreUnderTest {
 public:
  CephStore() {
    static int buckets = 0;
    options_.endpoint = Ceph::instance().value("RGW_ENDPOINT");
    options_.region = Ceph::instance().value("RGW_REGION");
    options_.bucket = "bucket-" + std::to_string(++buckets);
    options_.multipart_threshold_bytes = 5 * MiB;
    options_.part_bytes = 5 * MiB;
    options_.list_page_keys = 3;  // so that a few keys make pages
    EXPECT_EQ(make_bucket(), 200);
    store_ = make_s3_store(env_, *transport_, *credentials_, options_);
  }
  ObjectStore& store() override { return *store_; }
  std::size_t large_bytes() const override { return 11 * MiB + 1; }

  std::unique_ptr<ObjectStore> store_with(std::string secret) {
    other_ = make_static_credentials({value("AWS_ACCESS_KEY_ID"), std::move(secret), "", {}});
    return make_s3_store(env_, *transport_, *other_, options_);
  }
  // The same bucket by other options.
  std::unique_ptr<ObjectStore> store_by(const std::function<void(S3Options&)>& change) {
    S3Options options = options_;
    change(options);
    return make_s3_store(env_, cutting_, *credentials_, options);
  }
  // What the gateway itself answers to GET, asked past the client.
  std::string ask(const std::string& target) {
    http::Request request;
    request.url = options_.endpoint + "/" + options_.bucket + "/" + target;
    ignore(wire::sigv4::sign(
               request, {value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY"), ""},
               options_.region, "s3", env_.env().clock.wall_now(), wire::sigv4::kEmptyPayloadHash),
           "an unsigned request would be refused, and the test with it");
    auto response = transport_->send(std::move(request));
    if (!response.ok()) return response.error().code;
    return response->body ? *read_all(*response->body, MiB) : "";
  }
  Env& env() { return env_; }
  const FileSystem::Path& folder() const { return env_.folder(); }

  // Counts parts on their way up, and ends the connection at one of them when told to.
  class Cutting : public http::Transport {
   public:
    explicit Cutting(http::Transport& next) : next_(next) {}
    Result<http::Response> send(http::Request request) override {
      if (request.method == "PUT" && request.url.find("partNumber=") != std::string::npos) {
        if (cut_at != 0 && ++seen > cut_at) return transient_error("http.closed", "Cut.");
        ++parts;
      }
      return next_.send(std::move(request));
    }
    int cut_at = 0, seen = 0, parts = 0;

   private:
    http::Transport& next_;
  };
  Cutting& line() { return cutting_; }

  std::unique_ptr<ObjectStore> store_of(std::string bucket) {
    S3Options options = options_;
    options.bucket = std::move(bucket);
    return make_s3_store(env_, *transport_, *credentials_, options);
  }

 private:
  static std::string value(const char* name) { return Ceph::instance().value(name); }

  int make_bucket() {
    http::Request request;
    request.method = "PUT";
    request.url = options_.endpoint + "/" + options_.bucket;
    ignore(wire::sigv4::sign(
               request, {value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY"), ""},
               options_.region, "s3", env_.env().clock.wall_now(), wire::sigv4::kEmptyPayloadHash),
           "an unsigned request would be refused, and the test with it");
    const auto response = transport_->send(std::move(request));
    return response.ok() ? response->status : 0;
  }

  TestEnv env_{1, posix_files(), true};
  std::unique_ptr<http::Transport> transport_ = http::make_client(env_, {});
  Cutting cutting_{*transport_};
  std::unique_ptr<CredentialsSource> credentials_ =
      make_static_credentials({value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY"), "", {}});
  std::unique_ptr<CredentialsSource> other_;
  S3Options options_;
  std::unique_ptr<ObjectStore> store_;
};

std::unique_ptr<StoreUnderTest> make(std::string& why_not) {
  why_not = Ceph::instance().why_not();
  if (!why_not.empty()) return nullptr;
  return std::make_unique<CephStore>();
}

INSTANTIATE_TEST_SUITE_P(Ceph, ObjectStoreContract, testing::Values(StoreFactory{"ceph", make}));

// --- what an object is told to be

// Of an upload in parts it takes the tags and keeps none of them (16.2, stock clients too).
TEST(CephTakes, TagsAndStorageClassOfObjects) {
  if (!Ceph::instance().why_not().empty()) GTEST_SKIP() << Ceph::instance().why_not();
  CephStore subject;
  const auto store = subject.store_by([](S3Options& options) {
    options.storage_class = "STANDARD";
    options.object_tags = {{"site", "north & south"}, {"kind", "a=b+c"}};
  });
  const std::string large(subject.large_bytes(), 'x');

  ASSERT_THAT(store->put({"small"}, source_of(std::string("bytes")), sha256("bytes")), IsOk());
  ASSERT_THAT(store->put({"large"}, source_of(large), sha256(large)), IsOk());

  const std::string tags = subject.ask("small?tagging");
  EXPECT_THAT(tags, testing::HasSubstr("<Key>site</Key><Value>north &amp; south</Value>"));
  EXPECT_THAT(tags, testing::HasSubstr("<Key>kind</Key><Value>a=b+c</Value>"));
}

TEST(CephTakes, NoStorageClassThatItDoesNotHave) {
  if (!Ceph::instance().why_not().empty()) GTEST_SKIP() << Ceph::instance().why_not();
  CephStore subject;
  const auto store =
      subject.store_by([](S3Options& options) { options.storage_class = "NO_SUCH_CLASS"; });

  const auto stored = store->put({"key"}, source_of(std::string("bytes")), sha256("bytes"));

  EXPECT_FALSE(stored.ok());
  EXPECT_THAT(store->head({"key"}), FailsWith("store.not_found"));
}

// Sixteen knows SSE-C and SSE-KMS; of SSE-S3 it must either do what it was told or say no. Our own
// bytes come back in either case, and nothing is there when it says no.
TEST(CephTakes, OrRefusesEncryptionWithItsOwnKeys) {
  if (!Ceph::instance().why_not().empty()) GTEST_SKIP() << Ceph::instance().why_not();
  CephStore subject;
  const auto store =
      subject.store_by([](S3Options& options) { options.encryption = S3Encryption::s3; });
  const std::string bytes = "bytes";

  const auto stored = store->put({"key"}, source_of(bytes), sha256(bytes));

  if (stored.ok()) {
    ASSERT_OK_AND_ASSIGN(const auto back, store->get({"key"}));
    EXPECT_EQ(*read_all(*back, KiB), bytes);
  } else {
    EXPECT_THAT(store->head({"key"}), FailsWith("store.not_found"));
  }
}

TEST(CephTakes, OnlyBytesOfTheSaidDigest) {
  if (!Ceph::instance().why_not().empty()) GTEST_SKIP() << Ceph::instance().why_not();
  CephStore subject;

  EXPECT_THAT(subject.store().put({"key"}, source_of(std::string("other")), sha256("bytes")),
              FailsWith("store.bad_digest"));
  EXPECT_THAT(subject.store().head({"key"}), FailsWith("store.not_found"));
}

TEST(CephTakes, AnUploadThatGoesOnWhereItWasCut) {
  if (!Ceph::instance().why_not().empty()) GTEST_SKIP() << Ceph::instance().why_not();
  CephStore subject;
  ASSERT_OK_AND_ASSIGN(const auto sessions,
                       open_upload_sessions(subject.env(), subject.folder() / "uploads"));
  const auto store = [&] {
    return subject.store_by([&](S3Options& options) {
      options.sessions = sessions.get();
      options.retry.attempts = 1;
    });
  };
  std::string bytes(21 * MiB, 'x');
  for (std::size_t at = 0; at < bytes.size(); at += 4099) bytes[at] = static_cast<char>(at);
  subject.line().cut_at = 2;

  EXPECT_THAT(store()->put({"key"}, source_of(bytes), sha256(bytes)), FailsWith("http.closed"));
  EXPECT_EQ(subject.line().parts, 2);
  subject.line().cut_at = 0;
  ASSERT_THAT(store()->put({"key"}, source_of(bytes), sha256(bytes)), IsOk());

  EXPECT_EQ(subject.line().parts, 5);  // of 5 MiB; none of them twice
  ASSERT_OK_AND_ASSIGN(const auto back, subject.store().get({"key"}));
  EXPECT_EQ(sha256(*read_all(*back, 32 * MiB)), sha256(bytes));
  EXPECT_EQ(subject.ask("?uploads").find("<Upload>"), std::string::npos);
}

TEST(CephRefuses, AWrongSecret) {
  if (!Ceph::instance().why_not().empty()) GTEST_SKIP() << Ceph::instance().why_not();
  CephStore subject;
  EXPECT_THAT(subject.store_with("wrong")->check(), FailsWith("store.denied"));
}

TEST(CephRefuses, ABucketThatIsNotThere) {
  if (!Ceph::instance().why_not().empty()) GTEST_SKIP() << Ceph::instance().why_not();
  CephStore subject;
  EXPECT_THAT(subject.store_of("no-such-bucket")->check(), FailsWith("store.no_bucket"));
}

}  // namespace
}  // namespace isthmus::test
