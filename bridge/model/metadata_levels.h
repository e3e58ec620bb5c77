// Which level of an image set's metadata document an element belongs to. What writes the document
// and what asks for changes of it must agree. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace isthmus {

enum class MetadataLevel { patient, study, series, instance };

// By contracts/healthimaging/metadata-levels.json; what is not listed there is at the instance.
MetadataLevel level_of(std::uint32_t tag);
// "patient", "study", "series", "instance", and back.
std::string_view to_string(MetadataLevel level);
std::optional<MetadataLevel> metadata_level_from(std::string_view text);

}  // namespace isthmus
