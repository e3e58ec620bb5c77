// What QIDO-RS finds, and what an older catalogue needs for it.
#include "datastore/engine/dicom_index.h"

#include <gmock/gmock.h>

#include "datastore/engine/instance_facts.h"
#include "datastore/engine/levels.h"
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

class Wildcards : public DicomIndexTest {
 protected:
  void name(const std::string& study, const std::string& column, const std::string& value) {
    ASSERT_THAT(catalogue_->write([&](sql::Database& database) -> Result<void> {
      TRY(database.run("UPDATE image_sets SET " + column + " = ? WHERE study_instance_uid = ?",
                       {value, study}));
      return {};
    }),
                IsOk());
  }
  std::vector<std::string> like(const std::string& keyword, const std::string& pattern) {
    return studies({{keyword, Kind::like, {pattern}}});
  }
  std::int64_t count(const std::string& of) {
    return catalogue_
        ->read([&](sql::Database& database) -> Result<std::int64_t> {
          TRY_ASSIGN(const auto rows, database.query_integer("SELECT COUNT(*) FROM " + of));
          return rows.value_or(-1);
        })
        .value();
  }
  std::int64_t values() { return count("search_values WHERE kind = 1"); }
  std::int64_t pieces() { return count("value_pieces WHERE kind = 1"); }
};

TEST_F(Wildcards, InFrontFindWhatEndsOrContains) {
  add("1.1", "Doe^Jane", "CT");
  add("1.2", "Roe^Janet", "CT");
  add("1.3", "M\xC3\xBCller^J\xC3\xB6rg", "CT");
  add("1.4", "A[b]c^Jan", "CT");

  EXPECT_THAT(like("PatientName", "*Jane"), ElementsAre("1.1"));
  EXPECT_THAT(like("PatientName", "*Jane*"), ElementsAre("1.1", "1.2"));
  EXPECT_THAT(like("PatientName", "?oe^Jane"), ElementsAre("1.1"));
  EXPECT_THAT(like("PatientName", "*oe^J?ne*"), ElementsAre("1.1", "1.2"));
  EXPECT_THAT(like("PatientName", "*jane"), IsEmpty());
  EXPECT_THAT(like("PatientName", "*J\xC3\xB6rg"), ElementsAre("1.3"));
  EXPECT_THAT(like("PatientName", "*rg"), ElementsAre("1.3"));
  EXPECT_THAT(like("PatientName", "*[[]b]c^*"), ElementsAre("1.4"));
  EXPECT_THAT(like("PatientName", "*\"Jane"), IsEmpty());
}

