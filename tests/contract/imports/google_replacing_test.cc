// Instances replaced in a DICOM store: nothing is lost on the way, wherever the process dies and
// whatever the store refuses.
#include <set>

#include "base/failpoint.h"
#include "contract/imports/replacing_cloud.h"

namespace isthmus::test {
namespace {

using testing::HasSubstr;

struct Died {};

AttributeChange named(const char* key, std::optional<std::string> value, MetadataLevel level) {
  AttributeChange change;
  change.action = value ? AttributeAction::set : AttributeAction::remove;
  change.level = level;
  change.key = key;
  change.value = std::move(value);
  return change;
}
MetadataUpdate name_update(const std::string& name) {
  MetadataUpdate update;
  update.change.attributes = {named("PatientName", '"' + name + '"', MetadataLevel::patient)};
  update.stored = {std::nullopt};
  return update;
}

class Replacing : public testing::Test {
 protected:
  const std::string set = ReplacingCloud::image_set(1);

  ImageSetStatus settled(const std::string& image_set) {
    for (int polls = 0; polls < 200; ++polls) {
      const auto status = cloud.service().status(image_set);
      if (!status.ok() && status.error().fate == Fate::permanent) {
        ADD_FAILURE() << describe(status.error());
        return {};
      }
      if (status.ok() && status->phase != ImageSetStatus::Phase::changing) return *status;
      never.wait_for(Milliseconds(2));
    }
    ADD_FAILURE() << "it does not end";
    return {};
  }
  // With a process that dies whenever the armed point is reached, and is started again. True when
  // it died.
  template <typename Act>
  bool dies_in(Act act) {
    try {
      act();
      return false;
    } catch (const Died&) {
      cloud.open();
      return true;
    }
  }
  // Of an instance at any time: old, new or nowhere, and then its original is in the bucket.
  void look(const std::vector<std::string>& forms) {
    for (int number = 1; number <= 2; ++number) {
      const auto now = cloud.dataset(1, number);
      if (now) {
        EXPECT_THAT(forms, testing::Contains(form_of(*now))) << number;
        continue;
      }
      bool is_kept = false;
      ASSERT_THAT(cloud.bucket().list("gw/originals/",
                                      [&](const StoredObject& object) {
                                        const auto source = cloud.bucket().get(object.key);
                                        const std::string bytes = *read_all(**source, 16 * MiB);
                                        is_kept = is_kept || bytes.find(ReplacingCloud::sop_uid(
                                                                 1, number)) != std::string::npos;
                                        return true;
                                      }),
                  IsOk());
      EXPECT_TRUE(is_kept) << "instance " << number << " is nowhere";
    }
  }
  static std::string form_of(const std::string& dataset) {
    if (dataset.find("Synthetic^Nobody") != std::string::npos) return "old";
    if (dataset.find("Synthetic^Somebody") != std::string::npos) return "new";
    return "neither";
  }
  std::vector<std::string> forms() {
    std::vector<std::string> found;
    for (int number = 1; number <= 2; ++number) {
      const auto now = cloud.dataset(1, number);
      found.push_back(now ? form_of(*now) : "gone");
    }
    return found;
  }
  // STOW of the changed form of an instance is refused, as often as it is tried.
  void refuse(int number) {
    cloud.meddle = [sop = ReplacingCloud::sop_uid(1, number)](
                       const http::Request& request) -> std::optional<Result<http::Response>> {
      if (request.method != "POST" || !request.url.ends_with("/dicomWeb/studies")) {
        return std::nullopt;
      }
      const std::string body = *read_all(*request.body, 16 * MiB);
      EXPECT_THAT(request.body->rewind(), IsOk());
      const bool is_it = body.find(sop) != std::string::npos &&
                         body.find("Synthetic^Somebody") != std::string::npos;
      if (!is_it) return std::nullopt;
      http::Response response;
      response.status = 409;
      response.body = source_of(
          std::string(R"([{"00081198":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1"]},)"
                      R"("00081197":{"vr":"US","Value":[272]}}]}}])"));
      return response;
    };
  }

  ReplacingCloud cloud;
  Wakeup never;
};

