#include "app/stat_lane.h"

#include <gmock/gmock.h>

namespace isthmus::app {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

ParsedSettings parse(std::string file) {
  ConfigSources sources;
  sources.file_text = std::move(file);
  sources.environment = [](const std::string&) { return std::nullopt; };
  return parse_settings(sources);
}

Senders senders() {
  SenderPolicy policy;
  Sender emergency;
  emergency.name = "emergency";
  emergency.calling_ae_titles = {"CT_ER", "DX_ER"};
  policy.senders = {emergency};
  return Senders(std::move(policy));
}

Lane lane(const std::string& rules, WaitingDelivery delivery) {
  const ParsedSettings parsed = parse("{\"stat\": {\"when\": [" + rules + "]}}");
  EXPECT_THAT(parsed.problems, IsEmpty());
  const Senders known = senders();
  const auto rule = stat_lane_rule(parsed.settings, known);
  return rule ? rule(delivery) : Lane::routine;
}

WaitingDelivery from(const std::string& calling, const std::string& called,
                     const std::string& modality) {
  WaitingDelivery delivery;
  delivery.calling_ae_title = calling;
  delivery.called_ae_title = called;
  delivery.modality = modality;
  return delivery;
}

TEST(StatLane, IsBySenderTitleOrModality) {
  EXPECT_EQ(lane("\"sender equals emergency\"", from("DX_ER", "", "")), Lane::stat);
  EXPECT_EQ(lane("\"sender equals emergency\"", from("CT_1", "", "")), Lane::routine);
  EXPECT_EQ(lane("\"called_ae_title glob *_STAT\"", from("CT_1", "ARC_STAT", "")), Lane::stat);
  EXPECT_EQ(lane("\"modality one_of DX, CR\"", from("A", "B", "CR")), Lane::stat);
}

TEST(StatLane, OneRuleThatHoldsIsEnough) {
  const std::string rules = "\"modality equals DX\", \"called_ae_title equals STAT\"";

  EXPECT_EQ(lane(rules, from("A", "STAT", "CT")), Lane::stat);
  EXPECT_EQ(lane(rules, from("A", "B", "CT")), Lane::routine);
}

TEST(StatLane, WithoutRulesNothingIsAskedOfAnybody) {
  const Senders known = senders();

  EXPECT_FALSE(stat_lane_rule(parse("{}").settings, known));
}

TEST(StatLane, RulesThatCannotBeUsedAreProblems) {
  EXPECT_THAT(
      parse(R"({"stat": {"when": ["study_description contains stat", "nonsense"]}})").problems,
      ElementsAre(HasSubstr("study_description is not kept"), HasSubstr("stat.when")));
}

}  // namespace
}  // namespace isthmus::app
