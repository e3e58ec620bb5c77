// A migration of the catalogue: frames, and what DICOMweb searches by.
#pragma once

namespace isthmus::datastore {

extern const char* const kPixelDataSchema;

}  // namespace isthmus::datastore
