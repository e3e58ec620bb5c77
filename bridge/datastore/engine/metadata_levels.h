// Which level of an image set's metadata document an element belongs to.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace isthmus::datastore {

enum class Level { patient, study, series, instance };

// By contracts/healthimaging/metadata-levels.json; what is not listed there is at the instance.
Level level_of(std::uint32_t tag);
// "patient", "study", "series", "instance", and back.
std::string_view to_string(Level level);
std::optional<Level> level_from(std::string_view text);

}  // namespace isthmus::datastore
