// Which level of an image set's metadata document an element belongs to: model/metadata_levels.h
// by the names that the engine uses.
#pragma once

#include <optional>
#include <string_view>

#include "model/metadata_levels.h"

namespace isthmus::datastore {

using Level = MetadataLevel;
using isthmus::level_of;
using isthmus::to_string;

inline std::optional<Level> level_from(std::string_view text) {
  return metadata_level_from(text);
}

}  // namespace isthmus::datastore
