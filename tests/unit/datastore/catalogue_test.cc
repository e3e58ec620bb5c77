#include "datastore/engine/catalogue.h"

#include <gmock/gmock.h>

#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::datastore {
namespace {

using test::FailsWith;
using test::IsOk;
using test::TestEnv;

class CatalogueOfBuckets : public ::testing::Test {
 protected:
  CatalogueOfBuckets() { open(); }
  void open() {
    catalogue.reset();
    auto opened = Catalogue::open(env, env.folder());
    ASSERT_THAT(opened, IsOk());
    catalogue = std::move(*opened);
  }
  Result<void> add(const std::string& name) {
    return catalogue->write([&](sql::Database& database) -> Result<void> {
      TRY(database.run("INSERT INTO buckets (name, created_at) VALUES (?, 0)", {name}));
      return {};
    });
  }
  std::int64_t count() {
    return catalogue
        ->read([](sql::Database& database) -> Result<std::int64_t> {
          TRY_ASSIGN(const auto rows, database.query_integer("SELECT COUNT(*) FROM buckets"));
          return rows.value_or(-1);
        })
        .value();
  }

  TestEnv env;
  std::unique_ptr<Catalogue> catalogue;
};

TEST_F(CatalogueOfBuckets, GivesValuesAndErrorsBack) {
  EXPECT_THAT(add("a"), IsOk());
  EXPECT_THAT(add("a"), FailsWith("datastore.constraint", Fate::permanent));
  EXPECT_EQ(count(), 1);
}

TEST_F(CatalogueOfBuckets, UndoesTheWholeOfAChangeThatFails) {
  const auto result = catalogue->write([](sql::Database& database) -> Result<void> {
    TRY(database.run("INSERT INTO buckets (name, created_at) VALUES ('half', 0)"));
    return permanent_error("test.refused", "no");
  });

  EXPECT_THAT(result, FailsWith("test.refused"));
  EXPECT_EQ(count(), 0);
}

TEST_F(CatalogueOfBuckets, KeepsTheNeighboursOfAChangeThatFails) {
  std::vector<Thread> threads;
  std::atomic<int> added{0}, refused{0};
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back(env.env(), "writer", [&, i] {
      for (int k = 0; k < 10; ++k) {
        // Every name is tried by two threads: one of them is refused.
        const auto result = add("bucket-" + std::to_string(i / 2) + "-" + std::to_string(k));
        ++(result ? added : refused);
      }
    });
  }
  for (Thread& thread : threads) thread.join();

  EXPECT_EQ(added, 80);
  EXPECT_EQ(refused, 80);
  EXPECT_EQ(count(), 80);
}

TEST_F(CatalogueOfBuckets, IsStillThereAfterAReopen) {
  EXPECT_THAT(add("a"), IsOk());

  open();

  EXPECT_EQ(count(), 1);
}

// Frames of a file go with whatever names its bytes last: an instance, or the file of a job.
class PixelDataRows : public CatalogueOfBuckets {
 protected:
  PixelDataRows() {
    run("INSERT INTO data_stores VALUES ('store', 'store', 'ACTIVE', NULL, NULL, 'HTJ2K', 0, 0)");
    for (const std::string job : {"one", "two"}) {
      run("INSERT INTO import_jobs VALUES ('" + job +
          "', 'store', '', 'IN_PROGRESS', 'listed', '', '', '', NULL, NULL, 0, NULL, NULL)");
      run("INSERT INTO import_files (job, ordinal, key, blob, size_bytes, state) VALUES ('" + job +
          "', 1, 'a.dcm', 'blob', 1, 'pending')");
    }
    run("INSERT INTO pixel_data VALUES ('blob', 0, '{}', 0, x'')");
  }
  void run(const std::string& statement) {
    ASSERT_THAT(catalogue->write([&](sql::Database& database) -> Result<void> {
      TRY(database.run(statement));
      return {};
    }),
                IsOk());
  }
  std::int64_t rows() {
    return catalogue
        ->read([](sql::Database& database) -> Result<std::int64_t> {
          TRY_ASSIGN(const auto rows, database.query_integer("SELECT COUNT(*) FROM pixel_data"));
          return rows.value_or(-1);
        })
        .value();
  }
};

TEST_F(PixelDataRows, GoWithTheLastJobThatMadeNoInstance) {
  run("DELETE FROM import_files WHERE job = 'one'");
  EXPECT_EQ(rows(), 1);

  run("DELETE FROM import_files WHERE job = 'two'");

  EXPECT_EQ(rows(), 0);
}

TEST_F(CatalogueOfBuckets, HasOneOwner) {
  EXPECT_THAT(Catalogue::open(env, env.folder()), FailsWith("datastore.locked", Fate::permanent));
}

}  // namespace
}  // namespace isthmus::datastore
