// What QIDO-RS finds, and what an older catalogue needs for it.
#include "datastore/engine/dicom_index.h"

#include <gmock/gmock.h>

#include "datastore/engine/schema.h"
#include "datastore/engine/search_columns.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::datastore {
namespace {

using test::IsOk;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr const char* kStore = "store";

Result<void> insert_store(sql::Database& database) {
  TRY(
      database.run("INSERT INTO data_stores (id, name, status, lossless_storage_format, created_at,"
                   " updated_at) VALUES (?, 'one', 'ACTIVE', 'HTJ2K', 0, 0)",
                   {kStore}));
  return {};
}

// A series' image set as it was before there were columns to search by.
Result<void> insert_set(sql::Database& database, int number, const std::string& study,
                        const nlohmann::json& attributes) {
  const std::string id = "set-" + std::to_string(1'000'000 + number);
  TRY(database.run(
      "INSERT INTO image_sets (id, data_store, grouping, is_primary, latest_version, created_at,"
      " updated_at, instance_count, study_instance_uid, series_instance_uid, patient_id,"
      " accession_number, study_id, study_moment, attributes)"
      " VALUES (?1, ?2, ?1, 1, 1, 0, 0, 1, ?3, ?1, '', '', '', '', ?4)",
      {id, kStore, study, attributes.dump()}));
  return {};
}

class DicomIndexTest : public ::testing::Test {
 protected:
  DicomIndexTest() {
    auto opened = Catalogue::open(env_, env_.folder());
    EXPECT_THAT(opened, IsOk());
    catalogue_ = std::move(*opened);
    EXPECT_THAT(catalogue_->write([](sql::Database& database) { return insert_store(database); }),
                IsOk());
  }
  Result<void> insert(sql::Database& database, const std::string& study, const std::string& name,
                      const std::string& modality) {
    const nlohmann::json attributes = {{"StudyInstanceUID", study},
                                       {"PatientName", name},
                                       {"Modality", modality},
                                       {"StudyDescription", "of " + study}};
    const int number = sets_++;
    TRY(insert_set(database, number, study, attributes));
    return write_search_columns(database, "set-" + std::to_string(1'000'000 + number), attributes);
  }
  void add(const std::string& study, const std::string& name, const std::string& modality) {
    const auto written = catalogue_->write([&](sql::Database& database) -> Result<void> {
      return insert(database, study, name, modality);
    });
    ASSERT_THAT(written, IsOk());
  }
  std::vector<std::string> studies(std::vector<QueryMatch> matches) {
    DicomIndex index(*catalogue_);
    const auto results = index.search(kStore, {QueryLevel::study, std::move(matches), 100, 0});
    EXPECT_THAT(results, IsOk());
    std::vector<std::string> uids;
    for (const QueryResult& result : results ? *results : std::vector<QueryResult>()) {
      const auto attributes = nlohmann::json::parse(result.set_attributes, nullptr, false);
      uids.push_back(attributes.value("StudyInstanceUID", ""));
      modalities_ = result.modalities;
    }
    return uids;
  }
  test::TestEnv env_{1};
  std::unique_ptr<Catalogue> catalogue_;
  int sets_ = 0;
  std::string modalities_;
};

using Kind = QueryMatch::Kind;

TEST_F(DicomIndexTest, FindsNamesInEveryForm) {
  add("1.1", "Doe^Jane", "CT");
  add("1.2", "Roe^Richard^Jane", "CT");
  add("1.3", "", "CT");

  EXPECT_THAT(studies({{"PatientName", Kind::equal, {"Doe^Jane"}}}), ElementsAre("1.1"));
  EXPECT_THAT(studies({{"PatientName", Kind::like, {"Roe^*"}}}), ElementsAre("1.2"));
  EXPECT_THAT(studies({{"PatientName", Kind::like, {"*^Jane"}}}), ElementsAre("1.1", "1.2"));
  EXPECT_THAT(studies({{"PatientName", Kind::fuzzy, {"jan", "DO"}}}), ElementsAre("1.1"));
  EXPECT_THAT(studies({{"PatientName", Kind::fuzzy, {"ane"}}}), IsEmpty());
  EXPECT_THAT(studies({{"PatientName", Kind::like, {"X*"}}}), IsEmpty());
  EXPECT_THAT(studies({{"StudyDescription", Kind::like, {"*1.3"}}}), ElementsAre("1.3"));
}

TEST_F(DicomIndexTest, FindsDaysAndIdsByTheirIndexes) {
  add("1.1", "A", "CT");
  add("1.2", "B", "CT");
  ASSERT_THAT(catalogue_->write([](sql::Database& database) -> Result<void> {
    TRY(
        database.run("UPDATE image_sets SET patient_id = 'P1', study_moment = '20240131093000'"
                     " WHERE study_instance_uid = '1.1'"));
    TRY(
        database.run("UPDATE image_sets SET patient_id = 'P2', study_moment = '20240201'"
                     " WHERE study_instance_uid = '1.2'"));
    return {};
  }),
              IsOk());

  EXPECT_THAT(studies({{"PatientID", Kind::equal, {"P2"}}}), ElementsAre("1.2"));
  EXPECT_THAT(studies({{"PatientID", Kind::like, {"?1"}}}), ElementsAre("1.1"));
  EXPECT_THAT(studies({{"StudyDate", Kind::equal, {"20240131"}}}), ElementsAre("1.1"));
  EXPECT_THAT(studies({{"StudyDate", Kind::range, {"20240201", ""}}}), ElementsAre("1.2"));
  EXPECT_THAT(studies({{"StudyDate", Kind::range, {"", "20240131"}}}), ElementsAre("1.1"));
  EXPECT_THAT(studies({{"StudyDate", Kind::range, {"20240131", "20240201"}},
                       {"PatientName", Kind::equal, {"B"}}}),
              ElementsAre("1.2"));
}

TEST_F(DicomIndexTest, CountsAllSeriesOfAStudyFoundByOneModality) {
  add("1.1", "A", "CT");
  add("1.1", "A", "SR");
  add("1.2", "B", "MR");

  EXPECT_THAT(studies({{"ModalitiesInStudy", Kind::equal, {"SR"}}}), ElementsAre("1.1"));
  EXPECT_EQ(modalities_, "CT,SR");
  EXPECT_THAT(
      studies({{"ModalitiesInStudy", Kind::equal, {"SR"}}, {"PatientName", Kind::fuzzy, {"b"}}}),
      IsEmpty());
}

TEST_F(DicomIndexTest, FindsWhatVeryManyHave) {
  const auto written = catalogue_->write([&](sql::Database& database) -> Result<void> {
    for (int i = 0; i < 2'100; ++i) {
      TRY(insert(database, "1." + std::to_string(10'000 + i), "Many^Of" + std::to_string(i),
                 i == 7 ? "XA" : "CT"));
    }
    return {};
  });
  ASSERT_THAT(written, IsOk());

  EXPECT_EQ(studies({{"ModalitiesInStudy", Kind::equal, {"CT"}}}).size(), 100U);
  EXPECT_EQ(studies({{"PatientName", Kind::fuzzy, {"many"}}}).size(), 100U);
  EXPECT_THAT(
      studies({{"ModalitiesInStudy", Kind::equal, {"XA"}}, {"PatientName", Kind::fuzzy, {"many"}}}),
      ElementsAre("1.10007"));
}

TEST_F(DicomIndexTest, ForgetsTheWordsOfANameThatChanged) {
  add("1.1", "Doe^Jane", "CT");
  ASSERT_THAT(catalogue_->write([](sql::Database& database) {
    return write_search_columns(database, "set-1000000", {{"PatientName", "Roe^Jane"}});
  }),
              IsOk());

  EXPECT_THAT(studies({{"PatientName", Kind::fuzzy, {"doe"}}}), IsEmpty());
  EXPECT_THAT(studies({{"PatientName", Kind::fuzzy, {"roe"}}}), ElementsAre("1.1"));
}

TEST(SearchColumns, AreFilledForRowsOfBefore) {
  test::TestEnv env{1};
  const auto file = env.folder() / "catalogue.sqlite";
  {
    auto database = sql::Database::open(file, {.error_area = "datastore"});
    ASSERT_THAT(database, IsOk());
    ASSERT_THAT(sql::migrate(*database, catalogue_migrations().first(7)), IsOk());
    ASSERT_THAT(insert_store(*database), IsOk());
    for (int i = 0; i < 1'001; ++i) {
      ASSERT_THAT(insert_set(*database, i, "1." + std::to_string(i),
                             {{"StudyInstanceUID", "1." + std::to_string(i)},
                              {"PatientName", "Old^Name" + std::to_string(i)},
                              {"Modality", nullptr}}),
                  IsOk());
    }
  }

  auto catalogue = Catalogue::open(env, env.folder());

  ASSERT_THAT(catalogue, IsOk());
  DicomIndex index(**catalogue);
  const auto found =
      index.search(kStore, {QueryLevel::study, {{"PatientName", Kind::fuzzy, {"name1000"}}}});
  ASSERT_THAT(found, IsOk());
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front().modalities, "");
}

TEST(SearchColumns, SplitNamesIntoWords) {
  EXPECT_THAT(name_words("DOE^Jane Ann=^X=ann"), ElementsAre("doe", "jane", "ann", "x"));
  EXPECT_THAT(name_words("^^ ="), IsEmpty());
}

}  // namespace
}  // namespace isthmus::datastore
