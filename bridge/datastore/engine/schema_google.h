// Google's datasets, DICOM stores, operations and import log in the catalogue.
#pragma once

namespace isthmus::datastore {

extern const char* const kGoogleSchema;

}  // namespace isthmus::datastore
