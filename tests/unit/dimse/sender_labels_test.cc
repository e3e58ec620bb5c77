#include "dimse/session/sender_labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/test_env.h"

namespace isthmus::dimse {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(SenderLabels, EachSenderHasItsOwnHistogram) {
  test::TestEnv env;
  SenderLabels labels(env);

  labels.store_seconds("CT1").observe(0.5);
  labels.store_seconds("CT1").observe(0.5);
  labels.store_seconds("MR 2").observe(0.5);

  EXPECT_THAT(env.metrics->text(),
              HasSubstr("isthmus_dimse_store_seconds_count{sender=\"CT1\"} 2"));
  EXPECT_THAT(env.metrics->text(),
              HasSubstr("isthmus_dimse_store_seconds_count{sender=\"MR 2\"} 1"));
}

TEST(SenderLabels, AreBoundedHoweverManyTitlesCome) {
  test::TestEnv env;
  SenderLabels labels(env);
  for (int i = 0; i < 1000; ++i) labels.store_seconds("AE" + std::to_string(i)).observe(0.5);

  const std::string text = env.metrics->text();

  EXPECT_THAT(text, HasSubstr("sender=\"AE127\""));
  EXPECT_THAT(text, Not(HasSubstr("sender=\"AE128\"")));
  EXPECT_THAT(text, HasSubstr("isthmus_dimse_store_seconds_count{sender=\"other\"} 872"));
}

TEST(SenderLabels, TitlesThatCouldForgeALineAreOthers) {
  test::TestEnv env;
  SenderLabels labels(env);
  for (const auto* title : {"", "A\"} 1\nforged_total{x=\"", "\x1b[31m", "caf\xc3\xa9"}) {
    labels.store_seconds(title).observe(0.5);
  }

  EXPECT_THAT(env.metrics->text(),
              HasSubstr("isthmus_dimse_store_seconds_count{sender=\"other\"} 4"));
  EXPECT_THAT(env.metrics->text(), Not(HasSubstr("forged")));
}

}  // namespace
}  // namespace isthmus::dimse
