// Small pieces of text handling that the codecs of this module share. Private to wire.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"

namespace isthmus::wire {

// ASCII only.
std::string lower_case(std::string_view text);
// Without blanks and tabs at both ends.
std::string_view trimmed(std::string_view text);
// Pieces between separators, empty ones included; one piece for a text without any.
std::vector<std::string_view> split(std::string_view text, char separator);
// A number of 1 to 18 decimal digits and nothing else.
std::optional<std::int64_t> digits(std::string_view text);

struct CivilTime {
  int year = 0;
  unsigned month = 0, day = 0, hour = 0, minute = 0, second = 0;
};
CivilTime civil_of(WallTime time);
// Nothing for a date that does not exist; a leap second counts as the second before it.
std::optional<WallTime> wall_time_of(const CivilTime& civil);

}  // namespace isthmus::wire
