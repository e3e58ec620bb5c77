// Which level of an image set's metadata document an element belongs to.
#pragma once

#include <cstdint>

namespace isthmus::datastore {

enum class Level { patient, study, series, instance };

// By contracts/healthimaging/metadata-levels.json; what is not listed there is at the instance.
Level level_of(std::uint32_t tag);

}  // namespace isthmus::datastore