TEST_F(Replacing, ChangesWhatWasNamedAndNothingElse) {
  const std::string before = *cloud.dataset(1, 1);
  ASSERT_THAT(cloud.service().update(set, name_update("Synthetic^Else"), 1), IsOk());
  settled(set);

  std::string wanted = before;
  const std::string old_value = "Synthetic^Nobody", new_value = "Synthetic^Else";
  const std::size_t at = wanted.find(old_value);
  ASSERT_NE(at, std::string::npos);
  wanted.replace(at, old_value.size(), new_value);
  wanted[at - 2] = static_cast<char>(new_value.size());  // explicit VR: two bytes of length
  EXPECT_EQ(*cloud.dataset(1, 1), wanted);
  EXPECT_EQ(form_of(*cloud.dataset(2, 1)), "old");
}

TEST_F(Replacing, BringsTheOriginalsBackByteForByte) {
  const std::string before = *cloud.dataset(1, 1);
  ASSERT_THAT(cloud.service().update(set, name_update("Synthetic^Somebody"), 1), IsOk());
  settled(set);
  ASSERT_THAT(cloud.service().update(set, name_update("Synthetic^Else"), 2), IsOk());
  settled(set);

  ASSERT_THAT(cloud.service().revert(set, 1, 3), IsOk());

  EXPECT_EQ(settled(set).version, 4);
  EXPECT_EQ(*cloud.dataset(1, 1), before);
}

TEST_F(Replacing, SaysWhenOriginalsAreGone) {
  ASSERT_THAT(cloud.service().update(set, name_update("Synthetic^Somebody"), 1), IsOk());
  settled(set);
  std::vector<ObjectKey> keys;
  ASSERT_THAT(cloud.bucket().list("gw/originals/",
                                  [&](const StoredObject& object) {
                                    keys.push_back(object.key);
                                    return true;
                                  }),
              IsOk());
  ASSERT_EQ(keys.size(), 2U);
  for (const ObjectKey& key : keys) ASSERT_THAT(cloud.bucket().remove(key), IsOk());

  ASSERT_THAT(cloud.service().revert(set, 1, 2), IsOk());

  const ImageSetStatus status = settled(set);
  EXPECT_TRUE(status.update_failed);
  EXPECT_THAT(status.message, HasSubstr("not in the bucket any more"));
  EXPECT_EQ(forms(), (std::vector<std::string>{"new", "new"}));
}

TEST_F(Replacing, UndoesAllOfItWhenTheStoreWillNotHaveOne) {
  const std::string before = *cloud.dataset(1, 1);
  refuse(2);
  ASSERT_THAT(cloud.service().update(set, name_update("Synthetic^Somebody"), 1), IsOk());

  const ImageSetStatus status = settled(set);

  EXPECT_EQ(status.version, 2);
  EXPECT_TRUE(status.update_failed);
  EXPECT_EQ(forms(), (std::vector<std::string>{"old", "old"}));
  EXPECT_EQ(*cloud.dataset(1, 1), before);
}

TEST_F(Replacing, LeavesAloneWhatSomebodyElseReplaced) {
  DicomRecipe theirs = ReplacingCloud::recipe(1, 2);
  theirs.patient_name = "Synthetic^Third";
  cloud.meddle =
      [&,
       calls = 0](const http::Request& request) mutable -> std::optional<Result<http::Response>> {
    if (request.method == "DELETE" && ++calls == 1) cloud.replace_outside(theirs);
    return std::nullopt;
  };
  ASSERT_THAT(cloud.service().update(set, name_update("Synthetic^Somebody"), 1), IsOk());

  const ImageSetStatus status = settled(set);

  EXPECT_TRUE(status.update_failed);
  EXPECT_THAT(status.message, HasSubstr("Somebody else"));
  EXPECT_EQ(forms()[0], "old");
  EXPECT_THAT(*cloud.dataset(1, 2), HasSubstr("Synthetic^Third"));
}

