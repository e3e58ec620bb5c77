#include "plugin/protection.h"

#include <gmock/gmock.h>

#include "plugin/followup.h"
#include "unit/plugin/plugin_fixture.h"

namespace isthmus::test {
namespace {

using plugin::Followup;
using plugin::FollowupOptions;

constexpr std::int64_t kNumber = 4703;

class ProtectionTest : public PluginFixture {
 protected:
  ProtectionTest() {
    options_.protection_metadata = kNumber;
    archive_.set_note("database 0");  // the feed has begun
    run();
  }
  // A start of the plugin, until nothing is left to do.
  void run() {
    Followup followup(env_, archive_, ledger_, options_);
    for (int i = 0; i < 100 && followup.run_once() == Milliseconds{0}; ++i) {
    }
  }
  std::string note_of_patient() const {
    const auto found = archive_.metadata.find("/patients/" + FakeArchive::id(0) + "/metadata/4703");
    return found == archive_.metadata.end() ? "" : found->second;
  }
  double counted(const char* name) { return env_.env().metrics.counter(name, "").value(); }

  FollowupOptions options_;
};

TEST_F(ProtectionTest, APatientIsProtectedFromArrivalToImport) {
  receive(1, "1.5", "one");
  run();
  EXPECT_TRUE(archive_.is_protected);
  EXPECT_EQ(note_of_patient(), "isthmus");

  import_all();
  run();

  EXPECT_FALSE(archive_.is_protected);
  EXPECT_EQ(note_of_patient(), "");
  EXPECT_EQ(counted("orthanc_protected_total"), 1);
  EXPECT_EQ(counted("orthanc_unprotected_total"), 1);
}

TEST_F(ProtectionTest, WhatTheLedgerDoesNotKnowYetIsOnItsWay) {
  archive_.store(1, file_of("not taken yet"));

  run();

  EXPECT_TRUE(archive_.is_protected);
}

TEST_F(ProtectionTest, NobodyIsLetGoWhileAnotherInstanceIsOnItsWay) {
  receive(1, "1.5", "one");
  run();
  import_all();
  receive(2, "1.6", "two");

  run();

  EXPECT_TRUE(archive_.is_protected);
  import_all();
  run();
  EXPECT_FALSE(archive_.is_protected);
}

TEST_F(ProtectionTest, NobodyIsLetGoWhileOrthancHoldsWhatWasNeverTaken) {
  archive_.store(7, file_of("cannot be taken"));
  receive(1, "1.5", "one");
  run();
  import_all();

  run();

  EXPECT_TRUE(archive_.is_protected);
}

TEST_F(ProtectionTest, WhomAPersonProtectedStaysProtected) {
  archive_.is_protected = true;
  receive(1, "1.5", "one");
  run();
  EXPECT_EQ(note_of_patient(), "");
  import_all();

  run();

  EXPECT_TRUE(archive_.is_protected);
  EXPECT_EQ(counted("orthanc_unprotected_total"), 0);
}

TEST_F(ProtectionTest, WhomAPersonUnprotectedIsProtectedForWhatComesNext) {
  Followup followup(env_, archive_, ledger_, options_);
  const auto until_idle = [&] {
    for (int i = 0; i < 100 && followup.run_once() == Milliseconds{0}; ++i) {
    }
  };
  archive_.is_protected = true;
  receive(1, "1.5", "one");
  until_idle();
  import_all();
  until_idle();
  archive_.is_protected = false;

  receive(2, "1.6", "two");
  until_idle();

  EXPECT_TRUE(archive_.is_protected);
}

TEST_F(ProtectionTest, WhatIsImportedAlreadyIsNotProtected) {
  receive(1, "1.5", "one");
  import_all();

  run();

  EXPECT_FALSE(archive_.is_protected);
  EXPECT_EQ(counted("orthanc_protected_total"), 0);
}

TEST_F(ProtectionTest, KilledBetweenNoteAndSwitchTheNextStartDoesBoth) {
  receive(1, "1.5", "one");
  archive_.hook = [&](const std::string& path) -> std::optional<Error> {
    if (!path.ends_with("/protected") || note_of_patient().empty()) return std::nullopt;
    return transient_error("orthanc.failed", "Busy.");
  };
  run();
  EXPECT_FALSE(archive_.is_protected);
  EXPECT_EQ(note_of_patient(), "isthmus");
  archive_.hook = nullptr;

  run();

  EXPECT_TRUE(archive_.is_protected);
  import_all();
  run();
  EXPECT_FALSE(archive_.is_protected);
  EXPECT_EQ(note_of_patient(), "");
}

TEST_F(ProtectionTest, WhatWasThereBeforeIsLeftAloneUnlessItWillBeTaken) {
  PluginFixture::archive_ = FakeArchive();
  archive_.store(1, file_of("old"));
  archive_.set_note("another 1000");
  ASSERT_THAT(ledger_.receiver_rows().keep_mark("orthanc.protected", "another 2"), IsOk());
  run();
  EXPECT_FALSE(archive_.is_protected);

  // Another database: the feed fetches all of it.
  archive_.set_note("third 0");
  run();

  EXPECT_TRUE(archive_.is_protected);
}

TEST_F(ProtectionTest, ABackupsOlderPositionIsGoneBackTo) {
  archive_.store(1, file_of("stored after the back-up was put back"));
  archive_.set_note("database 0");
  ASSERT_THAT(ledger_.receiver_rows().keep_mark("orthanc.protected", "database 500"), IsOk());

  run();

  EXPECT_TRUE(archive_.is_protected);
}

TEST_F(ProtectionTest, OurOwnProtectionDoesNotKeepAnImportedCopyFromBeingDeleted) {
  options_.delete_imported = true;
  receive(1, "1.5", "one");
  run();
  archive_.store(7, file_of("on its way"));
  import_all();
  env_.clock.advance(Milliseconds{1});
  run();

  EXPECT_TRUE(archive_.is_protected);
  EXPECT_FALSE(archive_.holds(1));
  EXPECT_TRUE(archive_.holds(7));
}

}  // namespace
}  // namespace isthmus::test