TEST_F(Wildcards, InFrontFindLongValues) {
  const std::string end(20, 'z');
  add("1.1", std::string(100, 'a') + end, "CT");
  add("1.2", std::string(5'000, 'a') + end, "CT");
  add("1.3", std::string(300, 'a'), "CT");

  EXPECT_THAT(like("PatientName", "*" + end), ElementsAre("1.1", "1.2"));
  EXPECT_THAT(like("PatientName", "?*aaaaz*"), ElementsAre("1.1", "1.2"));

  name("1.1", "patient_name", "");
  name("1.2", "patient_name", "");

  EXPECT_THAT(like("PatientName", "*aaaaz*"), IsEmpty());
  EXPECT_EQ(pieces(), 0) << "those of a name that is left are none: it is long";
}

TEST_F(Wildcards, InFrontWorkForEveryIndexedText) {
  add("1.1", "A", "CT");
  add("1.2", "A", "CT");
  name("1.1", "patient_id", "HOSPITAL-4711");
  name("1.2", "accession_number", "HOSPITAL-4711");

  EXPECT_THAT(like("PatientID", "*4711"), ElementsAre("1.1"));
  EXPECT_THAT(like("AccessionNumber", "*PITAL*"), ElementsAre("1.2"));
  EXPECT_THAT(like("StudyDescription", "*of 1.2"), ElementsAre("1.2"));
  name("1.1", "referring_physician", "House^Gregory");
  EXPECT_THAT(like("ReferringPhysicianName", "*Greg*"), ElementsAre("1.1"));
  EXPECT_THAT(studies({{"ReferringPhysicianName", Kind::fuzzy, {"gREG"}}}), ElementsAre("1.1"));
}

TEST_F(Wildcards, FindOnlyWhatIsStillSaid) {
  add("1.1", "Doe^Jane", "CT");
  add("1.2", "Doe^Jane", "CT");
  name("1.1", "patient_name", "Roe^Ann");

  EXPECT_THAT(like("PatientName", "*^Jane"), ElementsAre("1.2"));
  EXPECT_THAT(like("PatientName", "*^Ann"), ElementsAre("1.1"));
  EXPECT_EQ(values(), 2);

  name("1.2", "patient_name", "");

  EXPECT_THAT(like("PatientName", "*^Jane"), IsEmpty());
  EXPECT_EQ(values(), 1);
}

TEST_F(Wildcards, StayWithinTheirDataStore) {
  add("1.1", "Doe^Jane", "CT");
  ASSERT_THAT(catalogue_->write([](sql::Database& database) -> Result<void> {
    TRY(
        database.run("INSERT INTO search_values (data_store, kind, value)"
                     " VALUES ('other', 1, 'Doe^Jane'), ('other', 1, 'Roe^Jane')"));
    return {};
  }),
              IsOk());

  EXPECT_THAT(like("PatientName", "*^Jane"), ElementsAre("1.1"));
}

TEST(SearchValues, AreFilledForRowsOfBefore) {
  test::TestEnv env{1};
  {
    auto database =
        sql::Database::open(env.folder() / "catalogue.sqlite", {.error_area = "datastore"});
    ASSERT_THAT(database, IsOk());
    ASSERT_THAT(sql::migrate(*database, catalogue_migrations().first(9)), IsOk());
    ASSERT_THAT(insert_store(*database), IsOk());
    for (int i = 0; i < 100; ++i) {
      const std::string study = "1." + std::to_string(i);
      const nlohmann::json attributes = {{"StudyInstanceUID", study},
                                         {"PatientName", "Old^Name" + std::to_string(i / 2)}};
      ASSERT_THAT(insert_set(*database, i, study, attributes), IsOk());
      ASSERT_THAT(
          write_search_columns(*database, "set-" + std::to_string(1'000'000 + i), attributes),
          IsOk());
    }
  }

  auto catalogue = Catalogue::open(env, env.folder());

  ASSERT_THAT(catalogue, IsOk());
  DicomIndex index(**catalogue);
  const auto found =
      index.search(kStore, {QueryLevel::study, {{"PatientName", Kind::like, {"*ame49"}}}});
  ASSERT_THAT(found, IsOk());
  EXPECT_EQ(found->size(), 2U);
}

// A document is read only of rows that do not say what the answer needs.
TEST_F(DicomIndexTest, ReadsTheDocumentsOfOldRowsOnly) {
  add("1.1", "A", "CT");
  ASSERT_THAT(catalogue_->write([](sql::Database& database) -> Result<void> {
    const char* insert =
        "INSERT INTO instances (image_set, sop_instance_uid, first_version, blob,"
        " size_bytes, attributes, examination) VALUES ('set-1000000', ?, 1, 'b', 1, ?, x'01')";
    TRY(database.run(insert, {"1.1.1", R"({"instance":{"Rows":1}})"}));
    TRY(database.run(insert, {"1.1.2", R"({"InstanceNumber":"2"})"}));
    return {};
  }),
              IsOk());

  const auto found = DicomIndex(*catalogue_).search(kStore, {QueryLevel::instance, {}});

  ASSERT_THAT(found, IsOk());
  ASSERT_EQ(found->size(), 2U);
  EXPECT_TRUE((*found)[0].document.empty());
  EXPECT_EQ((*found)[1].document.size(), 1U);
}

TEST(InstanceAttributes, FollowTheDocument) {
  const std::string before = R"({"PatientID":"P","InstanceNumber":"1","instance":{"Rows":1}})";
  const nlohmann::json document = {
      {"transferSyntaxUID", "1.2.840.10008.1.2.1"},
      {"metadata", {{"instance", {{"InstanceNumber", "7 "}, {"Rows", 512}, {"Other", "x"}}}}}};

  const auto after = instance_attributes(before, document);

  ASSERT_THAT(after, IsOk());
  EXPECT_EQ(nlohmann::json::parse(*after),
            nlohmann::json::parse(R"({"PatientID":"P","InstanceNumber":"7",
              "instance":{"Rows":512,"transferSyntaxUID":"1.2.840.10008.1.2.1"}})"));
}

TEST(InstanceAttributes, KeepNoLongValues) {
  const nlohmann::json document = {
      {"metadata", {{"instance", {{"NumberOfFrames", std::string(10'000, '1')}}}}}};

  const auto after = instance_attributes("{}", document);

  ASSERT_THAT(after, IsOk());
  EXPECT_FALSE(nlohmann::json::parse(*after).contains(kInstanceFacts));
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
