#include "senders/routes.h"

#include <gmock/gmock.h>

#include "support/matchers.h"

namespace isthmus {
namespace {

using test::FailsWith;
using testing::ElementsAre;
using testing::Optional;

RouteAttributes attributes() {
  return {.sender = "ct1",
          .calling_ae_title = "CT_1",
          .called_ae_title = "ISTHMUS",
          .modality = "CT",
          .study_description = "CT Chest w/o contrast",
          .institution_name = "General Hospital North"};
}

bool holds(std::string_view text, const RouteAttributes& of = attributes()) {
  const auto condition = RouteCondition::parse(text);
  EXPECT_TRUE(condition.ok()) << text;
  return condition.ok() && condition->holds(of);
}

Route route(std::string name, const std::vector<std::string>& conditions,
            std::vector<std::string> destinations) {
  Route made{std::move(name), {}, std::move(destinations)};
  for (const std::string& text : conditions) {
    made.conditions.push_back(RouteCondition::parse(text).value());
  }
  return made;
}

TEST(RouteCondition, ComparesEachAttribute) {
  EXPECT_TRUE(holds("sender equals ct1"));
  EXPECT_TRUE(holds("calling_ae_title equals CT_1"));
  EXPECT_TRUE(holds("called_ae_title equals ISTHMUS"));
  EXPECT_TRUE(holds("modality equals CT"));
  EXPECT_TRUE(holds("study_description contains chest"));
  EXPECT_TRUE(holds("institution_name glob *hospital*"));
  EXPECT_FALSE(holds("modality equals MR"));
  EXPECT_FALSE(holds("institution_name equals General"));
}

TEST(RouteCondition, OneOfTakesEveryValueOfItsList) {
  EXPECT_TRUE(holds("modality one_of MR, CT ,PT"));
  EXPECT_FALSE(holds("modality one_of MR,PT"));
  EXPECT_TRUE(holds("modality one_of CT"));
}

TEST(RouteCondition, CaseMattersInAeTitlesOnly) {
  EXPECT_FALSE(holds("calling_ae_title equals ct_1"));
  EXPECT_FALSE(holds("calling_ae_title glob ct*"));
  EXPECT_TRUE(holds("modality equals ct"));
  EXPECT_TRUE(holds("study_description contains CHEST"));
}

TEST(RouteCondition, GlobKnowsStarAndQuestionMark) {
  EXPECT_TRUE(holds("calling_ae_title glob CT_?"));
  EXPECT_FALSE(holds("calling_ae_title glob CT_??"));
  EXPECT_TRUE(holds("calling_ae_title glob *"));
  EXPECT_TRUE(holds("study_description glob ct*con*st"));
  EXPECT_FALSE(holds("study_description glob ct*con"));
  EXPECT_TRUE(holds("study_description glob **chest**"));
}

TEST(RouteCondition, AGlobOfManyStarsOnALongTextEnds) {
  RouteAttributes long_text = attributes();
  long_text.study_description = std::string(10'000, 'a');

  EXPECT_FALSE(holds("study_description glob *a*a*a*a*a*a*a*a*a*a*a*a*a*b", long_text));
}

TEST(RouteCondition, PaddingIsNotPartOfAValue) {
  RouteAttributes padded = attributes();
  padded.modality = "CT ";

  EXPECT_TRUE(holds("modality equals CT", padded));
}

TEST(RouteCondition, RefusesWhatItCannotRead) {
  for (const char* text : {"", "modality", "modality equals", "modality is CT", "patient equals X",
                           "modality one_of CT,,MR", "modality one_of ,"}) {
    EXPECT_THAT(RouteCondition::parse(text), FailsWith("route.bad_condition")) << text;
  }
}

TEST(RouteCondition, WritesWhatItReads) {
  for (const char* text : {"modality one_of CT, MR", "study_description contains left knee"}) {
    EXPECT_EQ(RouteCondition::parse(text)->text(), text);
  }
}

TEST(Routes, TheFirstByNameWhoseConditionsAllHoldDecides) {
  const Routes routes({route("90-rest", {}, {"archive"}),
                       route("10-knee", {"modality equals CT", "study_description contains knee"},
                             {"orthopaedics"}),
                       route("20-ct", {"modality equals CT"}, {"radiology", "archive"})});

  const RouteDecision ct = routes.decide(attributes(), std::nullopt);
  RouteAttributes other = attributes();
  other.modality = "US";
  const RouteDecision rest = routes.decide(other, std::nullopt);

  EXPECT_EQ(ct.route, "20-ct");
  EXPECT_THAT(ct.destinations, Optional(ElementsAre("radiology", "archive")));
  EXPECT_EQ(rest.route, "90-rest");
}

TEST(Routes, WithoutAMatchTheSendersOwnDestinationsAreTakenThenAll) {
  const Routes routes({route("mr", {"modality equals MR"}, {"archive"})});

  const RouteDecision own = routes.decide(attributes(), std::vector<std::string>{"research"});
  const RouteDecision all = routes.decide(attributes(), std::nullopt);

  EXPECT_EQ(own.route, "");
  EXPECT_THAT(own.destinations, Optional(ElementsAre("research")));
  EXPECT_EQ(all.route, "");
  EXPECT_EQ(all.destinations, std::nullopt);
}

TEST(Routes, TellWhatTheyLookAt) {
  const Routes routes({route("a", {"modality equals CT"}, {"x"}),
                       route("b", {"sender equals y", "called_ae_title glob A*"}, {"x"})});

  EXPECT_TRUE(routes.look_at(RouteAttribute::modality));
  EXPECT_TRUE(routes.look_at(RouteAttribute::called_ae_title));
  EXPECT_FALSE(routes.look_at(RouteAttribute::institution_name));
}

}  // namespace
}  // namespace isthmus