TEST_F(Replacing, TouchesNothingThatItCannotWrite) {
  MetadataUpdate update = name_update("Synthetic^Somebody");
  update.change.attributes.push_back(named("PatientSize", "[1]", MetadataLevel::study));
  update.change.attributes.back().key = "00091001";
  update.stored.emplace_back();
  int deletions = 0;
  cloud.meddle = [&](const http::Request& request) -> std::optional<Result<http::Response>> {
    if (request.method == "DELETE") ++deletions;
    return std::nullopt;
  };

  ASSERT_THAT(cloud.service().update(set, update, 1), IsOk());

  const ImageSetStatus status = settled(set);
  EXPECT_TRUE(status.update_failed);
  EXPECT_THAT(status.message, HasSubstr("VR"));
  EXPECT_EQ(deletions, 0);
}

TEST_F(Replacing, GoesOnThroughAStoreThatFailsForHours) {
  int failures = 40;
  cloud.meddle = [&](const http::Request& request) -> std::optional<Result<http::Response>> {
    const bool is_stow = request.method == "POST" && request.url.ends_with("/dicomWeb/studies");
    if (!is_stow || failures == 0) return std::nullopt;
    --failures;
    http::Response response;
    response.status = failures % 3 == 0 ? 403 : 503;
    return response;
  };
  ASSERT_THAT(cloud.service().update(set, name_update("Synthetic^Somebody"), 1), IsOk());

  EXPECT_FALSE(settled(set).update_failed);

  EXPECT_EQ(forms(), (std::vector<std::string>{"new", "new"}));
  EXPECT_EQ(failures, 0);
}

TEST_F(Replacing, OfAWholeStudyIsAllOrNothing) {
  MetadataUpdate update = name_update("Synthetic^Somebody");
  update.include_study_image_sets = true;
  arm_failpoint(Failpoint::replace_ordered, 1, [] { throw Died{}; });
  EXPECT_TRUE(dies_in([&] { (void)cloud.service().update(set, update, 1); }));
  disarm_failpoints();

  EXPECT_EQ(settled(set).version, 2);
  EXPECT_EQ(settled(ReplacingCloud::image_set(2)).version, 2);
  EXPECT_EQ(form_of(*cloud.dataset(2, 2)), "new");
}

TEST_F(Replacing, OfAWholeStudyIsUndoneTogether) {
  MetadataUpdate update = name_update("Synthetic^Somebody");
  update.include_study_image_sets = true;
  refuse(2);
  // Of the other series first, so that there is something to undo in it.
  ASSERT_THAT(cloud.service().update(ReplacingCloud::image_set(2), update, 1), IsOk());

  EXPECT_TRUE(settled(set).update_failed);
  EXPECT_TRUE(settled(ReplacingCloud::image_set(2)).update_failed);
  EXPECT_EQ(forms(), (std::vector<std::string>{"old", "old"}));
  EXPECT_EQ(form_of(*cloud.dataset(2, 1)), "old");
  EXPECT_EQ(form_of(*cloud.dataset(2, 2)), "old");
}

TEST_F(Replacing, OfAWholeStudyIsRevertedSeriesBySeries) {
  MetadataUpdate update = name_update("Synthetic^Somebody");
  update.include_study_image_sets = true;
  const std::string before = *cloud.dataset(2, 1);
  ASSERT_THAT(cloud.service().update(set, update, 1), IsOk());
  settled(set);

  ASSERT_THAT(cloud.service().revert(ReplacingCloud::image_set(2), 1, 2), IsOk());

  EXPECT_EQ(settled(ReplacingCloud::image_set(2)).version, 3);
  EXPECT_EQ(*cloud.dataset(2, 1), before);
  EXPECT_EQ(forms(), (std::vector<std::string>{"new", "new"}));
}

