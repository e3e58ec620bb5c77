// The promises of ObjectStore, held against every implementation. To add one: make a StoreUnderTest
// that owns everything it needs, and
//   INSTANTIATE_TEST_SUITE_P(MyStore, ObjectStoreContract, testing::Values(factory));
#pragma once

#include <gmock/gmock.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/thread.h"
#include "storage/object_store.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::test {

// A bucket, empty when made.
class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;
  virtual ObjectStore& store() = 0;
  // Objects of this size go up in more than one part, if the implementation has parts.
  virtual std::size_t large_bytes() const { return 0; }
};

struct StoreFactory {
  std::string name;
  // Nothing, and a reason on the way, when it cannot be had here.
  std::function<std::unique_ptr<StoreUnderTest>(std::string& why_not)> make;
};
inline void PrintTo(const StoreFactory& factory, std::ostream* out) {
  *out << factory.name;
}

class ObjectStoreContract : public testing::TestWithParam<StoreFactory> {
 protected:
  void SetUp() override {
    std::string why_not;
    subject_ = GetParam().make(why_not);
    if (!subject_) GTEST_SKIP() << GetParam().name << ": " << why_not;
  }
  ObjectStore& store() { return subject_->store(); }
  Result<StoredObject> put(const std::string& key, const std::string& bytes) {
    return store().put(ObjectKey{key}, source_of(bytes), sha256(bytes));
  }
  Result<std::string> get(const std::string& key) {
    TRY_ASSIGN(const std::unique_ptr<ByteSource> source, store().get(ObjectKey{key}));
    return read_all(*source, 1 * GiB);
  }
  Result<std::vector<std::string>> list(std::string_view prefix) {
    std::vector<std::string> keys;
    TRY(store().list(prefix, [&](const StoredObject& object) {
      keys.push_back(object.key.text);
      return true;
    }));
    return keys;
  }
  static std::string noise(std::size_t size, unsigned seed = 1) {
    std::string bytes(size, '\0');
    for (char& c : bytes) {
      seed = seed * 1664525U + 1013904223U;
      c = static_cast<char>(seed >> 24);
    }
    return bytes;
  }

  std::unique_ptr<StoreUnderTest> subject_;
};

