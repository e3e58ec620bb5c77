#include "datastore/engine/image_sets.h"

#include <gmock/gmock.h>

namespace isthmus::datastore {
namespace {

using ::testing::ElementsAre;

GroupingElements elements() {
  return {"20240131", "A1", "P1", "1.2.3", "S1", "1.2.3.1", "2"};
}

TEST(GroupingKey, DiffersWhenAnyOfTheSevenDoes) {
  const Digest base = grouping_key(elements());
  for (std::string GroupingElements::*member :
       {&GroupingElements::study_date, &GroupingElements::accession_number,
        &GroupingElements::patient_id, &GroupingElements::study_instance_uid,
        &GroupingElements::study_id, &GroupingElements::series_instance_uid,
        &GroupingElements::series_number}) {
    GroupingElements other = elements();
    other.*member += "9";
    EXPECT_NE(grouping_key(other), base);
  }
}

TEST(GroupingKey, IgnoresPadding) {
  GroupingElements padded = elements();
  padded.patient_id += " ";
  padded.series_number = " 2 ";
  padded.study_instance_uid.push_back('\0');

  EXPECT_EQ(grouping_key(padded), grouping_key(elements()));
}

TEST(GroupingKey, DoesNotMixNeighboursUp) {
  GroupingElements one = elements(), other = elements();
  one.accession_number = "A";
  one.patient_id = "1P";
  other.accession_number = "A1";
  other.patient_id = "P";

  EXPECT_NE(grouping_key(one), grouping_key(other));
}

class Plan : public ::testing::Test {
 protected:
  static FileToPlace file(const std::string& sop, const std::string& series,
                          const std::string& group) {
    return {sop, series, sha256(group)};
  }
  std::vector<PlannedImageSet> plan(const std::vector<FileToPlace>& files,
                                    const std::vector<KnownImageSet>& known = {}) {
    int made = 0;
    return plan_image_sets(files, known, [&] { return "new-" + std::to_string(++made); });
  }
};

TEST_F(Plan, MakesOnePrimarySetPerSeries) {
  const auto sets = plan({file("a", "s1", "g1"), file("b", "s2", "g2"), file("c", "s1", "g1")});

  ASSERT_EQ(sets.size(), 2U);
  EXPECT_TRUE(sets[0].is_new && sets[0].is_primary && sets[1].is_primary);
  EXPECT_THAT(sets[0].files, ElementsAre(0, 2));
  EXPECT_THAT(sets[1].files, ElementsAre(1));
  EXPECT_EQ(sets[0].version, 1);
}

TEST_F(Plan, MakesASecondSetOfASeriesNonPrimary) {
  const auto sets = plan({file("a", "s1", "g1"), file("b", "s1", "other")});

  ASSERT_EQ(sets.size(), 2U);
  EXPECT_TRUE(sets[0].is_primary);
  EXPECT_FALSE(sets[1].is_primary);
}

TEST_F(Plan, AddsToTheSetOfTheSameGroupInANewVersion) {
  const std::vector<KnownImageSet> known = {{"old", "s1", sha256("g1"), true, 4},
                                            {"side", "s1", sha256("g2"), false, 1}};

  const auto sets =
      plan({file("a", "s1", "g2"), file("b", "s1", "g1"), file("c", "s1", "g3")}, known);

  ASSERT_EQ(sets.size(), 3U);
  EXPECT_EQ(sets[0].id, "side");
  EXPECT_FALSE(sets[0].is_primary);
  EXPECT_EQ(sets[0].version, 2);
  EXPECT_EQ(sets[1].id, "old");
  EXPECT_EQ(sets[1].version, 5);
  EXPECT_EQ(sets[2].id, "new-1");
  EXPECT_FALSE(sets[2].is_primary);
}

TEST_F(Plan, HoldsTheLastOfOneSopInstance) {
  const auto sets = plan({file("a", "s", "g"), file("b", "s", "g"), file("a", "s", "g")});

  ASSERT_EQ(sets.size(), 1U);
  EXPECT_THAT(sets[0].files, ElementsAre(0, 1, 2));
  EXPECT_THAT(sets[0].instances, ElementsAre(1, 2));
}

TEST(StudyMoment, SortsByTime) {
  EXPECT_EQ(study_moment("20240131", "093000.5"), "20240131093000.500000");
  EXPECT_EQ(study_moment("20240131", "0930"), "20240131093000.000000");
  EXPECT_EQ(study_moment("2024.01.31", "09:30:00"), "20240131093000.000000");
  EXPECT_EQ(study_moment("20240131", ""), "20240131000000.000000");
  EXPECT_EQ(study_moment("20240131", "", true), "20240131235959.999999");
  EXPECT_EQ(study_moment("", "0930"), "");
  EXPECT_LT(study_moment("20240131", "2359"), study_moment("20240201", "00"));
}

}  // namespace
}  // namespace isthmus::datastore
