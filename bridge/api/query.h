// The query of a request, checked: what is asked for and not known is an error, not ignored.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/http.h"

namespace isthmus::api {

class Query {
 public:
  explicit Query(const http::Head& head) : parameters_(http::parse_query(head.query())) {}

  // The value of a parameter; nothing when it is not there or empty.
  std::optional<std::string> text(std::string_view name) const;
  // A whole number within the bounds, else `otherwise`; problem() tells of one that is none.
  std::int64_t integer(std::string_view name, std::int64_t otherwise, std::int64_t least,
                       std::int64_t most) const;
  // "api.bad_query" (permanent): a parameter that is none of these, is there twice, or was asked
  // for as a number and is none.
  std::optional<Error> problem(std::initializer_list<std::string_view> known) const;

 private:
  std::vector<std::pair<std::string, std::string>> parameters_;
  mutable std::string no_number_;
};

}  // namespace isthmus::api
