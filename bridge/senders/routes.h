// Where an instance goes, by simple rules on who sent it and what its head says.
//
// A route is a name, conditions that must all hold, and destinations. Routes are looked at in the
// order of their names ("10-mammography" before "90-rest"), whatever order they were written in,
// and the first whose conditions all hold decides. When none does, the sender's own destinations
// are taken; when it has none, every configured destination. So nothing is ever routed nowhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace isthmus {

// What rules may look at. Study description and institution are free text close to the patient:
// they are held while an instance is received, and never logged or stored.
struct RouteAttributes {
  std::string sender;  // its name in the configuration; empty: not a known one
  std::string calling_ae_title;
  std::string called_ae_title;
  std::string modality;           // (0008,0060)
  std::string study_description;  // (0008,1030)
  std::string institution_name;   // (0008,0080)
};

enum class RouteAttribute : std::uint8_t {
  sender,
  calling_ae_title,
  called_ae_title,
  modality,
  study_description,
  institution_name,
};
enum class RouteOperator : std::uint8_t { equals, one_of, contains, glob };

// "modality one_of CT, MR" · "study_description contains mammo" · "calling_ae_title glob CT_*".
// A glob's * is any number of characters, ? is one. Upper and lower case of ASCII letters are the
// same but for AE titles (PS3.5 section 6.2: case matters there).
struct RouteCondition {
  RouteAttribute attribute = RouteAttribute::sender;
  RouteOperator comparison = RouteOperator::equals;
  std::vector<std::string> values;  // exactly one, but for one_of

  // "route.bad_condition" (permanent) with what is wrong.
  static Result<RouteCondition> parse(std::string_view text);
  bool holds(const RouteAttributes& attributes) const;
  std::string text() const;  // as parse() takes it
  bool operator==(const RouteCondition&) const = default;
};

struct Route {
  std::string name;
  std::vector<RouteCondition> conditions;  // none: always holds
  std::vector<std::string> destinations;   // at least one, each once
};

// Where an instance goes, and why.
struct RouteDecision {
  std::string route;  // the route that decided; empty: the sender's own, or every one
  // Nothing: every configured destination.
  std::optional<std::vector<std::string>> destinations;
};

// Routes in their order; no two have the same name.
class Routes {
 public:
  Routes() = default;
  explicit Routes(std::vector<Route> routes);

  // `of_sender` is what a sender without a matching route gets.
  RouteDecision decide(const RouteAttributes& attributes,
                       const std::optional<std::vector<std::string>>& of_sender) const;
  const std::vector<Route>& in_order() const { return routes_; }
  // Whether any rule asks for this.
  bool look_at(RouteAttribute attribute) const;

 private:
  std::vector<Route> routes_;
};

std::string_view to_string(RouteAttribute attribute);
std::string_view to_string(RouteOperator comparison);

}  // namespace isthmus
