// Private to schema.cc: what search keys hold, for patterns that begin with a wildcard.
#pragma once

namespace isthmus::datastore {

extern const char* const kSearchValuesSchema;

}  // namespace isthmus::datastore
