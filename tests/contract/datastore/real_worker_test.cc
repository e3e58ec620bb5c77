// Real files, good and hostile, put straight into an import prefix and examined by the real worker.
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "contract/datastore/store_kit.h"

namespace isthmus {
namespace {

using nlohmann::json;
using test::StoreKit;

namespace fs = std::filesystem;

std::string content_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

datastore::DataStoreOptions with_real_worker() {
  datastore::DataStoreOptions options;
  options.worker_program = test::program("isthmus-import-worker");
  return options;
}

// Every file ends in exactly one of the two lists, whatever is in it.
TEST(RealWorker, GivesEveryHostileFileALineAndHarmsNoNeighbour) {
  USE_SHARED(const fs::path shared);
  StoreKit kit(with_real_worker());
  const std::string data_store = kit.make_data_store();
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(shared / "dicom" / "hostile")) {
    if (!entry.is_regular_file()) continue;
    files["hostile/" + fs::relative(entry.path(), shared / "dicom" / "hostile").string()] =
        content_of(entry.path());
  }
  std::set<std::string> good;
  for (const auto& entry : fs::directory_iterator(shared / "dicom" / "edge")) {
    if (!entry.is_regular_file()) continue;
    const std::string name = "edge/" + entry.path().filename().string();
    files[name] = content_of(entry.path());
    good.insert("mixed/" + name);
  }

  const json job = kit.import(data_store, "mixed", files);

  EXPECT_EQ(job["jobStatus"], "COMPLETED");
  std::multiset<std::string> named;
  std::set<std::string> imported;
  for (const json& line : kit.lines(job, "SUCCESS/success.ndjson")) {
    named.insert(line.value("inputFile", ""));
    imported.insert(line.value("inputFile", ""));
  }
  for (const json& line : kit.lines(job, "FAILURE/failure.ndjson")) {
    named.insert(line.value("inputFile", ""));
    EXPECT_FALSE(line["exception"].value("message", "").empty()) << line;
  }
  EXPECT_EQ(named.size(), files.size());
  for (const auto& [name, content] : files) {
    EXPECT_EQ(named.count("mixed/" + name), 1U) << name;
  }
  for (const std::string& name : good) {
    EXPECT_TRUE(imported.contains(name)) << name << " is valid and was not imported";
  }
}

TEST(RealWorker, MakesOneImageSetPerSeriesOfAStudy) {
  USE_SHARED(const fs::path shared);
  StoreKit kit(with_real_worker());
  const std::string data_store = kit.make_data_store();
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(shared / "dicom" / "studies")) {
    if (!entry.is_regular_file() || entry.path().extension() != ".dcm") continue;
    if (files.size() == 60) break;
    files[std::to_string(files.size()) + ".dcm"] = content_of(entry.path());
  }
  ASSERT_FALSE(files.empty());

  const json job = kit.import(data_store, "study", files);

  const json manifest = kit.manifest(job);
  EXPECT_GT(manifest["numberOfImportedFiles"].get<int>(), 0);
  std::map<std::string, int> primary_per_series;
  std::string query = "?maxResults=50";
  for (int page = 0; page < 100; ++page) {
    const json found =
        kit.imaging("POST", "/datastore/" + data_store + "/searchImageSets" + query, "{}").json();
    for (const json& set : found["imageSetsMetadataSummaries"]) {
      if (set.value("isPrimary", false)) {
        ++primary_per_series[set["DICOMTags"].value("DICOMSeriesInstanceUID", "")];
      }
    }
    if (!found.contains("nextToken")) break;
    query = "?maxResults=50&nextToken=" + http::percent_encode(found.value("nextToken", ""), false);
  }
  EXPECT_FALSE(primary_per_series.empty());
  for (const auto& [series, count] : primary_per_series) EXPECT_EQ(count, 1) << series;
}

}  // namespace
}  // namespace isthmus
