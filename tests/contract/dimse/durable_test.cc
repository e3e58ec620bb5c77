// The receiver over the real spool and the real ledger: what was acknowledged has bytes and a row.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "dimse/receiver.h"
#include "ledger/ledger.h"
#include "support/dicom_factory.h"
#include "support/matchers.h"
#include "support/raw_scu.h"
#include "support/receiver_under_test.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

class DurableReceiver : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = open_sqlite_ledger(
        env_, {.directory = env_.folder() / "ledger", .destinations = {"archive"}});
    ASSERT_THAT(opened, IsOk());
    ledger_ = std::move(opened).value();
    admission_.refresh();
    auto spool = open_file_spool(env_, env_.folder() / "spool", *ledger_, admission_);
    ASSERT_THAT(spool, IsOk());
    spool_ = std::move(spool).value();
    ASSERT_THAT(spool_->recover(), IsOk());
    DimseOptions options;
    options.port = 0;
    auto receiver = open_dimse_receiver(env_, *spool_, admission_, senders_, options);
    ASSERT_THAT(receiver, IsOk());
    receiver_ = std::move(receiver).value();
  }
  void TearDown() override {
    if (receiver_) receiver_->stop();
    if (ledger_) ledger_->stop();
  }
  Result<std::unique_ptr<RawScu>> associate() {
    return RawScu::associate("127.0.0.1", receiver_->port(),
                             request_for(kCtImageStorage, kExplicitLittle));
  }
  // The data set of the only instance with this UID, as the spool gives it back.
  std::string stored_dataset(const std::string& uid) {
    const auto views = ledger_->instances(uid, 10);
    if (!views.ok() || views->size() != 1) return "not one row";
    const Instance& instance = views->front().instance;
    auto source = spool_->open(instance.spool_ref);
    if (!source.ok()) return describe(source.error());
    auto all = read_all(**source, 64 * MiB);
    if (!all.ok()) return describe(all.error());
    if (sha256(*all) != instance.file_digest) return "another digest";
    return all->substr(instance.dataset_offset_bytes);
  }

  TestEnv env_{1, posix_files(), true};
  Admission admission_{env_, AdmissionOptions{env_.folder(), 0, 0}};
  Senders senders_{open_policy()};
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<DimseReceiver> receiver_;
};

TEST_F(DurableReceiver, EveryAcknowledgedInstanceHasBytesAndARow) {
  DicomRecipe like;
  like.rows = like.columns = 32;
  const auto recipes = study_recipes(3, 4, 25, like);
  std::vector<std::thread> senders;
  std::atomic<int> acknowledged{0};
  for (std::size_t k = 0; k < 4; ++k) {
    senders.emplace_back([&, k] {
      auto scu = associate();
      ASSERT_THAT(scu, IsOk());
      for (std::size_t i = k; i < recipes.size(); i += 4) {
        const auto response = (*scu)->store(3, kCtImageStorage, recipes[i].sop_instance_uid,
                                            make_dataset(recipes[i]));
        ASSERT_THAT(response, IsOk());
        if (response->status == 0) ++acknowledged;
      }
    });
  }
  for (auto& sender : senders) sender.join();

  EXPECT_EQ(acknowledged, 100);
  for (const DicomRecipe& recipe : recipes) {
    EXPECT_EQ(stored_dataset(recipe.sop_instance_uid), make_dataset(recipe));
  }
  const auto waiting = ledger_->waiting_deliveries("archive", env_.env().clock.wall_now(), 1000);
  ASSERT_THAT(waiting, IsOk());
  EXPECT_EQ(waiting->size(), 100U);
}

TEST_F(DurableReceiver, TheSameAgainIsASuccessAndNoSecondRow) {
  DicomRecipe recipe;
  ASSERT_OK_AND_ASSIGN(auto scu, associate());
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK_AND_ASSIGN(
        const auto response,
        scu->store(3, kCtImageStorage, recipe.sop_instance_uid, make_dataset(recipe)));
    EXPECT_EQ(response.status, 0);
  }
  EXPECT_EQ(ledger_->instances(recipe.sop_instance_uid, 10)->size(), 1U);

  recipe.seed = 99;  // other pixels under the same UID
  ASSERT_OK_AND_ASSIGN(const auto response, scu->store(3, kCtImageStorage, recipe.sop_instance_uid,
                                                       make_dataset(recipe)));
  EXPECT_EQ(response.status, 0);
  EXPECT_EQ(ledger_->instances(recipe.sop_instance_uid, 10)->size(), 2U);
}

TEST_F(DurableReceiver, SaysToComeBackWhileAdmissionIsClosed) {
  DicomRecipe recipe;
  ASSERT_OK_AND_ASSIGN(auto scu, associate());
  admission_.close(AdmissionState::failed);

  ASSERT_OK_AND_ASSIGN(const auto response, scu->store(3, kCtImageStorage, recipe.sop_instance_uid,
                                                       make_dataset(recipe)));

  EXPECT_EQ(response.status, 0xA700);
  EXPECT_EQ(scu->echo(1)->status, 0);
  EXPECT_TRUE(ledger_->instances(recipe.sop_instance_uid, 10)->empty());
}

}  // namespace
}  // namespace isthmus::test
