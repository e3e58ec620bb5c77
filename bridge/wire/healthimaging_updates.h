// The documents of UpdateImageSetMetadata (contracts/healthimaging/README.md, section 5), made of
// changes and read into changes; and what an image set's metadata document says of the attributes
// of a change. No I/O. Any thread.
#pragma once

#include <string_view>

#include "base/result.h"
#include "model/metadata.h"
#include "wire/healthimaging.h"

namespace isthmus::wire::healthimaging {

// `stored` has one value per attribute of the change; removals quote theirs, and what is not stored
// is not removed. Documents that would name nothing are absent.
DicomUpdates to_updates(const MetadataChange& change, const MetadataValues& stored);

// The other way: each key of the documents is an attribute, of removals with the quoted value as
// the expected one; an empty instance among the removals is an instance to remove.
// "ValidationException" (permanent) when they are not of that form.
Result<MetadataChange> to_change(const DicomUpdates& updates, bool force);

// One value per attribute of the change. "healthimaging.malformed" (permanent).
// Instances that the change does not name are not kept while reading: a document of fifty megabytes
// takes no more than a few besides its own text.
Result<MetadataValues> values_in(std::string_view document, const MetadataChange& change);

}  // namespace isthmus::wire::healthimaging
