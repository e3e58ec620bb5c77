// What a client of the Cloud Healthcare face may rely on.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "contract/datastore/store_kit.h"

namespace isthmus {
namespace {

using nlohmann::json;
using test::Answer;
using test::FakeInstance;
using test::StoreKit;

constexpr const char* kLocation = "/v1/projects/p1/locations/l1/datasets";
constexpr const char* kDataset = "projects/p1/locations/l1/datasets/ds1";
constexpr const char* kStore = "projects/p1/locations/l1/datasets/ds1/dicomStores/st1";

datastore::DataStoreOptions with_metadata_server() {
  datastore::DataStoreOptions options;
  options.google_metadata_server = true;
  return options;
}

std::string at(const json& object, const char* pointer) {
  const json::json_pointer where(pointer);
  const json value = object.contains(where) ? object.at(where) : json("-");
  return value.is_string() ? value.get<std::string>() : value.dump();
}

class Healthcare : public ::testing::Test {
 protected:
  explicit Healthcare(datastore::DataStoreOptions options = with_metadata_server())
      : kit(std::move(options)) {
    sign_in();
    kit.s3("PUT", "/in-bucket");
    EXPECT_EQ(call("POST", std::string(kLocation) + "?datasetId=ds1", "{}").status, 200);
    EXPECT_EQ(call("POST", path(kDataset) + "/dicomStores?dicomStoreId=st1", "{}").status, 200);
  }
  void sign_in() {
    const Answer answer =
        kit.raw(kit.request("GET", "/computeMetadata/v1/instance/service-accounts/default/token",
                            "", {{"Metadata-Flavor", "Google"}}));
    token_ = answer.json().value("access_token", "");
  }
  static std::string path(const std::string& name) { return "/v1/" + name; }
  Answer call(const std::string& method, const std::string& target, std::string body = {}) {
    return kit.raw(
        kit.request(method, target, std::move(body), {{"Authorization", "Bearer " + token_}}));
  }
  void put(const std::string& key, const FakeInstance& instance) {
    EXPECT_EQ(kit.s3("PUT", "/in-bucket/" + key, instance.text()).status, 200);
  }
  static FakeInstance instance(const std::string& sop, const std::string& accession = "A1") {
    FakeInstance one;
    one.sop = sop;
    one.accession = accession;
    return one;
  }
  // The operation's name.
  std::string import(const std::string& uri) {
    const Answer answer =
        call("POST", path(kStore) + ":import", json{{"gcsSource", {{"uri", uri}}}}.dump());
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(answer.json().size(), 1U) << "only its name: " << answer.body;
    return answer.json().value("name", "");
  }
  json wait_for(const std::string& operation) {
    kit.store().start();
    json state;
    for (int i = 0; i < 6000; ++i) {
      state = call("GET", path(operation)).json();
      if (state.value("done", false)) return state;
      // Processes are waited for here: real time, and a limit far above what is needed.
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ADD_FAILURE() << "the operation did not end: " << state;
    return state;
  }
  std::string instances() {
    return at(call("GET", path(kStore) + ":getDICOMStoreMetrics").json(), "/instanceCount");
  }
  static std::string refusal(const Answer& answer) {
    return std::to_string(answer.status) + " " + at(answer.json(), "/error/status");
  }
  StoreKit kit;
  std::string token_;
};

TEST_F(Healthcare, KeepsDatasetsAndStores) {
  const json made = call("POST", std::string(kLocation) + "?datasetId=ds2", "{}").json();

  EXPECT_EQ(made.value("done", false), true) << made;
  EXPECT_EQ(at(made, "/response/name"), "projects/p1/locations/l1/datasets/ds2");
  EXPECT_EQ(refusal(call("POST", std::string(kLocation) + "?datasetId=ds2", "{}")),
            "409 ALREADY_EXISTS");
  EXPECT_EQ(refusal(call("POST", std::string(kLocation) + "?datasetId=a%20b", "{}")),
            "400 INVALID_ARGUMENT");
  EXPECT_EQ(refusal(call("POST", path(kDataset) + "/dicomStores?dicomStoreId=st1", "{}")),
            "409 ALREADY_EXISTS");
  const json first = call("GET", std::string(kLocation) + "?pageSize=1").json();
  const json second = call("GET", std::string(kLocation) + "?pageSize=1&pageToken=" +
                                      http::percent_encode(first.value("nextPageToken", ""), false))
                          .json();
  EXPECT_EQ(at(first, "/datasets/0/name"), kDataset);
  EXPECT_EQ(at(second, "/datasets/0/name"), "projects/p1/locations/l1/datasets/ds2");
  kit.open();
  sign_in();
  EXPECT_EQ(at(call("GET", path(kStore)).json(), "/name"), kStore);
  EXPECT_EQ(at(call("GET", path(kDataset) + "/dicomStores").json(), "/dicomStores/0/name"), kStore);
  EXPECT_EQ(call("DELETE", path(kStore)).body, "{}");
  EXPECT_EQ(refusal(call("GET", path(kStore))), "404 NOT_FOUND");
  EXPECT_EQ(call("DELETE", path(kDataset)).body, "{}");
  EXPECT_EQ(refusal(call("GET", path(kDataset))), "404 NOT_FOUND");
}

TEST_F(Healthcare, ImportsWhatThePatternNames) {
  put("in/1.dcm", instance("1.2.3.1.1"));
  put("in/deep/2.dcm", instance("1.2.3.1.2"));
  put("in/3.txt", instance("1.2.3.1.3"));

  const json done = wait_for(import("gs://in-bucket/in/**.dcm"));

  EXPECT_EQ(at(done, "/metadata/@type"),
            "type.googleapis.com/google.cloud.healthcare.v1.OperationMetadata");
  EXPECT_EQ(done["metadata"].value("counter", json()), json({{"success", "2"}})) << done;
  EXPECT_EQ(at(done, "/response/@type"),
            "type.googleapis.com/google.cloud.healthcare.v1.dicom.ImportDicomDataResponse");
  EXPECT_FALSE(done.contains("error"));
  EXPECT_TRUE(done["metadata"].contains("endTime"));
  EXPECT_EQ(instances(), "2");
}

TEST_F(Healthcare, EndsWithAResponseWhenFilesWereRefused) {
  put("in/1.dcm", instance("1.2.3.1.1"));
  kit.s3("PUT", "/in-bucket/in/bad.dcm",
         R"({"ok":false,"exceptionType":"ValidationException","message":"not DICOM"})");

  const std::string operation = import("gs://in-bucket/in/*");
  const json done = wait_for(operation);

  EXPECT_EQ(done["metadata"].value("counter", json()), json({{"success", "1"}, {"failure", "1"}}))
      << done;
  EXPECT_TRUE(done.contains("response"));
  const std::string id = operation.substr(operation.rfind('/') + 1);
  const json log =
      call("POST", "/v2/entries:list",
           json{{"resourceNames", {"projects/p1"}}, {"filter", "operation.id=\"" + id + "\""}}
               .dump())
          .json();
  ASSERT_EQ(log.value("entries", json::array()).size(), 1U) << log;
  EXPECT_EQ(at(log, "/entries/0/jsonPayload/source"), "gs://in-bucket/in/bad.dcm");
  EXPECT_EQ(at(log, "/entries/0/jsonPayload/error/code"), "3");
  EXPECT_EQ(at(log, "/entries/0/resource/labels/dicom_store_id"), "st1");
  EXPECT_EQ(at(log, "/entries/0/operation/id"), id);
}

TEST_F(Healthcare, IgnoresDuplicatesAndKeepsTheFirst) {
  put("one/a.dcm", instance("1.2.3.1.1", "FIRST"));
  put("two/a.dcm", instance("1.2.3.1.1", "SECOND"));
  put("two/b.dcm", instance("1.2.3.1.2", "SECOND"));
  put("two/c.dcm", instance("1.2.3.1.2", "THIRD"));
  wait_for(import("gs://in-bucket/one/*"));

  const json done = wait_for(import("gs://in-bucket/two/*"));

  EXPECT_EQ(done["metadata"].value("counter", json()), json({{"success", "3"}})) << done;
  EXPECT_EQ(instances(), "2");
  // Whatever else their files say, a series is one.
  const json metrics = call("GET", path(kStore) + "/dicomWeb/studies/1.2.3:getStudyMetrics").json();
  EXPECT_EQ(at(metrics, "/seriesCount"), "1");
  EXPECT_EQ(at(metrics, "/instanceCount"), "2");
  const json series =
      call("GET", path(kStore) + "/dicomWeb/studies/1.2.3/series/1.2.3.1:getSeriesMetrics").json();
  EXPECT_EQ(at(series, "/instanceCount"), "2");
  EXPECT_EQ(refusal(call("GET", path(kStore) + "/dicomWeb/studies/9.9:getStudyMetrics")),
            "404 NOT_FOUND");
}

TEST_F(Healthcare, RefusesWhatCannotBeImported) {
  const auto refused = [&](const std::string& body) {
    return refusal(call("POST", path(kStore) + ":import", body));
  };
  EXPECT_EQ(refused(R"({"gcsSource":{"uri":"gs://b/*/**"}})"), "400 INVALID_ARGUMENT");
  EXPECT_EQ(refused("{}"), "400 INVALID_ARGUMENT");
  EXPECT_EQ(refused("no json"), "400 INVALID_ARGUMENT");
  EXPECT_EQ(refused(R"({"gcs_source":{"uri":"gs://b/x"},"blobStorageSettings":)"
                    R"({"blobStorageClass":"ICE"}})"),
            "400 INVALID_ARGUMENT");
  EXPECT_EQ(refusal(call("POST", path(kDataset) + "/dicomStores/none:import",
                         R"({"gcsSource":{"uri":"gs://b/x"}})")),
            "404 NOT_FOUND");
  EXPECT_EQ(at(wait_for(import("gs://in-bucket/none.dcm")), "/error/code"), "5");
  const json nothing = wait_for(import("gs://in-bucket/none/*"));
  EXPECT_TRUE(nothing.contains("response")) << nothing;
  EXPECT_EQ(nothing["metadata"].value("counter", json()), json::object());
}

TEST_F(Healthcare, CancelsBeforeAnythingIsDone) {
  put("in/1.dcm", instance("1.2.3.1.1"));
  const std::string operation = import("gs://in-bucket/in/*");
  EXPECT_FALSE(call("GET", path(operation)).json().contains("done"));

  EXPECT_EQ(call("POST", path(operation) + ":cancel", "").body, "{}");
  const json done = wait_for(operation);

  EXPECT_EQ(at(done, "/error/code"), "1") << done;
  EXPECT_EQ(at(done, "/metadata/cancelRequested"), "true");
  EXPECT_FALSE(done.contains("response"));
  EXPECT_EQ(instances(), "0");
}

TEST_F(Healthcare, GoesOnAfterARestart) {
  put("in/1.dcm", instance("1.2.3.1.1"));
  const std::string operation = import("gs://in-bucket/in/*");
  kit.open();
  sign_in();

  const json done = wait_for(operation);

  EXPECT_EQ(done["metadata"].value("counter", json()), json({{"success", "1"}})) << done;
  EXPECT_EQ(instances(), "1");
}

TEST_F(Healthcare, ListsOperations) {
  put("in/1.dcm", instance("1.2.3.1.1"));
  const std::string waiting = import("gs://in-bucket/in/*");
  const auto list = [&](const std::string& query) {
    return call("GET", path(kDataset) + "/operations?" + query).json();
  };

  EXPECT_EQ(list("").value("operations", json::array()).size(), 2U) << "one made the dataset";
  EXPECT_EQ(at(list("filter=done%3Dfalse"), "/operations/0/name"), waiting);
  const json first = list("pageSize=1");
  EXPECT_EQ(at(first, "/operations/0/done"), "true");
  EXPECT_EQ(at(list("pageSize=1&pageToken=" +
                    http::percent_encode(first.value("nextPageToken", ""), false)),
               "/operations/0/name"),
            waiting);
  EXPECT_EQ(refusal(call("GET", path(kDataset) + "/operations/12")), "404 NOT_FOUND");
  EXPECT_EQ(refusal(call("GET", path(kDataset) + "/operations?returnPartialSuccess=true")),
            "501 UNIMPLEMENTED");
  EXPECT_EQ(at(call("GET", "/v1beta1/" + waiting).json(), "/metadata/@type"),
            "type.googleapis.com/google.cloud.healthcare.v1beta1.OperationMetadata");
}

TEST_F(Healthcare, FreesWhatADeletedStoreHeld) {
  put("in/1.dcm", instance("1.2.3.1.1"));
  wait_for(import("gs://in-bucket/in/*"));
  kit.s3("DELETE", "/in-bucket/in/1.dcm");
  const auto blobs = [&] {
    std::size_t count = 0;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(kit.env().folder() / "store" / "blobs")) {
      count += entry.is_regular_file() ? 1U : 0U;
    }
    return count;
  };
  EXPECT_EQ(blobs(), 1U);
  EXPECT_GT(kit.names_kept(), 0);

  EXPECT_EQ(call("DELETE", path(kDataset)).status, 200);

  EXPECT_EQ(blobs(), 0U);
  EXPECT_EQ(kit.names_kept(), 0);
}

class GoogleDicomWeb : public Healthcare {
 protected:
  using Healthcare::Healthcare;
  Answer stow(const std::vector<std::string>& files, const std::string& accept = "*/*",
              const std::string& below = "/studies") {
    std::string body;
    for (const std::string& file : files) {
      body += "--BB\r\nContent-Type: application/dicom\r\n\r\n" + file + "\r\n";
    }
    http::Request request =
        kit.request("POST", path(kStore) + "/dicomWeb" + below, body + "--BB--\r\n",
                    {{"Authorization", "Bearer " + token_},
                     {"Content-Type", "multipart/related; type=\"application/dicom\"; boundary=BB"},
                     {"Accept", accept}});
    kit.store().start();
    return kit.raw(std::move(request));
  }
};

TEST_F(GoogleDicomWeb, StoresAndAnswersInXml) {
  const Answer stored = stow({instance("1.2.3.1.1").text(), instance("1.2.3.1.2").text()});

  EXPECT_EQ(stored.status, 200) << stored.body;
  EXPECT_EQ(stored.headers.get("Content-Type"), "application/dicom+xml");
  EXPECT_NE(stored.body.find("keyword=\"RetrieveURL\"><Value number=\"1\">http://store.test/v1/" +
                             std::string(kStore) + "/dicomWeb/studies/1.2.3</Value>"),
            std::string::npos)
      << stored.body;
  EXPECT_EQ(instances(), "2");
}

datastore::DataStoreOptions with_small_bodies() {
  datastore::DataStoreOptions options = with_metadata_server();
  options.max_google_store_bytes = 8 * KiB;
  return options;
}

class SmallGoogleDicomWeb : public GoogleDicomWeb {
 protected:
  SmallGoogleDicomWeb() : GoogleDicomWeb(with_small_bodies()) {}
};

TEST_F(SmallGoogleDicomWeb, TakesNoLargerBodyThanIsSet) {
  const std::string file = instance("1.2.3.1.1").text();
  ASSERT_LT(file.size(), 4 * KiB);

  EXPECT_EQ(refusal(stow({std::string(8 * KiB, 'x')})), "413 PAYLOAD_TOO_LARGE");
  EXPECT_EQ(stow({file}).status, 200);
  EXPECT_EQ(instances(), "1");
}

TEST_F(GoogleDicomWeb, ExaminesAFileOnce) {
  const std::filesystem::path log = kit.env().folder() / "examined";
  ASSERT_EQ(setenv("FAKE_WORKER_LOG", log.c_str(), 1), 0);

  const Answer stored = stow({instance("1.2.3.1.1").text(), instance("1.2.3.1.2").text()});

  unsetenv("FAKE_WORKER_LOG");
  EXPECT_EQ(stored.status, 200) << stored.body;
  std::ifstream lines(log);
  EXPECT_EQ(std::count(std::istreambuf_iterator<char>(lines), {}, '\n'), 2);
  EXPECT_EQ(instances(), "2");
}

TEST_F(GoogleDicomWeb, RefusesOtherBytesOfWhatIsThere) {
  stow({instance("1.2.3.1.1").text()});

  const Answer same = stow({instance("1.2.3.1.1").text()});
  const Answer mixed = stow({instance("1.2.3.1.1", "OTHER").text(), instance("1.2.3.1.2").text()});
  const Answer as_json = stow({instance("1.2.3.1.1", "OTHER").text()}, "application/dicom+json");

  EXPECT_EQ(same.status, 200) << same.body;
  EXPECT_EQ(mixed.status, 409) << "there is no 202";
  EXPECT_NE(mixed.body.find("<DicomAttribute tag=\"00090097\" vr=\"LT\" keyword=\"FailureDetail\""
                            " privateCreator=\"GOOGLE\"><Value number=\"1\">already exists"),
            std::string::npos)
      << mixed.body;
  EXPECT_NE(mixed.body.find("1.2.3.1.2"), std::string::npos);
  EXPECT_EQ(as_json.status, 409);
  EXPECT_EQ(at(as_json.json(), "/00081198/Value/0/00081197/Value/0"), "272") << as_json.body;
  EXPECT_EQ(at(as_json.json(), "/00081198/Value/0/00091097/Value/0"), "already exists");
  EXPECT_EQ(instances(), "2");
}

TEST_F(GoogleDicomWeb, KeepsTheFirstOfTwoInOneRequest) {
  const Answer both = stow({instance("1.2.3.1.1").text(), instance("1.2.3.1.1", "OTHER").text()});

  EXPECT_EQ(both.status, 409) << both.body;
  EXPECT_EQ(instances(), "1");
}

TEST_F(GoogleDicomWeb, SearchesAndRetrieves) {
  put("in/1.dcm", instance("1.2.3.1.1"));
  wait_for(import("gs://in-bucket/in/*"));
  const std::string web = path(kStore) + "/dicomWeb";

  const json studies = call("GET", web + "/studies?PatientName=DOE*").json();
  const Answer file = call("GET", web + "/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1");
  const Answer metadata = call("GET", web + "/studies/1.2.3/metadata");

  EXPECT_EQ(at(studies, "/0/0020000D/Value/0"), "1.2.3") << studies;
  EXPECT_EQ(at(studies, "/0/00081190/Value/0"),
            "http://store.test/v1/" + std::string(kStore) + "/dicomWeb/studies/1.2.3");
  EXPECT_EQ(file.status, 200) << file.body;
  EXPECT_NE(file.body.find(instance("1.2.3.1.1").text()), std::string::npos);
  // The fake worker's dictionary knows no tags; the values are there.
  EXPECT_NE(metadata.body.find("1.2.3.1.1"), std::string::npos) << metadata.body;
  EXPECT_EQ(refusal(call("GET", web + "/studies/9.9/metadata")), "404 NOT_FOUND");
  EXPECT_EQ(refusal(call("GET", web + "/studies?limit=5001")), "400 INVALID_ARGUMENT");
  EXPECT_EQ(call("GET", web + "/instances?limit=50000").status, 200);
  token_ = "nobody";
  EXPECT_EQ(refusal(call("GET", web + "/studies")), "401 UNAUTHENTICATED");
  EXPECT_EQ(stow({instance("1.2.3.1.1").text()}).status, 401);
}

TEST_F(GoogleDicomWeb, AnswersInXmlWhereItIsLiked) {
  put("in/1.dcm", instance("1.2.3.1.1"));
  put("in/2.dcm", instance("1.2.3.1.2"));
  wait_for(import("gs://in-bucket/in/*"));
  const auto get = [&](const std::string& below, const std::string& accept) {
    return kit.raw(kit.request("GET", path(kStore) + "/dicomWeb" + below, "",
                               {{"Authorization", "Bearer " + token_}, {"Accept", accept}}));
  };
  const std::string xml = "multipart/related; type=\"application/dicom+xml\"";

  const Answer studies = get("/studies", xml);
  const Answer instances = get("/studies/1.2.3/instances", xml + ", application/dicom+json;q=0.5");

  EXPECT_TRUE(studies.headers.get("Content-Type").starts_with(xml));
  EXPECT_NE(studies.body.find("<DicomAttribute tag=\"00100010\" vr=\"PN\" keyword=\"PatientName\">"
                              "<PersonName number=\"1\"><Alphabetic><FamilyName>DOE</FamilyName>"
                              "<GivenName>JANE</GivenName></Alphabetic></PersonName>"),
            std::string::npos)
      << studies.body;
  std::size_t models = 0;
  for (std::size_t at = 0;
       (at = instances.body.find("<NativeDicomModel>", at)) != std::string::npos; ++at) {
    ++models;
  }
  EXPECT_EQ(models, 2U) << "a part for each";
  EXPECT_TRUE(get("/studies/1.2.3/metadata", xml).headers.get("Content-Type").starts_with(xml));
  EXPECT_EQ(get("/studies", xml + ";q=0.1, application/dicom+json").headers.get("Content-Type"),
            "application/dicom+json");
  EXPECT_EQ(get("/studies", "application/dicom+xml").status, 406);
}

TEST_F(GoogleDicomWeb, DeletesInstancesAtOnceAndTheRestByAnOperation) {
  for (const char* sop : {"1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"}) {
    put("in/" + std::string(sop), instance(sop));
  }
  FakeInstance other = instance("1.2.3.2.1");
  other.series = "1.2.3.2";
  put("in/other", other);
  wait_for(import("gs://in-bucket/in/*"));
  const std::string study = path(kStore) + "/dicomWeb/studies/1.2.3";

  const Answer one = call("DELETE", study + "/series/1.2.3.1/instances/1.2.3.1.2");

  EXPECT_EQ(std::to_string(one.status) + one.body, "200{}");
  EXPECT_EQ(instances(), "3");
  EXPECT_EQ(call("GET", study + "/series/1.2.3.1/instances/1.2.3.1.2").status, 404);
  EXPECT_EQ(at(call("GET", study + "/series").json(), "/0/00201209/Value/0"), "2");
  EXPECT_EQ(refusal(call("DELETE", study + "/series/1.2.3.1/instances/1.2.3.1.2")),
            "404 NOT_FOUND");

  const json series = call("DELETE", study + "/series/1.2.3.1").json();

  EXPECT_EQ(at(series, "/done"), "true") << series;
  EXPECT_EQ(at(series, "/response/@type"), "type.googleapis.com/google.protobuf.Empty");
  EXPECT_EQ(at(call("GET", path(at(series, "/name"))).json(), "/done"), "true");
  EXPECT_EQ(instances(), "1");

  EXPECT_EQ(at(call("DELETE", study).json(), "/done"), "true");
  EXPECT_EQ(call("GET", path(kStore) + "/dicomWeb/studies").json().size(), 0U);
  EXPECT_EQ(refusal(call("DELETE", study)), "404 NOT_FOUND");
  EXPECT_EQ(kit.names_kept(), 0);
  token_ = "nobody";
  EXPECT_EQ(refusal(call("DELETE", study)), "401 UNAUTHENTICATED");
}

TEST_F(GoogleDicomWeb, WhatWasDeletedCanBeStoredAgainAndItsSpaceIsFree) {
  const auto blobs = [&] {
    std::size_t count = 0;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(kit.env().folder() / "store" / "blobs")) {
      count += entry.is_regular_file() ? 1U : 0U;
    }
    return count;
  };
  const std::string study = path(kStore) + "/dicomWeb/studies/1.2.3";
  stow({instance("1.2.3.1.1").text(), instance("1.2.3.1.2").text()});
  EXPECT_EQ(blobs(), 2U);

  call("DELETE", study + "/series/1.2.3.1/instances/1.2.3.1.1");
  EXPECT_EQ(blobs(), 1U);
  call("DELETE", study);
  EXPECT_EQ(blobs(), 0U);

  EXPECT_EQ(stow({instance("1.2.3.1.1", "OTHER").text()}).status, 200);
  EXPECT_EQ(instances(), "1");
}

TEST_F(Healthcare, TakesNobodyWithoutAToken) {
  const Answer answer = kit.raw(kit.request("GET", path(kStore), ""));

  EXPECT_EQ(refusal(answer), "401 UNAUTHENTICATED");
}

}  // namespace
}  // namespace isthmus
