#include "senders/routes.h"

#include <algorithm>
#include <array>

namespace isthmus {
namespace {

constexpr std::array<std::string_view, 6> kAttributes{
    "sender",   "calling_ae_title",  "called_ae_title",
    "modality", "study_description", "institution_name"};
constexpr std::array<std::string_view, 4> kOperators{"equals", "one_of", "contains", "glob"};

bool is_ae_title(RouteAttribute attribute) {
  return attribute == RouteAttribute::calling_ae_title ||
         attribute == RouteAttribute::called_ae_title;
}

const std::string& value_of(const RouteAttributes& attributes, RouteAttribute attribute) {
  switch (attribute) {
    case RouteAttribute::sender:
      return attributes.sender;
    case RouteAttribute::calling_ae_title:
      return attributes.calling_ae_title;
    case RouteAttribute::called_ae_title:
      return attributes.called_ae_title;
    case RouteAttribute::modality:
      return attributes.modality;
    case RouteAttribute::study_description:
      return attributes.study_description;
    case RouteAttribute::institution_name:
      return attributes.institution_name;
  }
  return attributes.sender;
}

std::string folded(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// Linear in the text for each star: goes back only to the last one.
bool matches_glob(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool compare(RouteOperator comparison, std::string_view text, std::string_view value) {
  switch (comparison) {
    case RouteOperator::equals:
    case RouteOperator::one_of:
      return text == value;
    case RouteOperator::contains:
      return text.find(value) != std::string_view::npos;
    case RouteOperator::glob:
      return matches_glob(value, text);
  }
  return false;
}

// The first word of `text`, which loses it.
std::string_view take_word(std::string_view& text) {
  text = trimmed(text);
  const std::string_view word = text.substr(0, text.find(' '));
  text = trimmed(text.substr(word.size()));
  return word;
}

template <typename Names>
std::string listed(const Names& names) {
  std::string text;
  for (const std::string_view name : names) {
    text += text.empty() ? "" : ", ";
    text += name;
  }
  return text;
}

Error bad_condition(std::string_view condition, const std::string& what) {
  return permanent_error("route.bad_condition",
                         "The condition \"" + std::string(condition) + "\" " + what + ".");
}

}  // namespace

Result<RouteCondition> RouteCondition::parse(std::string_view text) {
  std::string_view rest = text;
  const std::string_view attribute = take_word(rest);
  const auto known = std::find(kAttributes.begin(), kAttributes.end(), attribute);
  if (known == kAttributes.end()) {
    return bad_condition(text, "must begin with one of " + listed(kAttributes));
  }
  const std::string_view word = take_word(rest);
  const auto op = std::find(kOperators.begin(), kOperators.end(), word);
  if (op == kOperators.end()) {
    return bad_condition(text, "must go on with one of " + listed(kOperators));
  }
  RouteCondition condition;
  condition.attribute = static_cast<RouteAttribute>(known - kAttributes.begin());
  condition.comparison = static_cast<RouteOperator>(op - kOperators.begin());
  if (rest.empty()) return bad_condition(text, "must end with a value");
  if (condition.comparison != RouteOperator::one_of) {
    condition.values.emplace_back(rest);
    return condition;
  }
  while (!rest.empty()) {
    const auto comma = std::min(rest.find(','), rest.size());
    const std::string_view value = trimmed(rest.substr(0, comma));
    if (value.empty()) return bad_condition(text, "has an empty value between its commas");
    condition.values.emplace_back(value);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return condition;
}

bool RouteCondition::holds(const RouteAttributes& attributes) const {
  const bool case_matters = is_ae_title(attribute);
  const std::string_view raw = trimmed(value_of(attributes, attribute));
  const std::string text = case_matters ? std::string(raw) : folded(raw);
  return std::any_of(values.begin(), values.end(), [&](const std::string& value) {
    return compare(comparison, text, case_matters ? value : folded(value));
  });
}

std::string RouteCondition::text() const {
  return std::string(to_string(attribute)) + " " + std::string(to_string(comparison)) + " " +
         listed(values);
}

Routes::Routes(std::vector<Route> routes) : routes_(std::move(routes)) {
  std::sort(routes_.begin(), routes_.end(),
            [](const Route& a, const Route& b) { return a.name < b.name; });
}

RouteDecision Routes::decide(const RouteAttributes& attributes,
                             const std::optional<std::vector<std::string>>& of_sender) const {
  for (const Route& route : routes_) {
    const bool holds =
        std::all_of(route.conditions.begin(), route.conditions.end(),
                    [&](const RouteCondition& condition) { return condition.holds(attributes); });
    if (holds) return {route.name, route.destinations};
  }
  return {"", of_sender};
}

bool Routes::look_at(RouteAttribute attribute) const {
  return std::any_of(routes_.begin(), routes_.end(), [attribute](const Route& route) {
    return std::any_of(
        route.conditions.begin(), route.conditions.end(),
        [attribute](const RouteCondition& condition) { return condition.attribute == attribute; });
  });
}

std::string_view to_string(RouteAttribute attribute) {
  return kAttributes[static_cast<std::size_t>(attribute)];
}

std::string_view to_string(RouteOperator comparison) {
  return kOperators[static_cast<std::size_t>(comparison)];
}

}  // namespace isthmus
