// Migrations of the catalogue: frames, and what DICOMweb searches by; the frames of a job's files.
#pragma once

namespace isthmus::datastore {

extern const char* const kPixelDataSchema;
extern const char* const kPixelDataOfFilesSchema;

}  // namespace isthmus::datastore
