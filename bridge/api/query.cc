#include "api/query.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace isthmus::api {

std::optional<std::string> Query::text(std::string_view name) const {
  for (const auto& [key, value] : parameters_) {
    if (key == name && !value.empty()) return value;
  }
  return std::nullopt;
}

std::int64_t Query::integer(std::string_view name, std::int64_t otherwise, std::int64_t least,
                            std::int64_t most) const {
  const auto given = text(name);
  if (!given) return otherwise;
  std::int64_t value = 0;
  const char* const end = given->data() + given->size();
  const auto [stop, error] = std::from_chars(given->data(), end, value);
  if (error == std::errc() && stop == end && value >= least && value <= most) return value;
  no_number_ = name;
  return otherwise;
}

std::optional<Error> Query::problem(std::initializer_list<std::string_view> known) const {
  std::set<std::string_view> seen;
  for (const auto& [key, value] : parameters_) {
    if (std::ranges::find(known, key) == known.end()) {
      std::string names;
      for (const std::string_view name : known)
        names += (names.empty() ? "" : ", ") + std::string(name);
      return permanent_error("api.bad_query", "The query may have: " + names + ".");
    }
    if (!seen.insert(key).second) {
      return permanent_error("api.bad_query", "A parameter of the query is there twice.");
    }
  }
  if (no_number_.empty()) return std::nullopt;
  return permanent_error("api.bad_query", no_number_ + " is a whole number within its bounds.");
}

}  // namespace isthmus::api