TEST_P(ObjectStoreContract, GivesBackWhatWasPut) {
  for (const std::size_t size : {0U, 1U, 1000U, 300'000U}) {
    const std::string bytes = noise(size);

    ASSERT_OK_AND_ASSIGN(const StoredObject stored, put("pre/a.dcm", bytes));

    EXPECT_EQ(stored.key.text, "pre/a.dcm");
    EXPECT_EQ(stored.size_bytes, size);
    ASSERT_OK_AND_ASSIGN(const std::string read, get("pre/a.dcm"));
    EXPECT_TRUE(read == bytes) << size;
    ASSERT_OK_AND_ASSIGN(const StoredObject seen, store().head(ObjectKey{"pre/a.dcm"}));
    EXPECT_EQ(seen.size_bytes, size);
    EXPECT_EQ(seen.etag, stored.etag);
  }
}

TEST_P(ObjectStoreContract, GivesBackWhatWasPutInParts) {
  const std::string bytes = noise(subject_->large_bytes());

  ASSERT_OK_AND_ASSIGN(const StoredObject stored, put("large", bytes));

  EXPECT_EQ(stored.size_bytes, bytes.size());
  ASSERT_OK_AND_ASSIGN(const std::string read, get("large"));
  EXPECT_TRUE(read == bytes);
}

TEST_P(ObjectStoreContract, PutsTheSameTwiceWithTheSameResult) {
  for (const std::size_t size : {std::size_t{5}, subject_->large_bytes()}) {
    const std::string bytes = noise(size);
    ASSERT_OK_AND_ASSIGN(const StoredObject first, put("k", bytes));
    ASSERT_OK_AND_ASSIGN(const StoredObject second, put("k", bytes));
    EXPECT_EQ(first.etag, second.etag);
    EXPECT_EQ(first.size_bytes, second.size_bytes);
    ASSERT_OK_AND_ASSIGN(const auto keys, list(""));
    EXPECT_THAT(keys, testing::ElementsAre("k"));
  }
}

TEST_P(ObjectStoreContract, StoresNothingWhoseDigestIsAnother) {
  for (const std::size_t size : {std::size_t{5}, subject_->large_bytes()}) {
    EXPECT_THAT(store().put(ObjectKey{"bad"}, source_of(noise(size)), sha256("other")),
                FailsWith("store.bad_digest", Fate::permanent));
    EXPECT_THAT(store().head(ObjectKey{"bad"}), FailsWith("store.not_found"));
  }
}

TEST_P(ObjectStoreContract, KeepsTheOldObjectWhenItsReplacementIsRefused) {
  ASSERT_THAT(put("k", "old"), IsOk());
  EXPECT_THAT(store().put(ObjectKey{"k"}, source_of(std::string("new")), sha256("other")),
              FailsWith("store.bad_digest"));
  ASSERT_OK_AND_ASSIGN(const std::string read, get("k"));
  EXPECT_EQ(read, "old");
}

TEST_P(ObjectStoreContract, RewindsWhatItIsGiven) {
  const std::string bytes = noise(1000);
  std::shared_ptr<ByteSource> source = source_of(bytes);
  Bytes piece(10);
  ASSERT_THAT(source->read(piece), IsOk());

  ASSERT_THAT(store().put(ObjectKey{"k"}, source, sha256(bytes)), IsOk());

  ASSERT_OK_AND_ASSIGN(const std::string read, get("k"));
  EXPECT_TRUE(read == bytes);
}

TEST_P(ObjectStoreContract, SaysWhatIsNotThere) {
  EXPECT_THAT(store().head(ObjectKey{"none"}), FailsWith("store.not_found", Fate::permanent));
  EXPECT_THAT(store().get(ObjectKey{"none"}), FailsWith("store.not_found", Fate::permanent));
}

TEST_P(ObjectStoreContract, RemovesOnceAndAgain) {
  ASSERT_THAT(put("k", "x"), IsOk());
  EXPECT_THAT(store().remove(ObjectKey{"k"}), IsOk());
  EXPECT_THAT(store().head(ObjectKey{"k"}), FailsWith("store.not_found"));
  EXPECT_THAT(store().remove(ObjectKey{"k"}), IsOk());
}

TEST_P(ObjectStoreContract, ListsAPrefixInOrder) {
  const std::vector<std::string> keys = {"a",   "p",     "p/",    "p/1",  "p/10",
                                         "p/2", "p/2/x", "p/20/", "pp/1", "q"};
  for (const std::string& key : keys) ASSERT_THAT(put(key, key), IsOk());

  ASSERT_OK_AND_ASSIGN(const auto under, list("p/"));
  ASSERT_OK_AND_ASSIGN(const auto all, list(""));
  ASSERT_OK_AND_ASSIGN(const auto none, list("r"));

  EXPECT_THAT(under, testing::ElementsAre("p/", "p/1", "p/10", "p/2", "p/2/x", "p/20/"));
  EXPECT_EQ(all, keys);
  EXPECT_TRUE(none.empty());
}

TEST_P(ObjectStoreContract, TellsSizesWhileListing) {
  ASSERT_THAT(put("k", "four"), IsOk());
  std::vector<StoredObject> objects;
  ASSERT_THAT(store().list("k",
                           [&](const StoredObject& object) {
                             objects.push_back(object);
                             return true;
                           }),
              IsOk());
  ASSERT_EQ(objects.size(), 1U);
  EXPECT_EQ(objects[0].size_bytes, 4U);
  EXPECT_EQ(objects[0].etag, store().head(ObjectKey{"k"})->etag);
}

TEST_P(ObjectStoreContract, StopsListingWhenToldTo) {
  for (const char* key : {"a", "b", "c", "d", "e"}) ASSERT_THAT(put(key, "x"), IsOk());
  int seen = 0;
  ASSERT_THAT(store().list("", [&](const StoredObject&) { return ++seen < 2; }), IsOk());
  EXPECT_EQ(seen, 2);
}

TEST_P(ObjectStoreContract, KeepsAnyKey) {
  std::set<std::string> keys = {"a b",           "a+b",       "a%20b",
                                "a=b&c",         "a?b#c",     "\xC3\xBC/\xE1\x88\xB4",
                                "a:b@c!$'()*,;", "a<b>\"c\"", "~a_b-c.d"};
  for (const std::string& key : keys) {
    ASSERT_THAT(put(key, key), IsOk()) << key;
    ASSERT_OK_AND_ASSIGN(const std::string read, get(key));
    EXPECT_EQ(read, key);
  }
  ASSERT_OK_AND_ASSIGN(const auto listed, list(""));
  EXPECT_EQ(std::set<std::string>(listed.begin(), listed.end()), keys);
  for (const std::string& key : keys) {
    ASSERT_THAT(store().remove(ObjectKey{key}), IsOk()) << key;
  }
  EXPECT_TRUE(list("")->empty());
}

TEST_P(ObjectStoreContract, ShowsReadersAWholeObjectOrNone) {
  std::set<std::string> possible;
  for (unsigned seed = 0; seed < 4; ++seed) possible.insert(noise(100'000, seed));
  TestEnv env(1, posix_files(), true);
  std::vector<Thread> writers;
  for (const std::string& bytes : possible) {
    writers.emplace_back(env, "writer", [&] {
      for (int round = 0; round < 5; ++round) EXPECT_THAT(put("k", bytes), IsOk());
    });
  }
  for (int round = 0; round < 20; ++round) {
    const auto read = get("k");
    if (!read.ok()) {
      EXPECT_THAT(read, FailsWith("store.not_found"));
    } else {
      EXPECT_TRUE(possible.contains(*read));
    }
  }
  for (Thread& writer : writers) writer.join();
  EXPECT_TRUE(possible.contains(*get("k")));
}

TEST_P(ObjectStoreContract, IsThere) {
  EXPECT_THAT(store().check(), IsOk());
}

}  // namespace isthmus::test
