#include "app/configured_senders.h"

#include <gmock/gmock.h>

namespace isthmus::app {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Optional;

ParsedSettings parse(std::string file) {
  ConfigSources sources;
  sources.file_text = std::move(file);
  sources.environment = [](const std::string&) { return std::nullopt; };
  return parse_settings(sources);
}

std::string pin() {
  return std::string(64, 'a');
}

TEST(ConfiguredSenders, ReportsAreBoundToACertificateOnlyByTls) {
  const ParsedSettings parsed = parse(R"({"senders": {
    "a": {"calling_ae_titles": ["A"], "report_to": "pacs:104", "report_tls_name": "pacs.example"},
    "b": {"calling_ae_titles": ["B"], "report_to": "pacs:104", "report_tls": true,
          "report_tls_pin": "abc"}}})");

  EXPECT_THAT(parsed.problems, ElementsAre(HasSubstr("senders.a.report_tls_name"),
                                           HasSubstr("senders.b.report_tls_pin")));
}

TEST(ConfiguredSenders, AreWhatTheConfigurationSays) {
  const ParsedSettings parsed = parse(R"({
    "dimse": {"ae_titles": ["ARCHIVE"]},
    "destinations": {"near": {}, "far": {}},
    "senders": {"ct": {"calling_ae_titles": ["CT_1"], "addresses": ["10.1.0.0/16"],
                       "tls_identities": ["ct.example"], "sop_classes": ["images"],
                       "associations": 4, "instances_per_second": 2.5, "bytes_per_second": "1MiB",
                       "destinations": ["near", "near"], "report_to": "ct.example:104",
                       "report_tls": true, "report_tls_name": "inside.example",
                       "report_tls_pin": ")" +
                                      pin() + R"(", "commitment": "staged"}},
    "routes": {"mr": {"conditions": ["modality equals MR"], "destinations": ["far"]}}})");

  const SenderPolicy policy = configured_senders(parsed.settings).policy;

  EXPECT_THAT(parsed.problems, IsEmpty());
  EXPECT_THAT(policy.ae_titles, ElementsAre("ARCHIVE"));
  ASSERT_EQ(policy.senders.size(), 1u);
  const Sender& ct = policy.senders.front();
  EXPECT_EQ(ct.name, "ct");
  EXPECT_THAT(ct.calling_ae_titles, ElementsAre("CT_1"));
  EXPECT_THAT(ct.addresses, ElementsAre(*AddressRange::parse("10.1.0.0/16")));
  EXPECT_THAT(ct.tls_identities, ElementsAre("ct.example"));
  EXPECT_THAT(ct.sop_classes, ElementsAre("images"));
  EXPECT_THAT(ct.destinations, Optional(ElementsAre("near")));
  EXPECT_EQ(ct.limits, (SenderLimits{4, 2.5, 1048576}));
  EXPECT_EQ(ct.report_to, (ReportAddress{"ct.example", 104, true, "inside.example", pin()}));
  EXPECT_EQ(ct.commitment_level, CommitmentLevel::staged);
  EXPECT_TRUE(ct.may_ask_commitment);
  ASSERT_EQ(policy.routes.in_order().size(), 1u);
  EXPECT_EQ(policy.routes.in_order().front().conditions.front().text(), "modality equals MR");
}

TEST(ConfiguredSenders, WhatIsLeftOutHasNoLimits) {
  const ParsedSettings parsed =
      parse(R"({"senders": {"ct": {"calling_ae_titles": ["CT_1"], "commitment": "none"}}})");

  const Sender ct = configured_senders(parsed.settings).policy.senders.front();

  EXPECT_EQ(ct.destinations, std::nullopt);
  EXPECT_EQ(ct.report_to, std::nullopt);
  EXPECT_EQ(ct.commitment_level, std::nullopt);
  EXPECT_FALSE(ct.may_ask_commitment);
}

TEST(ConfiguredSenders, EveryMistakeIsAProblemOfTheConfiguration) {
  const ParsedSettings parsed = parse(R"({
    "senders": {"a": {"calling_ae_titles": [" SPACES_AROUND_IT "],
                      "called_ae_titles": ["SEVENTEEN_LETTERS"], "addresses": ["10.1.2.3/16"],
                      "sop_classes": ["pictures"], "destinations": ["nowhere"],
                      "report_to": "pacs"},
                "everybody": {}},
    "routes": {"b": {"conditions": ["modality is CT"], "destinations": []}}})");

  EXPECT_THAT(parsed.problems,
              ElementsAre(HasSubstr("SPACES_AROUND_IT"), HasSubstr("SEVENTEEN_LETTERS"),
                          HasSubstr("10.1.2.3/16"), HasSubstr("pictures"), HasSubstr("nowhere"),
                          HasSubstr("report_to"), HasSubstr("senders.everybody"),
                          HasSubstr("modality is CT"),
                          AllOf(HasSubstr("routes.b"), HasSubstr("at least one"))));
}

}  // namespace
}  // namespace isthmus::app
