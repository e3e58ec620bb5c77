// A migration of the catalogue: frames.
#pragma once

namespace isthmus::datastore {

extern const char* const kPixelDataSchema;

}  // namespace isthmus::datastore
