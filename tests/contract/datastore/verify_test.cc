// isthmus datastore verify: what it finds, beside a store that runs and without one.
#include "datastore/verify.h"

#include <filesystem>
#include <fstream>

#include "contract/datastore/store_kit.h"
#include "sql/sql.h"

namespace isthmus {
namespace {

namespace fs = std::filesystem;
using test::FailsWith;
using test::FakeInstance;
using test::StoreKit;

class Verify : public ::testing::Test {
 protected:
  Verify() {
    data_store = kit.make_data_store();
    kit.import(data_store, "a", {{"1", FakeInstance().text()}});
    kit.s3("PUT", "/in-bucket/k", "some bytes");
  }
  fs::path folder() const { return options_folder; }
  datastore::VerifyReport verify(bool content = false) {
    findings.clear();
    const auto report = datastore::verify_data_store(
        kit.env(), {folder(), content},
        [this](const std::string& finding) { findings.push_back(finding); });
    EXPECT_TRUE(report.ok());
    return report.ok() ? *report : datastore::VerifyReport();
  }
  fs::path blob_of(const std::string& bytes) const {
    const std::string hex = sha256(bytes).hex();
    return folder() / "blobs" / hex.substr(0, 2) / hex;
  }

  StoreKit kit;
  const fs::path options_folder = kit.env().folder() / "store";
  std::string data_store;
  std::vector<std::string> findings;
};

TEST_F(Verify, FindsNothingInASoundStoreThatRuns) {
  const datastore::VerifyReport report = verify(true);

  EXPECT_TRUE(report.sound());
  EXPECT_GT(report.named_blobs, 2U);
  EXPECT_EQ(report.unnamed_blobs, 0U);
  EXPECT_TRUE(findings.empty());
}

TEST_F(Verify, FindsBlobsThatAreMissing) {
  kit.close();
  fs::remove(blob_of("some bytes"));

  const datastore::VerifyReport report = verify();

  EXPECT_FALSE(report.sound());
  EXPECT_EQ(report.missing_blobs, 1U);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_NE(findings[0].find(sha256("some bytes").hex()), std::string::npos);
}

TEST_F(Verify, FindsOtherBytesOnlyWhenItReadsThem) {
  kit.close();
  std::ofstream(blob_of("some bytes")) << "same bytes";

  EXPECT_TRUE(verify(false).sound());
  const datastore::VerifyReport report = verify(true);
  EXPECT_EQ(report.damaged_blobs, 1U);
  EXPECT_FALSE(report.sound());
}

TEST_F(Verify, CallsGarbageNoFault) {
  kit.close();
  fs::create_directories(blob_of("nobody's").parent_path());
  std::ofstream(blob_of("nobody's")) << "nobody's";

  const datastore::VerifyReport report = verify(true);

  EXPECT_TRUE(report.sound());
  EXPECT_EQ(report.unnamed_blobs, 1U);
}

TEST_F(Verify, FindsRowsThatContradictEachOther) {
  kit.close();
  {
    auto catalogue = sql::Database::open(folder() / "catalogue.sqlite", {.error_area = "test"});
    ASSERT_TRUE(catalogue.ok());
    ASSERT_TRUE(catalogue->run("UPDATE image_sets SET state = 'LOCKED', instance_count = 7").ok());
  }

  const datastore::VerifyReport report = verify();

  EXPECT_FALSE(report.sound());
  EXPECT_EQ(report.catalogue_faults, 2U);
}

TEST_F(Verify, SaysWhenThereIsNoCatalogue) {
  const auto report =
      datastore::verify_data_store(kit.env(), {kit.env().folder() / "nowhere", false}, {});

  EXPECT_THAT(report, FailsWith("datastore.io"));
}

}  // namespace
}  // namespace isthmus
