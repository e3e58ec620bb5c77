#include "base/log.h"

#include <gtest/gtest.h>

#include "base/metrics.h"

namespace isthmus {
namespace {

TEST(Log, AValueCannotStartALineOrAField) {
  EXPECT_EQ(log_value("plain-1.2:3"), "plain-1.2:3");
  EXPECT_EQ(log_value(""), "\"\"");
  EXPECT_EQ(log_value("a b"), "\"a b\"");
  EXPECT_EQ(log_value("x\nerror forged"), "\"x\\x0aerror forged\"");
  EXPECT_EQ(log_value("\x1b[31m"), "\"\\x1b[31m\"");
  EXPECT_EQ(log_value("a\"b\\"), "\"a\\\"b\\\\\"");
}

TEST(Log, NumbersStandAsTheyAre) {
  EXPECT_EQ(LogField("n", 5).value, "5");
  EXPECT_EQ(LogField("n", 1.5).value, "1.500");
  EXPECT_EQ(LogField("n", true).value, "true");
}

TEST(Metrics, SameNameAndLabelsIsTheSameCounter) {
  const auto metrics = make_metrics();
  metrics->counter("instances_total", "Instances.", {{"result", "stored"}}).add(2);
  metrics->counter("instances_total", "Instances.", {{"result", "stored"}}).add();
  metrics->counter("instances_total", "Instances.", {{"result", "refused"}}).add();

  const std::string text = metrics->text();

  EXPECT_NE(text.find("isthmus_instances_total{result=\"stored\"} 3"), std::string::npos) << text;
  EXPECT_NE(text.find("isthmus_instances_total{result=\"refused\"} 1"), std::string::npos) << text;
}

TEST(Metrics, GaugesAreRefreshedBeforeTheTextIsMade) {
  const auto metrics = make_metrics();
  metrics->on_collect([&] { metrics->gauge("free_bytes", "Free.").set(42); });

  EXPECT_NE(metrics->text().find("isthmus_free_bytes 42"), std::string::npos);
}

}  // namespace
}  // namespace isthmus
