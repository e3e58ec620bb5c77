#include "plugin/followup.h"

#include <gmock/gmock.h>

#include "unit/plugin/plugin_fixture.h"

namespace isthmus::test {
namespace {

using plugin::Followup;
using plugin::FollowupOptions;
using testing::IsEmpty;

class FollowupTest : public PluginFixture {
 protected:
  void run() {
    Followup followup(env_, archive_, ledger_, options_);
    for (int i = 0; i < 100 && followup.run_once() == Milliseconds{0}; ++i) {
    }
  }
  std::string metadata(const std::string& kind, int number, int which) {
    return archive_.metadata["/" + kind + "/" + FakeArchive::id(number) + "/metadata/" +
                             std::to_string(which)];
  }

  FollowupOptions options_;
};

TEST_F(FollowupTest, TellsStateImageSetAndJobInOrthancsOwnTerms) {
  options_.first_metadata = 4700;
  receive(1, "1.5", "one");
  import_all();

  run();

  EXPECT_EQ(metadata("instances", 1, 4700), "imported");
  EXPECT_EQ(metadata("instances", 1, 4701), "set-1");
  EXPECT_EQ(metadata("instances", 1, 4702), "job-1");
  EXPECT_EQ(metadata("series", 800, 4700), "imported");
  EXPECT_EQ(metadata("studies", 900, 4700), "imported");
}

TEST_F(FollowupTest, AStudyIsAsFarAsItsLastInstance) {
  options_.first_metadata = 4700;
  receive(1, "1.5", "one");
  import_all();
  receive(2, "1.6", "two");

  run();

  EXPECT_EQ(metadata("instances", 1, 4700), "imported");
  EXPECT_EQ(metadata("studies", 900, 4700), "on_way");
}

TEST_F(FollowupTest, TellsOnceAndGoesOnAfterAnError) {
  options_.first_metadata = 4700;
  receive(1, "1.5", "one");
  import_all();
  archive_.hook = [](const std::string&) -> std::optional<Error> {
    return transient_error("orthanc.failed", "Busy.");
  };
  run();
  EXPECT_THAT(archive_.metadata, IsEmpty());
  archive_.hook = nullptr;
  run();
  EXPECT_EQ(metadata("instances", 1, 4700), "imported");
  archive_.metadata.clear();

  run();

  EXPECT_THAT(archive_.metadata, IsEmpty());
}

TEST_F(FollowupTest, MetadataThatCannotBeWrittenDoesNotKeepDeletionBack) {
  options_.first_metadata = 4700;
  options_.delete_imported = true;
  receive(1, "1.5", "one");
  import_all();
  archive_.hook = [](const std::string& path) -> std::optional<Error> {
    if (path.find("/metadata/") == std::string::npos) return std::nullopt;
    return transient_error("orthanc.failed", "Busy.");
  };

  run();

  EXPECT_FALSE(archive_.holds(1));
}

TEST_F(FollowupTest, DeletesWhatIsImportedAfterItsRetentionAndNotBefore) {
  options_.delete_imported = true;
  options_.retention = Milliseconds{60'000};
  receive(1, "1.5", "one");
  import_all();

  run();
  EXPECT_TRUE(archive_.holds(1));
  env_.clock.advance(Milliseconds{60'001});
  run();

  EXPECT_FALSE(archive_.holds(1));
}

TEST_F(FollowupTest, NeverDeletesOtherBytesThanWereImported) {
  options_.delete_imported = true;
  receive(1, "1.5", "one");
  import_all();
  archive_.store(1, file_of("overwritten, and not taken yet"));
  env_.clock.advance(Milliseconds{1});

  run();

  EXPECT_TRUE(archive_.holds(1));
}

TEST_F(FollowupTest, NeverDeletesWhatWaitsUnderTheSameUid) {
  options_.delete_imported = true;
  receive(1, "1.5", "one");
  import_all();
  record("1.5", "other bytes");
  env_.clock.advance(Milliseconds{1});

  run();

  EXPECT_TRUE(archive_.holds(1));
}

TEST_F(FollowupTest, LeavesProtectedPatientsAlone) {
  options_.delete_imported = true;
  receive(1, "1.5", "one");
  import_all();
  archive_.is_protected = true;
  env_.clock.advance(Milliseconds{1});

  run();

  EXPECT_TRUE(archive_.holds(1));
}

TEST_F(FollowupTest, KeepsEverythingUnlessItIsTold) {
  receive(1, "1.5", "one");
  import_all();
  env_.clock.advance(Milliseconds{1'000'000'000});

  run();

  EXPECT_TRUE(archive_.holds(1));
  EXPECT_THAT(archive_.metadata, IsEmpty());
}

}  // namespace
}  // namespace isthmus::test
