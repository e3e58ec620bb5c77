#include "app/intake_status.h"

#include <gtest/gtest.h>

namespace isthmus::app {
namespace {

using nlohmann::ordered_json;

TEST(IntakeStatus, SaysStateSpaceAndWhenItWillBeFull) {
  const ordered_json intake{
      {"admission", "tight"}, {"available_bytes", 12'340'000'000}, {"time_to_full_s", 10'800}};

  EXPECT_EQ(intake_text(intake),
            "intake tight: space runs short, 12.3 GB available, full in 3 h at the present rate");
}

TEST(IntakeStatus, SaysNothingOfWhenItNeverFills) {
  const ordered_json intake{
      {"admission", "open"}, {"available_bytes", 12'340'000'000}, {"time_to_full_s", nullptr}};

  EXPECT_EQ(intake_text(intake), "intake open, 12.3 GB available");
}

TEST(IntakeStatus, SaysWhatSendersHear) {
  const ordered_json refusing{
      {"admission", "refusing"}, {"available_bytes", 1'000'000'000}, {"time_to_full_s", 60}};
  const ordered_json full{
      {"admission", "full"}, {"available_bytes", 1'000'000'000}, {"time_to_full_s", 0}};

  EXPECT_EQ(intake_text(refusing),
            "intake refusing: new associations are rejected for now, open ones go on, 1.0 GB "
            "available, full in 60 s at the present rate");
  EXPECT_EQ(intake_text(full), "intake full: senders hear 0xA700, 1.0 GB available");
}

TEST(IntakeStatus, SaysWhenNobodyAnswers) {
  EXPECT_EQ(intake_text(std::nullopt), "intake unknown: no daemon answers on http.port");
}

}  // namespace
}  // namespace isthmus::app
