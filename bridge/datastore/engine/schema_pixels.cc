#include "datastore/engine/schema_pixels.h"

namespace isthmus::datastore {

// Where the frames of a blob's pixel data lie, and what is in them (pixel_layout.h). A row follows
// from its blob's bytes alone, so whoever examines them again writes the same; it goes with the
// last instance or unfinished import file that names the blob.
const char* const kPixelDataSchema = R"sql(
CREATE TABLE pixel_data (
  blob TEXT PRIMARY KEY,
  dataset_offset INTEGER NOT NULL,   -- of the data set in the file
  description TEXT NOT NULL,         -- JSON
  frame_count INTEGER NOT NULL,
  frames BLOB NOT NULL               -- records of 56 bytes, in the order of the frames
) STRICT;

CREATE TRIGGER pixel_data_of_instances AFTER DELETE ON instances
WHEN NOT EXISTS (SELECT 1 FROM instances WHERE blob = OLD.blob)
 AND NOT EXISTS (SELECT 1 FROM import_files WHERE blob = OLD.blob)
BEGIN
  DELETE FROM pixel_data WHERE blob = OLD.blob;
END;

CREATE TRIGGER pixel_data_of_files AFTER UPDATE OF blob ON import_files
WHEN OLD.blob IS NOT NULL AND NEW.blob IS NULL
 AND NOT EXISTS (SELECT 1 FROM instances WHERE blob = OLD.blob)
 AND NOT EXISTS (SELECT 1 FROM import_files WHERE blob = OLD.blob)
BEGIN
  DELETE FROM pixel_data WHERE blob = OLD.blob;
END;

-- What DICOMweb searches by, besides what is indexed already.
CREATE INDEX image_sets_patient ON image_sets(data_store, patient_id);
CREATE INDEX image_sets_accession ON image_sets(data_store, accession_number);
CREATE INDEX image_sets_moment ON image_sets(data_store, study_moment);
CREATE INDEX instances_sop ON instances(sop_instance_uid) WHERE end_version IS NULL;
)sql";

// The rows of a job's files leave by DELETE since the output says what became of them; what watched
// an UPDATE saw nothing. Frames that it left behind go once.
const char* const kPixelDataOfFilesSchema = R"sql(
DROP TRIGGER pixel_data_of_files;
CREATE TRIGGER pixel_data_of_files AFTER DELETE ON import_files
WHEN OLD.blob IS NOT NULL
 AND NOT EXISTS (SELECT 1 FROM instances WHERE blob = OLD.blob)
 AND NOT EXISTS (SELECT 1 FROM import_files WHERE blob = OLD.blob)
BEGIN
  DELETE FROM pixel_data WHERE blob = OLD.blob;
END;

DELETE FROM pixel_data
WHERE NOT EXISTS (SELECT 1 FROM instances WHERE instances.blob = pixel_data.blob)
  AND NOT EXISTS (SELECT 1 FROM import_files WHERE import_files.blob = pixel_data.blob);
)sql";

}  // namespace isthmus::datastore
