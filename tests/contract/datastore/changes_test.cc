// Changes of image sets as a client sees them: updates, copies, deletions, tags. Answers and
// states: contracts/healthimaging/README.md sections 2 and 5.
#include <filesystem>
#include <sstream>

#include "base/failpoint.h"
#include "contract/datastore/gunzip.h"
#include "contract/datastore/store_kit.h"

namespace isthmus {
namespace {

using nlohmann::json;
using test::Answer;
using test::FakeInstance;
using test::StoreKit;

namespace hi = wire::healthimaging;
namespace fs = std::filesystem;

std::string error_type(const Answer& answer) {
  const hi::ErrorBody error = hi::read_error(answer.headers.get("x-amzn-ErrorType"), answer.body);
  return std::to_string(answer.status) + " " + error.type;
}

class Changes : public ::testing::Test {
 protected:
  explicit Changes(datastore::DataStoreOptions options = {}) : kit(std::move(options)) {
    data_store = kit.make_data_store();
  }
  ~Changes() override { disarm_failpoints(); }

  FakeInstance instance(const std::string& sop, const std::string& series = "1.2.3.1") {
    FakeInstance made;
    made.sop = sop;
    made.series = series;
    return made;
  }
  // Imports the instances as one set and gives its id.
  std::string import_set(const std::vector<FakeInstance>& instances) {
    std::map<std::string, std::string> files;
    for (const FakeInstance& one : instances) files[one.sop] = one.text();
    const json job = kit.import(data_store, "p" + std::to_string(++imports_), files);
    EXPECT_EQ(job["jobStatus"], "COMPLETED") << job;
    return kit.manifest(job)["imageSetsSummary"][0].value("imageSetId", "");
  }
  std::string import_two() { return import_set({instance("1.2.3.1.1"), instance("1.2.3.1.2")}); }

  hi::UpdateImageSetMetadataRequest update_of(const std::string& id, const std::string& version,
                                              const json& updatable) {
    hi::UpdateImageSetMetadataRequest request;
    request.datastore_id = data_store;
    request.image_set_id = id;
    request.latest_version_id = version;
    request.updates = hi::DicomUpdates{std::nullopt, updatable.dump()};
    return request;
  }
  hi::UpdateImageSetMetadataRequest removal_of(const std::string& id, const std::string& version,
                                               const json& removable) {
    hi::UpdateImageSetMetadataRequest request = update_of(id, version, {});
    request.updates = hi::DicomUpdates{removable.dump(), std::nullopt};
    return request;
  }
  static json patient(const json& elements) {
    return {{"SchemaVersion", 1.1}, {"Patient", {{"DICOM", elements}}}};
  }
  static json study(const json& elements) {
    return {{"SchemaVersion", "1.1"}, {"Study", {{"DICOM", elements}}}};
  }
  static json series(const json& elements, const std::string& uid = "1.2.3.1") {
    return {{"SchemaVersion", 1.1}, {"Study", {{"Series", {{uid, {{"DICOM", elements}}}}}}}};
  }
  static json one(const std::string& sop, const json& content) {
    return {{"SchemaVersion", 1.1},
            {"Study", {{"Series", {{"1.2.3.1", {{"Instances", {{sop, content}}}}}}}}}};
  }