// An order of another series whose carrier was never noted counts for nothing, and comes to life by
// no other order.
TEST_F(Replacing, ForgetsWhatWasCarriedByAnOrderThatNeverCame) {
  MetadataUpdate update = name_update("Synthetic^Somebody");
  update.include_study_image_sets = true;
  int puts = 0;
  cloud.meddle = [&](const http::Request& request) -> std::optional<Result<http::Response>> {
    // The second note is the carrier's.
    if (request.url.find("/upload/storage/") == std::string::npos || ++puts != 2) {
      return std::nullopt;
    }
    throw Died{};
  };
  ASSERT_TRUE(dies_in([&] { (void)cloud.service().update(set, update, 1); }));
  cloud.meddle = nullptr;

  EXPECT_EQ(settled(ReplacingCloud::image_set(2)).version, 1);
  ASSERT_THAT(cloud.service().update(set, name_update("Synthetic^Else"), 1), IsOk());
  EXPECT_EQ(settled(set).version, 2);
  EXPECT_EQ(settled(ReplacingCloud::image_set(2)).version, 1);
  EXPECT_EQ(form_of(*cloud.dataset(2, 1)), "old");
}

// --- deaths

struct Death {
  Failpoint point;
  int nth;
};
void PrintTo(const Death& death, std::ostream* out) {
  *out << to_string(death.point) << " " << death.nth;
}

// At every point of the way, for the first instance and for the second.
std::vector<Death> deaths(bool undone) {
  static const std::set<std::string_view> kOnce{"replace.ordered", "replace.listed",
                                                "replace.refused", "replace.ended"};
  std::vector<Death> all;
  for (const Failpoint point : all_failpoints()) {
    const std::string_view name = to_string(point);
    if (!name.starts_with("replace.")) continue;
    const bool of_undoing = name == "replace.refused" || name == "replace.restored";
    if (of_undoing && !undone) continue;
    all.push_back({point, 1});
    if (!kOnce.contains(name)) all.push_back({point, 2});
  }
  return all;
}

class ReplacingDies : public Replacing, public testing::WithParamInterface<Death> {
 protected:
  // Until the order has ended, with a look at every instance in between. Gives how often it died.
  int carried_out() {
    int died = 0;
    arm_failpoint(GetParam().point, GetParam().nth, [] { throw Died{}; });
    died += dies_in([&] {
      ASSERT_THAT(cloud.service().update(set, name_update("Synthetic^Somebody"), 1), IsOk());
    });
    for (int polls = 0; polls < 50; ++polls) {
      look({"old", "new"});
      ImageSetStatus status;
      died += dies_in([&] { ASSERT_OK_AND_ASSIGN(status, cloud.service().status(set)); });
      if (status.version == 2 && status.phase == ImageSetStatus::Phase::settled) break;
      never.wait_for(Milliseconds(2));
    }
    disarm_failpoints();
    return died;
  }
};

class ReplacingDiesAndGoesOn : public ReplacingDies {};
TEST_P(ReplacingDiesAndGoesOn, UntilEverythingIsNew) {
  EXPECT_EQ(carried_out(), 1);

  EXPECT_EQ(forms(), (std::vector<std::string>{"new", "new"}));
  EXPECT_FALSE(settled(set).update_failed);
}

class ReplacingDiesUndoing : public ReplacingDies {};
TEST_P(ReplacingDiesUndoing, UntilEverythingIsOld) {
  const std::string first = *cloud.dataset(1, 1), second = *cloud.dataset(1, 2);
  refuse(2);

  const int died = carried_out();

  // The second instance's new form never was stored.
  const bool is_reached = !(GetParam().point == Failpoint::replace_stored && GetParam().nth == 2);
  EXPECT_EQ(died, is_reached ? 1 : 0);
  EXPECT_TRUE(settled(set).update_failed);
  EXPECT_EQ(*cloud.dataset(1, 1), first);
  EXPECT_EQ(*cloud.dataset(1, 2), second);
}

INSTANTIATE_TEST_SUITE_P(At, ReplacingDiesAndGoesOn, testing::ValuesIn(deaths(false)));
INSTANTIATE_TEST_SUITE_P(At, ReplacingDiesUndoing, testing::ValuesIn(deaths(true)));

}  // namespace
}  // namespace isthmus::test
