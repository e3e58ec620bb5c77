#include "app/stat_lane.h"

#include <algorithm>

namespace isthmus::app {
namespace {

constexpr const char* kSetting = "stat.when";

// The others are free text close to the patient, and are not kept (senders/routes.h).
bool is_kept(RouteAttribute attribute) {
  return attribute != RouteAttribute::study_description &&
         attribute != RouteAttribute::institution_name;
}

}  // namespace

std::vector<std::string> stat_problems(const Settings& settings) {
  std::vector<std::string> problems;
  for (const std::string& text : settings.list(kSetting)) {
    const auto condition = RouteCondition::parse(text);
    if (!condition.ok()) {
      problems.push_back(std::string(kSetting) + ": " + condition.error().message);
    } else if (!is_kept(condition->attribute)) {
      problems.push_back(std::string(kSetting) + ": " +
                         std::string(to_string(condition->attribute)) +
                         " is not kept; use sender, calling_ae_title, called_ae_title or "
                         "modality.");
    }
  }
  return problems;
}

std::function<Lane(const WaitingDelivery&)> stat_lane_rule(const Settings& settings,
                                                           const Senders& senders) {
  std::vector<RouteCondition> conditions;
  for (const std::string& text : settings.list(kSetting)) {
    if (auto condition = RouteCondition::parse(text); condition.ok()) {
      conditions.push_back(std::move(condition).value());
    }
  }
  if (conditions.empty()) return {};
  const bool asks_for_sender = std::ranges::any_of(conditions, [](const RouteCondition& one) {
    return one.attribute == RouteAttribute::sender;
  });
  return [conditions = std::move(conditions), asks_for_sender,
          &senders](const WaitingDelivery& delivery) {
    RouteAttributes attributes;
    attributes.calling_ae_title = delivery.calling_ae_title;
    attributes.called_ae_title = delivery.called_ae_title;
    attributes.modality = delivery.modality;
    if (asks_for_sender) {
      const auto sender = senders.find_by_ae_title(delivery.calling_ae_title);
      if (sender) attributes.sender = sender->name;
    }
    const bool cannot_wait = std::ranges::any_of(
        conditions, [&](const RouteCondition& one) { return one.holds(attributes); });
    return cannot_wait ? Lane::stat : Lane::routine;
  };
}

}  // namespace isthmus::app
