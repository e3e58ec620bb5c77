// What the bucket APIs need of the catalogue beyond its first tables.
#pragma once

namespace isthmus::datastore {

extern const char* const kObjectsSchema;

}  // namespace isthmus::datastore
