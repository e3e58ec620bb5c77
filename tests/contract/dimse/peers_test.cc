// Senders that nobody here wrote: DCMTK's own programs, as processes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <set>

#include "support/matchers.h"
#include "support/receiver_under_test.h"

namespace isthmus::test {
namespace {

struct Ended {
  int status = -1;
  std::string output;
  std::chrono::milliseconds took{0};
};

Ended run(const std::string& command) {
  const auto began = std::chrono::steady_clock::now();
  Ended ended;
  std::FILE* pipe = ::popen(("timeout 60 " + command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return ended;
  char chunk[4096];
  for (std::size_t got = 0; (got = std::fread(chunk, 1, sizeof(chunk), pipe)) > 0;) {
    ended.output.append(chunk, got);
  }
  ended.status = ::pclose(pipe);
  ended.took = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - began);
  return ended;
}

class Peers : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const auto* program : {"echoscu", "storescu", "dcmsend"}) {
      if (!std::filesystem::exists(std::string("/usr/bin/") + program)) {
        GTEST_SKIP() << program << " is not installed (Debian package dcmtk)";
      }
    }
  }
  // Writes a study and gives its folder and the data sets by SOP Instance UID.
  std::string write_study(int instances, std::string_view transfer_syntax = kExplicitLittle) {
    DicomRecipe like;
    like.transfer_syntax_uid = transfer_syntax;
    like.rows = like.columns = 64;
    const auto folder = folder_.path() / "study";
    std::filesystem::create_directories(folder);
    int number = 0;
    for (const DicomRecipe& recipe : study_recipes(7, 1, instances, like)) {
      std::ofstream(folder / fmt_name(number++), std::ios::binary) << make_part10(recipe);
      datasets_[recipe.sop_instance_uid] = make_dataset(recipe);
    }
    return folder.string();
  }
  static std::string fmt_name(int number) { return "image-" + std::to_string(number) + ".dcm"; }
  std::string target(const ReceiverUnderTest& under_test) const {
    return "127.0.0.1 " + std::to_string(under_test.port());
  }
  void expect_all_stored(const ReceiverUnderTest& under_test) {
    ASSERT_EQ(under_test.spool.instances().size(), datasets_.size());
    for (const auto& [uid, dataset] : datasets_) {
      const auto instance = under_test.spool.instance(uid);
      ASSERT_TRUE(instance) << uid;
      EXPECT_EQ(instance->dataset(), dataset) << uid;
    }
  }

  TempFolder folder_;
  std::map<std::string, std::string> datasets_;
};

TEST_F(Peers, EchoscuIsAnswered) {
  ReceiverUnderTest under_test;

  const Ended ended = run("echoscu -v " + target(under_test));

  EXPECT_EQ(ended.status, 0) << ended.output;
}

TEST_F(Peers, EchoscuIsToldWhyItMayNotAssociate) {
  SenderPolicy policy = open_policy();
  policy.ae_titles = {"SOMEBODY"};
  ReceiverUnderTest under_test({}, policy);

  const Ended ended = run("echoscu " + target(under_test));

  EXPECT_NE(ended.status, 0);
  EXPECT_THAT(ended.output, ::testing::HasSubstr("Called AE Title Not Recognized"));
}

TEST_F(Peers, StorescuSendsAStudy) {
  ReceiverUnderTest under_test;
  const std::string folder = write_study(20);

  const Ended ended = run("storescu +sd " + target(under_test) + " " + folder);

  EXPECT_EQ(ended.status, 0) << ended.output;
  expect_all_stored(under_test);
}

TEST_F(Peers, DcmsendSendsAStudy) {
  ReceiverUnderTest under_test;
  const std::string folder = write_study(20);

  const Ended ended = run("dcmsend +sd +r " + target(under_test) + " " + folder);

  EXPECT_EQ(ended.status, 0) << ended.output;
  expect_all_stored(under_test);
}

TEST_F(Peers, DcmsendSendsCompressedImagesAsTheyAre) {
  ReceiverUnderTest under_test;
  const std::string folder = write_study(5, kRle);

  const Ended ended = run("dcmsend --decompress-never +sd +r " + target(under_test) + " " + folder);

  EXPECT_EQ(ended.status, 0) << ended.output;
  ASSERT_EQ(under_test.spool.instances().size(), 5U);
  EXPECT_EQ(under_test.spool.instances()[0].identified.transfer_syntax_uid, kRle);
}

// Two stock tools take 88 ms for each small instance: Nagle on one side, delayed ACK on the other.
TEST_F(Peers, StorescuDoesNotWaitForDelayedAcknowledgements) {
  ReceiverUnderTest under_test;
  const std::string folder = write_study(100);

  const Ended ended = run("env -u TCP_NODELAY storescu +sd " + target(under_test) + " " + folder);

  EXPECT_EQ(ended.status, 0) << ended.output;
  EXPECT_EQ(under_test.spool.instances().size(), 100U);
  EXPECT_LT(ended.took.count(), 4000) << "half of the stall would take 4400 ms";
}

TEST_F(Peers, StorescuSeesThatTheSpoolIsFull) {
  ReceiverUnderTest under_test;
  under_test.spool.refuse_begin(transient_error("spool.full", "The disk is full."));
  const std::string folder = write_study(1);

  const Ended ended = run("storescu -v +sd " + target(under_test) + " " + folder);

  EXPECT_THAT(ended.output, ::testing::HasSubstr("Refused: OutOfResources"));
}

TEST_F(Peers, FourSendersAtOnce) {
  ReceiverUnderTest under_test;
  const std::string folder = write_study(25);
  const std::string one = "storescu +sd " + target(under_test) + " " + folder + " & ";

  const Ended ended = run("sh -c '" + one + one + one + one + " wait'");

  EXPECT_EQ(ended.status, 0) << ended.output;
  EXPECT_EQ(under_test.spool.instances().size(), 100U);
}

}  // namespace
}  // namespace isthmus::test
