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