  json properties(const std::string& id, std::optional<std::string> version = std::nullopt) {
    return kit.imaging(hi::to_call(hi::GetImageSetRequest{data_store, id, version})).json();
  }
  // Waits until the set is not LOCKED any more.
  json settled(const std::string& id) {
    kit.store().start();
    json now;
    for (int i = 0; i < 3000; ++i) {
      now = properties(id);
      if (now.value("imageSetState", "") != "LOCKED") return now;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ADD_FAILURE() << "still locked: " << now;
    return now;
  }
  // Asks for the change, and waits for its end.
  json changed(const hi::UpdateImageSetMetadataRequest& request) {
    const Answer answer = kit.imaging(hi::to_call(request));
    EXPECT_EQ(answer.status, 200) << answer.body;
    return settled(request.image_set_id);
  }
  json document(const std::string& id, std::optional<std::string> version = std::nullopt) {
    const Answer answer =
        kit.imaging(hi::to_call(hi::GetImageSetMetadataRequest{data_store, id, version}));
    EXPECT_EQ(answer.status, 200) << answer.body;
    return json::parse(test::gunzip(answer.body), nullptr, false);
  }
  json instances(const std::string& id, std::optional<std::string> version = std::nullopt) {
    return document(id, version)["Study"]["Series"].front()["Instances"];
  }
  json search(const std::string& criteria = "{}") {
    return kit.imaging("POST", "/datastore/" + data_store + "/searchImageSets", criteria)
        .json()["imageSetsMetadataSummaries"];
  }
  std::string refused(const hi::UpdateImageSetMetadataRequest& request) {
    return error_type(kit.imaging(hi::to_call(request)));
  }
  std::string copy_error(const hi::CopyImageSetRequest& request) {
    return error_type(kit.imaging(hi::to_call(request)));
  }
  hi::CopyImageSetRequest copy_of(const std::string& source, const std::string& version = "1") {
    hi::CopyImageSetRequest request;
    request.datastore_id = data_store;
    request.source_image_set_id = source;
    request.source_latest_version_id = version;
    return request;
  }
  std::string copied(const hi::CopyImageSetRequest& request) {
    const Answer answer = kit.imaging(hi::to_call(request));
    EXPECT_EQ(answer.status, 200) << answer.body;
    const std::string id = answer.json()["destinationImageSetProperties"].value("imageSetId", "");
    settled(id);
    return id;
  }
  std::size_t blobs() {
    std::size_t files = 0;
    for (const auto& entry :
         fs::recursive_directory_iterator(kit.env().folder() / "store" / "blobs")) {
      files += entry.is_regular_file() ? 1 : 0;
    }
    return files;
  }

  StoreKit kit;
  std::string data_store;
  int imports_ = 0;
};

TEST_F(Changes, AreAcceptedLockedAndDoneLater) {
  const std::string id = import_two();
  kit.store().stop();

  const Answer accepted =
      kit.imaging(hi::to_call(update_of(id, "1", patient({{"PatientName", "MX^MX"}}))));

  const json answer = accepted.json();
  EXPECT_EQ(accepted.status, 200) << accepted.body;
  EXPECT_EQ(answer["latestVersionId"], "2");
  EXPECT_EQ(answer["imageSetState"], "LOCKED");
  EXPECT_EQ(answer["imageSetWorkflowStatus"], "UPDATING");
  EXPECT_EQ(properties(id)["imageSetState"], "LOCKED");
  EXPECT_EQ(properties(id, "1")["imageSetState"], "ACTIVE");
  EXPECT_EQ(document(id)["Patient"]["DICOM"]["PatientName"], "DOE^JANE");
  EXPECT_EQ(
      error_type(kit.imaging(hi::to_call(hi::GetImageSetMetadataRequest{data_store, id, "2"}))),
      "409 ConflictException");

  const json done = settled(id);

  EXPECT_EQ(done["imageSetState"], "ACTIVE");
  EXPECT_EQ(done["imageSetWorkflowStatus"], "UPDATED");
  EXPECT_EQ(done["versionId"], "2");
  EXPECT_EQ(document(id)["Patient"]["DICOM"]["PatientName"], "MX^MX");
  EXPECT_EQ(document(id)["Patient"]["DICOM"]["PatientID"], "P1");
  EXPECT_EQ(document(id, "1")["Patient"]["DICOM"]["PatientName"], "DOE^JANE");
}

TEST_F(Changes, RefuseALockedSet) {
  const std::string id = import_two();
  kit.store().stop();
  kit.imaging(hi::to_call(update_of(id, "1", patient({{"PatientName", "A"}}))));

  EXPECT_EQ(refused(update_of(id, "2", patient({{"PatientName", "B"}}))), "409 ConflictException");
  EXPECT_EQ(copy_error(copy_of(id, "2")), "409 ConflictException");
  EXPECT_EQ(error_type(kit.imaging(hi::to_call(hi::DeleteImageSetRequest{data_store, id}))),
            "409 ConflictException");
}

// Type and text: contracts/healthimaging/README.md section 5.
TEST_F(Changes, RefuseAVersionThatIsNotTheLatest) {
  const std::string id = import_two();
  changed(update_of(id, "1", patient({{"PatientName", "A"}})));

  const Answer stale =
      kit.imaging(hi::to_call(update_of(id, "1", patient({{"PatientName", "B"}}))));

  EXPECT_EQ(error_type(stale), "404 ResourceNotFoundException");
  EXPECT_EQ(stale.json()["message"], "Requested version(s) of ImageSet(s) is not the latest.");
  EXPECT_EQ(copy_error(copy_of(id, "1")), "404 ResourceNotFoundException");
}

TEST_F(Changes, OfAnInstanceAreFoundBySearching) {
  const std::string id = import_two();
  const std::string instances = "/datastore/" + data_store + "/instances?InstanceNumber=";

  changed(update_of(id, "1", one("1.2.3.1.1", {{"DICOM", {{"InstanceNumber", "7"}}}})));

  const Answer found = kit.imaging("GET", instances + "7");
  EXPECT_EQ(found.status, 200) << found.body;
  ASSERT_EQ(found.json().size(), 1U) << found.body;
  EXPECT_EQ(found.json()[0]["00080018"]["Value"][0], "1.2.3.1.1");
  EXPECT_EQ(found.json()[0]["00083002"]["vr"], "UI");
}

TEST_F(Changes, ReplaceInsertAndRemoveAtEveryLevel) {
  const std::string id = import_two();

  changed(update_of(id, "1", study({{"StudyDescription", "CHEST"}})));
  changed(update_of(id, "2", series({{"SeriesDescription", "thin"}})));
  changed(update_of(id, "3", one("1.2.3.1.1", {{"DICOM", {{"InstanceNumber", "7"}}}})));
  changed(removal_of(id, "4", study({{"StudyDescription", "CHEST"}})));

  const json now = document(id);
  EXPECT_FALSE(now["Study"]["DICOM"].contains("StudyDescription"));
  EXPECT_EQ(document(id, "4")["Study"]["DICOM"]["StudyDescription"], "CHEST");
  EXPECT_EQ(now["Study"]["Series"]["1.2.3.1"]["DICOM"]["SeriesDescription"], "thin");
  EXPECT_EQ(instances(id)["1.2.3.1.1"]["DICOM"]["InstanceNumber"], "7");
  EXPECT_FALSE(instances(id)["1.2.3.1.2"]["DICOM"].contains("InstanceNumber"));
  EXPECT_EQ(instances(id).size(), 2U);
}

TEST_F(Changes, FailWhenTheValueToRemoveIsAnother) {
  const std::string id = import_two();

  const json failed = changed(removal_of(id, "1", patient({{"PatientName", "SOMEBODY"}})));

  EXPECT_EQ(failed["imageSetState"], "ACTIVE");
  EXPECT_EQ(failed["imageSetWorkflowStatus"], "UPDATE_FAILED");
  EXPECT_EQ(failed["versionId"], "2");
  EXPECT_TRUE(failed.value("message", "").starts_with("INVALID_REQUEST: ")) << failed;
  EXPECT_EQ(document(id)["Patient"]["DICOM"]["PatientName"], "DOE^JANE");
  // The number is used up; the next change makes the one after it.
  EXPECT_EQ(changed(update_of(id, "2", patient({{"PatientName", "A"}})))["versionId"], "3");
  const json versions =
      kit.imaging(hi::to_call(hi::ListImageSetVersionsRequest{data_store, id, {}, {}}))
          .json()["imageSetPropertiesList"];
  ASSERT_EQ(versions.size(), 3U);
  EXPECT_EQ(versions[0]["ImageSetWorkflowStatus"], "UPDATED");
  EXPECT_EQ(versions[1]["ImageSetWorkflowStatus"], "UPDATE_FAILED");
  EXPECT_TRUE(versions[1].contains("message"));
  EXPECT_EQ(versions[2]["ImageSetWorkflowStatus"], "CREATED");
}

TEST_F(Changes, FailForSeriesAndInstancesThatAreNotThere) {
  const std::string id = import_two();

  EXPECT_EQ(changed(update_of(
                id, "1", series({{"SeriesDescription", "x"}}, "9.9")))["imageSetWorkflowStatus"],
            "UPDATE_FAILED");
  EXPECT_EQ(
      changed(update_of(
          id, "2", one("9.9", {{"DICOM", {{"InstanceNumber", "1"}}}})))["imageSetWorkflowStatus"],
      "UPDATE_FAILED");
}

TEST_F(Changes, TakePrivateElementsByForceAndWithTheirVr) {
  const std::string id = import_two();
  const json content = {{"DICOM", {{"001910F9", "97"}}}, {"DICOMVRs", {{"001910F9", "DS"}}}};
  EXPECT_EQ(refused(update_of(id, "1", one("1.2.3.1.1", content))), "400 ValidationException");
  auto without_vr = update_of(id, "1", one("1.2.3.1.1", {{"DICOM", {{"001910F9", "97"}}}}));
  without_vr.force = true;
  EXPECT_EQ(changed(without_vr)["imageSetWorkflowStatus"], "UPDATE_FAILED");
  auto with_vr = update_of(id, "2", one("1.2.3.1.1", content));
  with_vr.force = true;
  auto existing = update_of(id, "3", one("1.2.3.1.1", {{"DICOM", {{"00191001", "other"}}}}));
  existing.force = true;
  auto away = removal_of(id, "4", one("1.2.3.1.1", {{"DICOM", {{"001910F9", "97"}}}}));
  away.force = true;

  const json forced = changed(with_vr);
  EXPECT_EQ(instances(id)["1.2.3.1.1"]["DICOM"]["001910F9"], "97");
  EXPECT_EQ(instances(id)["1.2.3.1.1"]["DICOMVRs"]["001910F9"], "DS");
  EXPECT_EQ(forced["overrides"]["forced"], true);
  changed(existing);
  changed(away);

  EXPECT_EQ(instances(id)["1.2.3.1.1"]["DICOM"]["00191001"], "other");
  EXPECT_FALSE(instances(id)["1.2.3.1.1"]["DICOM"].contains("001910F9"));
  EXPECT_FALSE(instances(id)["1.2.3.1.1"]["DICOMVRs"].contains("001910F9"));
}

TEST_F(Changes, RemoveInstancesByForceButNotTheLast) {
  const std::string id = import_two();
  auto removal = removal_of(id, "1", one("1.2.3.1.1", json::object()));
  EXPECT_EQ(refused(removal), "400 ValidationException");
  removal.force = true;

  EXPECT_EQ(changed(removal)["imageSetWorkflowStatus"], "UPDATED");

  EXPECT_EQ(instances(id).size(), 1U);
  EXPECT_EQ(instances(id, "1").size(), 2U);
  EXPECT_EQ(search()[0]["DICOMTags"]["DICOMNumberOfStudyRelatedInstances"], 1);
  auto last = removal_of(id, "2", one("1.2.3.1.2", json::object()));
  last.force = true;
  EXPECT_EQ(changed(last)["imageSetWorkflowStatus"], "UPDATE_FAILED");
  EXPECT_EQ(instances(id).size(), 1U);
}

// The developer guide's page "DICOM metadata constraints".
TEST_F(Changes, HoldTheConstraintsOfTheGuide) {
  const std::string id = import_two();
  const auto refused_with = [&](const json& updatable) {
    return refused(update_of(id, "1", updatable));
  };
  const std::string validation = "400 ValidationException";

  EXPECT_EQ(refused_with(patient({{"StudyDescription", "wrong level"}})), validation);
  EXPECT_EQ(refused_with(study({{"StudyID", "forced only"}})), validation);
  EXPECT_EQ(refused_with(study({{"StudyInstanceUID", "1.2.9"}})), validation);
  EXPECT_EQ(refused_with(study({{"StudyDate", "yesterday"}})), validation);
  EXPECT_EQ(refused_with(study({{"NoSuchKeyword", "x"}})), validation);
  EXPECT_EQ(refused_with(one("1.2.3.1.1", {{"DICOM", {{"PixelData", "AAAA"}}}})), validation);
  EXPECT_EQ(refused_with(one("1.2.3.1.1", {{"DICOM", {{"ImageType", {"A", "B"}}}}})), validation);
  EXPECT_EQ(refused_with(one("1.2.3.1.1", {{"DICOM", {{"SourceImageSequence", json::array()}}}})),
            validation);
  EXPECT_EQ(refused_with({{"SchemaVersion", 2}, {"Patient", {{"DICOM", json::object()}}}}),
            validation);
  EXPECT_EQ(refused_with({{"SchemaVersion", 1.1}, {"ImageSetID", id}}), validation);
  EXPECT_EQ(refused_with(json::array()), validation);
  EXPECT_EQ(properties(id)["versionId"], "1") << "nothing was accepted";
}

TEST_F(Changes, OfUidsAreForcedAndNeverOnAPrimarySet) {
  const std::string primary = import_two();
  FakeInstance other = instance("1.2.3.1.1");
  other.patient_id = "P2";
  const std::string id = import_set({other});
  auto of_primary = update_of(primary, "1", series({{"SeriesInstanceUID", "1.2.3.8"}}));
  of_primary.force = true;
  EXPECT_EQ(refused(of_primary), "400 ValidationException");
  auto request = update_of(id, "1", series({{"SeriesInstanceUID", "1.2.3.9"}}));
  request.force = true;
  auto sop = update_of(
      id, "2",
      {{"SchemaVersion", 1.1},
       {"Study",
        {{"Series",
          {{"1.2.3.9",
            {{"Instances", {{"1.2.3.1.1", {{"DICOM", {{"SOPInstanceUID", "1.2.3.9.1"}}}}}}}}}}}}}});
  sop.force = true;

  EXPECT_EQ(changed(request)["imageSetWorkflowStatus"], "UPDATED");
  EXPECT_EQ(changed(sop)["imageSetWorkflowStatus"], "UPDATED");

  EXPECT_TRUE(document(id)["Study"]["Series"].contains("1.2.3.9"));
  EXPECT_TRUE(instances(id).contains("1.2.3.9.1"));
  EXPECT_EQ(search(R"({"filters":[{"operator":"EQUAL","values":[{"DICOMSeriesInstanceUID":)"
                   R"("1.2.3.9"}]}]})")
                .size(),
            1U);
}

TEST_F(Changes, FeedSearchAndWhereImportsGo) {
  const std::string id = import_two();

  changed(update_of(id, "1", patient({{"PatientID", "P7"}})));

  const std::string criteria =
      R"({"filters":[{"operator":"EQUAL","values":[{"DICOMPatientId":"P7"}]}]})";
  ASSERT_EQ(search(criteria).size(), 1U);
  EXPECT_EQ(search(criteria)[0]["DICOMTags"]["DICOMPatientId"], "P7");
  EXPECT_EQ(search(criteria)[0]["version"], 2);
  // As the patient is known now: into the same set. As before: a conflict.
  FakeInstance as_now = instance("1.2.3.1.3");
  as_now.patient_id = "P7";
  EXPECT_EQ(import_set({as_now}), id);
  EXPECT_EQ(properties(id)["versionId"], "3");
  EXPECT_EQ(document(id)["Patient"]["DICOM"]["PatientID"], "P7");
  const std::string other = import_set({instance("1.2.3.1.4")});
  EXPECT_NE(other, id);
  EXPECT_EQ(properties(other)["isPrimary"], false);
}

TEST_F(Changes, OfAStudyAreMadeInAllItsPrimarySetsOrNone) {
  const std::string first = import_two();
  const std::string second = import_set({instance("1.2.3.2.1", "1.2.3.2")});
  FakeInstance stranger = instance("1.2.3.2.1", "1.2.3.2");
  stranger.patient_id = "P2";
  const std::string aside = import_set({stranger});
  auto request = update_of(first, "1", study({{"StudyDescription", "CHEST"}}));
  request.include_study_image_sets = true;
  kit.store().stop();

  ASSERT_EQ(kit.imaging(hi::to_call(request)).status, 200);

  EXPECT_EQ(properties(second)["imageSetWorkflowStatus"], "UPDATING_FOR_STUDY_CONSISTENCY");
  settled(first);
  EXPECT_EQ(document(first)["Study"]["DICOM"]["StudyDescription"], "CHEST");
  EXPECT_EQ(document(second)["Study"]["DICOM"]["StudyDescription"], "CHEST");
  EXPECT_EQ(properties(second)["imageSetWorkflowStatus"], "UPDATED");
  EXPECT_EQ(properties(aside)["versionId"], "1");
  // One of them has no such value: none changes.
  changed(update_of(second, "2", study({{"StudyDescription", "HEAD"}})));
  auto removal = removal_of(first, "2", study({{"StudyDescription", "CHEST"}}));
  removal.include_study_image_sets = true;
  EXPECT_EQ(changed(removal)["imageSetWorkflowStatus"], "UPDATE_FAILED");
  EXPECT_EQ(document(first)["Study"]["DICOM"]["StudyDescription"], "CHEST");
  auto revert = removal;
  revert.updates.reset();
  revert.revert_to_version_id = "1";
  revert.latest_version_id = "3";
  EXPECT_EQ(refused(revert), "400 ValidationException");
}

TEST_F(Changes, GoBackToAnEarlierVersion) {
  const std::string id = import_two();
  auto removal = removal_of(id, "1", one("1.2.3.1.1", json::object()));
  removal.force = true;
  changed(removal);
  changed(update_of(id, "2", patient({{"PatientID", "P7"}})));
  import_set({[&] {
    FakeInstance more = instance("1.2.3.1.5");
    more.patient_id = "P7";
    return more;
  }()});
  hi::UpdateImageSetMetadataRequest revert;
  revert.datastore_id = data_store;
  revert.image_set_id = id;
  revert.latest_version_id = "4";
  revert.revert_to_version_id = "1";

  EXPECT_EQ(changed(revert)["versionId"], "5");

  json then = document(id, "1"), now = document(id);
  EXPECT_EQ(now["Patient"], then["Patient"]);
  EXPECT_EQ(now["Study"]["DICOM"], then["Study"]["DICOM"]);
  ASSERT_EQ(instances(id).size(), 2U);
  EXPECT_EQ(instances(id)["1.2.3.1.1"]["DICOM"], instances(id, "1")["1.2.3.1.1"]["DICOM"]);
  EXPECT_EQ(instances(id, "4").size(), 2U);
  EXPECT_EQ(search()[0]["DICOMTags"]["DICOMPatientId"], "P1");
  revert.latest_version_id = "5";
  revert.revert_to_version_id = "17";
  EXPECT_EQ(refused(revert), "404 ResourceNotFoundException");
}

TEST_F(Changes, CopyIntoANewSet) {
  const std::string id = import_two();
  kit.store().stop();
  const Answer accepted = kit.imaging(hi::to_call(copy_of(id)));
  ASSERT_EQ(accepted.status, 200) << accepted.body;
  const json source = accepted.json()["sourceImageSetProperties"];
  const json destination = accepted.json()["destinationImageSetProperties"];
  EXPECT_EQ(source["imageSetWorkflowStatus"], "COPYING_WITH_READ_ONLY_ACCESS");
  EXPECT_EQ(source["imageSetState"], "LOCKED");
  EXPECT_EQ(destination["imageSetWorkflowStatus"], "COPYING");
  EXPECT_EQ(destination["latestVersionId"], "1");
  EXPECT_EQ(instances(id).size(), 2U) << "the source is read meanwhile";
  EXPECT_EQ(search().size(), 1U) << "half a set is visible";
  const std::string copy = destination.value("imageSetId", "");

  const json done = settled(copy);

  EXPECT_EQ(done["imageSetWorkflowStatus"], "COPIED");
  EXPECT_EQ(done["isPrimary"], false);
  EXPECT_EQ(properties(id)["imageSetWorkflowStatus"], "COPIED");
  EXPECT_EQ(properties(id)["versionId"], "1");
  EXPECT_EQ(instances(copy).size(), 2U);
  EXPECT_EQ(document(copy)["Patient"], document(id)["Patient"]);
  EXPECT_EQ(search().size(), 2U);
  // The copy is a set of its own: imports go where they went.
  EXPECT_EQ(import_set({instance("1.2.3.1.3")}), id);
}

TEST_F(Changes, CopyASubset) {
  const std::string id = import_two();
  hi::CopyImageSetRequest request = copy_of(id);
  request.copiable_attributes = one("1.2.3.1.2", json::object()).dump();

  const std::string copy = copied(request);

  EXPECT_EQ(instances(copy).size(), 1U);
  EXPECT_TRUE(instances(copy).contains("1.2.3.1.2"));
  request.copiable_attributes = one("9.9", json::object()).dump();
  const std::string failed = copied(request);
  EXPECT_EQ(properties(failed)["imageSetWorkflowStatus"], "COPY_FAILED");
  EXPECT_EQ(
      error_type(kit.imaging(hi::to_call(hi::GetImageSetMetadataRequest{data_store, failed, {}}))),
      "404 ResourceNotFoundException");
  request.copiable_attributes = "no JSON";
  EXPECT_EQ(copy_error(request), "400 ValidationException");
}

TEST_F(Changes, MergeIntoADestinationThatAgrees) {
  const std::string id = import_two();
  hi::CopyImageSetRequest split = copy_of(id);
  split.copiable_attributes = one("1.2.3.1.2", json::object()).dump();
  const std::string part = copied(split);
  const std::string more = import_set({instance("1.2.3.1.3")});
  ASSERT_EQ(more, id);
  hi::CopyImageSetRequest merge = copy_of(id, "2");
  merge.destination = hi::CopyDestination{part, "1"};

  EXPECT_EQ(copied(merge), part);

  EXPECT_EQ(properties(part)["versionId"], "2");
  EXPECT_EQ(instances(part).size(), 3U);
  EXPECT_EQ(instances(part, "1").size(), 1U);
  merge.destination->latest_version_id = "1";
  EXPECT_EQ(copy_error(merge), "404 ResourceNotFoundException");
  merge.destination = hi::CopyDestination{id, "2"};
  EXPECT_EQ(copy_error(merge), "400 ValidationException");
}

TEST_F(Changes, MergeWhatDisagreesByForceOnly) {
  const std::string id = import_two();
  const std::string far = import_set({instance("1.2.3.2.1", "1.2.3.2")});
  hi::CopyImageSetRequest merge = copy_of(far);
  merge.destination = hi::CopyDestination{id, "1"};

  copied(merge);

  const json failed = properties(id);
  EXPECT_EQ(failed["imageSetWorkflowStatus"], "COPY_FAILED");
  EXPECT_EQ(failed["message"],
            "INVALID_REQUEST: Series of SourceImageSet and DestinationImageSet don't match.");
  EXPECT_EQ(properties(far)["imageSetState"], "ACTIVE");
  EXPECT_EQ(properties(far)["imageSetWorkflowStatus"], "CREATED");
  EXPECT_EQ(instances(id).size(), 2U);
  merge.destination = hi::CopyDestination{id, "2"};
  merge.force = true;
  copied(merge);
  EXPECT_EQ(properties(id)["imageSetWorkflowStatus"], "COPIED");
  EXPECT_EQ(properties(id)["overrides"]["forced"], true);
  EXPECT_EQ(instances(id).size(), 3U);
  EXPECT_EQ(document(id)["Study"]["Series"].size(), 1U);
}

// Also when every instance that it had is replaced.
TEST_F(Changes, MergeLeavesTheLevelsOfTheDestination) {
  const std::string id = import_set({instance("1.2.3.1.1")});
  FakeInstance other = instance("1.2.3.1.1");
  other.patient_id = "P2";
  hi::CopyImageSetRequest merge = copy_of(import_set({other}));
  merge.destination = hi::CopyDestination{id, "1"};
  merge.force = true;

  copied(merge);

  EXPECT_EQ(properties(id)["imageSetWorkflowStatus"], "COPIED");
  EXPECT_EQ(instances(id).size(), 1U);
  EXPECT_EQ(document(id)["Patient"]["DICOM"]["PatientID"], "P1");
}

TEST_F(Changes, PromoteWhereTheSeriesHasNoPrimarySet) {
  const std::string primary = import_two();
  FakeInstance other = instance("1.2.3.1.1");
  other.patient_id = "P2";
  const std::string aside = import_set({other});
  hi::CopyImageSetRequest promote = copy_of(aside);
  promote.promote_to_primary = true;
  const std::string refused_copy = copied(promote);
  EXPECT_EQ(properties(refused_copy)["imageSetWorkflowStatus"], "COPY_FAILED");
  kit.imaging(hi::to_call(hi::DeleteImageSetRequest{data_store, primary}));
  settled(primary);

  const std::string promoted = copied(promote);

  EXPECT_EQ(properties(promoted)["isPrimary"], true);
  EXPECT_EQ(properties(promoted)["imageSetWorkflowStatus"], "COPIED");
  EXPECT_EQ(import_set({[&] {
              FakeInstance more = instance("1.2.3.1.9");
              more.patient_id = "P2";
              return more;
            }()}),
            promoted)
      << "imports go to the primary set";
}

TEST_F(Changes, DeleteASetAndFreeItsBlobs) {
  const std::size_t before = blobs();
  const std::string id = import_two();
  for (const char* name : {"1.2.3.1.1", "1.2.3.1.2"}) {
    kit.s3("DELETE", std::string("/in-bucket/p1/") + name);
  }
  const std::string copy = copied(copy_of(id));
  kit.store().stop();
  const Answer accepted = kit.imaging(hi::to_call(hi::DeleteImageSetRequest{data_store, id}));
  EXPECT_EQ(accepted.json()["imageSetState"], "LOCKED");
  EXPECT_EQ(accepted.json()["imageSetWorkflowStatus"], "DELETING");

  const json done = settled(id);

  EXPECT_EQ(done["imageSetState"], "DELETED");
  EXPECT_EQ(done["imageSetWorkflowStatus"], "DELETED");
  EXPECT_TRUE(done.contains("deletedAt"));
  EXPECT_EQ(
      error_type(kit.imaging(hi::to_call(hi::GetImageSetMetadataRequest{data_store, id, {}}))),
      "404 ResourceNotFoundException");
  EXPECT_EQ(refused(update_of(id, "1", patient({{"PatientName", "A"}}))),
            "404 ResourceNotFoundException");
  EXPECT_EQ(search().size(), 1U);
  EXPECT_EQ(instances(copy).size(), 2U) << "the copy needs the blobs";
  const std::size_t with_copy = blobs();
  kit.imaging(hi::to_call(hi::DeleteImageSetRequest{data_store, copy}));
  settled(copy);
  kit.store().stop();  // whatever it let go is gone after this
  EXPECT_EQ(with_copy - blobs(), 2U);
  EXPECT_EQ(kit.names_kept(), 0) << "a name outlives its image set";
  EXPECT_GE(blobs(), before);
  EXPECT_EQ(kit.imaging(hi::to_call(hi::DeleteDatastoreRequest{data_store})).status, 200);
}

TEST_F(Changes, WaitNoImportMixesIntoOneThatIsUnderWay) {
  const std::string id = import_two();
  kit.store().stop();
  kit.imaging(hi::to_call(update_of(id, "1", patient({{"PatientName", "A"}}))));
  kit.s3("PUT", "/in-bucket/late/3", instance("1.2.3.1.3").text());
  const std::string job = kit.start_import(data_store, "late", "late");

  kit.store().start();
  kit.wait_for(data_store, job);

  const json now = settled(id);
  EXPECT_EQ(now["versionId"], "3");
  EXPECT_EQ(now["imageSetWorkflowStatus"], "IMPORTED");
  EXPECT_EQ(instances(id, "2").size(), 2U);
  EXPECT_EQ(instances(id).size(), 3U);
  EXPECT_EQ(document(id)["Patient"]["DICOM"]["PatientName"], "A");
}

TEST_F(Changes, TagResources) {
  const std::string id = import_two();
  const std::string arn = "arn:aws:medical-imaging:us-east-1:123456789012:datastore/" + data_store;
  const std::string set_arn = arn + "/imageset/" + id;
  const auto tags = [&](const std::string& resource) {
    return kit.imaging(hi::to_call(hi::ListTagsForResourceRequest{resource})).json()["tags"];
  };

  EXPECT_EQ(
      kit.imaging(hi::to_call(hi::TagResourceRequest{arn, {{"Owner", "ward"}, {"b", ""}}})).status,
      200);
  EXPECT_EQ(kit.imaging(hi::to_call(hi::TagResourceRequest{set_arn, {{"Kind", "x"}}})).status, 200);

  EXPECT_EQ(tags(arn), json({{"Owner", "ward"}, {"b", ""}}));
  EXPECT_EQ(tags(set_arn), json({{"Kind", "x"}}));
  EXPECT_EQ(kit.imaging(hi::to_call(hi::UntagResourceRequest{arn, {"Owner", "never"}})).status,
            200);
  EXPECT_EQ(tags(arn), json({{"b", ""}}));
  EXPECT_EQ(error_type(kit.imaging(hi::to_call(
                hi::ListTagsForResourceRequest{arn + "/imageset/" + std::string(32, '0')}))),
            "404 ResourceNotFoundException");
  hi::TagResourceRequest many{arn, {}};
  for (char c = 'a'; c <= 'z'; ++c) {
    many.tags[std::string(1, c)] = "";
    many.tags[std::string(2, c)] = "";
  }
  EXPECT_EQ(error_type(kit.imaging(hi::to_call(many))), "400 ValidationException");
  hi::CreateDatastoreRequest tagged;
  tagged.client_token = "tagged";
  tagged.tags = {{"a", "b"}};
  const std::string made = kit.imaging(hi::to_call(tagged)).json().value("datastoreId", "");
  EXPECT_EQ(tags("arn:aws:medical-imaging:us-east-1:123456789012:datastore/" + made),
            json({{"a", "b"}}));
}

TEST_F(Changes, MoveWhatNobodyReadsToTheArchiveTier) {
  const std::string id = import_two();
  EXPECT_EQ(properties(id)["storageTier"], "FREQUENT_ACCESS");
  kit.env().clock.advance(Milliseconds(31LL * 24 * 3600 * 1000));

  EXPECT_EQ(properties(id)["storageTier"], "ARCHIVE_INSTANT_ACCESS");
  EXPECT_EQ(search()[0]["storageTier"], "ARCHIVE_INSTANT_ACCESS");
  document(id);

  EXPECT_EQ(properties(id)["storageTier"], "FREQUENT_ACCESS");
  EXPECT_TRUE(properties(id).contains("lastAccessedAt"));
}

// Form: developer guide, "HealthImaging event structure and examples"; contracts/healthimaging
// README section 6 for how names are spelled.
TEST_F(Changes, AreEvents) {
  const std::string id = import_two();
  changed(update_of(id, "1", patient({{"PatientName", "A"}})));
  const std::string copy = copied(copy_of(id, "2"));
  kit.imaging(hi::to_call(hi::DeleteImageSetRequest{data_store, id}));
  settled(id);

  const Answer answer = kit.imaging("GET", "/events");

  EXPECT_EQ(answer.headers.get("Content-Type"), "text/event-stream");
  std::vector<json> events;
  std::string last;
  std::istringstream text(answer.body);
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("id: ")) last = line.substr(4);
    if (line.starts_with("data: ")) events.push_back(json::parse(line.substr(6), nullptr, false));
  }
  std::vector<std::string> types;
  for (const json& event : events) types.push_back(event.value("detail-type", ""));
  EXPECT_EQ(types, (std::vector<std::string>{
                       "Data Store Creating", "Data Store Created", "Import Job Submitted",
                       "Import Job In Progress", "Image Set Created", "Import Job Completed",
                       "Image Set Updating", "Image Set Updated", "Image Set Copying",
                       "Image Set Copying With Read Only Access", "Image Set Copied",
                       "Image Set Copied", "Image Set Deleting", "Image Set Deleted"}));
  ASSERT_EQ(events.size(), 14U);
  const json updating = events[6];
  EXPECT_EQ(updating["source"], "aws.medical-imaging");
  EXPECT_EQ(updating["account"], "123456789012");
  EXPECT_EQ(updating["detail"]["imagesetId"], id);
  EXPECT_EQ(updating["detail"]["imageSetVersion"], "2");
  EXPECT_EQ(updating["detail"]["imageSetState"], "LOCKED");
  EXPECT_EQ(updating["detail"]["isPrimary"], true);
  EXPECT_TRUE(events[8]["detail"].value("sourceImageSetArn", "").ends_with("/imageset/" + id));
  EXPECT_EQ(events[8]["detail"]["imagesetId"], copy);
  EXPECT_EQ(kit.imaging("GET", "/events?after=" + last).body, "retry: 1000\n\n");
  EXPECT_EQ(kit.raw(kit.request("GET", "/events", "")).status, 403) << "not signed";
}

datastore::DataStoreOptions narrow() {
  datastore::DataStoreOptions options;
  options.max_concurrent_changes = 1;
  options.max_frames_per_copy = 3;
  options.max_update_bytes = 100;
  return options;
}

class ChangesWithQuotas : public Changes {
 protected:
  ChangesWithQuotas() : Changes(narrow()) {}
};

// contracts/healthimaging/quotas.json.
TEST_F(ChangesWithQuotas, AreRefusedBeyondThem) {
  const std::string two = import_two();
  const std::string one_instance = import_set({instance("1.2.3.2.1", "1.2.3.2")});
  kit.store().stop();
  const std::string quota = "402 ServiceQuotaExceededException";

  EXPECT_EQ(copy_error(copy_of(two)), quota) << "four frames";
  EXPECT_EQ(refused(update_of(two, "1", patient({{"PatientName", std::string(100, 'x')}}))), quota);
  EXPECT_EQ(kit.imaging(hi::to_call(update_of(two, "1", patient({{"PatientName", "A"}})))).status,
            200);
  EXPECT_EQ(refused(update_of(one_instance, "1", patient({{"PatientName", "A"}}))), quota);
  EXPECT_EQ(kit.imaging(hi::to_call(copy_of(one_instance))).status, 200);
}

datastore::DataStoreOptions short_documents() {
  datastore::DataStoreOptions options;
  options.max_metadata_bytes = 2'000;
  return options;
}

class ChangesOfShortDocuments : public Changes {
 protected:
  ChangesOfShortDocuments() : Changes(short_documents()) {}
};

TEST_F(ChangesOfShortDocuments, FailBeyondTheQuota) {
  const std::string id = import_set({instance("1.2.3.1.1")});
  auto request = update_of(
      id, "1",
      one("1.2.3.1.1", {{"DICOM", {{"ImageType", json::array({std::string(2'000, 'x')})}}}}));
  request.force = true;

  const json failed = changed(request);

  EXPECT_EQ(failed["imageSetWorkflowStatus"], "UPDATE_FAILED");
  EXPECT_NE(failed.value("message", "").find("quota of 2000"), std::string::npos) << failed;
  EXPECT_EQ(changed(update_of(id, "2", patient({{"PatientName", "A"}})))["imageSetWorkflowStatus"],
            "UPDATED");
}

}  // namespace
}  // namespace isthmus
