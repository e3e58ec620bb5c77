#include "datastore/engine/schema_objects.h"

namespace isthmus::datastore {

const char* const kObjectsSchema = R"sql(
-- What Cloud Storage calls the state of an object: generation grows with every put of the name
-- (microseconds since 1970, or one more than the one before), metageneration with every change of
-- what is said about it. `crc32c` is base64, '' while nobody asked.
ALTER TABLE objects ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE objects ADD COLUMN metageneration INTEGER NOT NULL DEFAULT 1;
ALTER TABLE objects ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE objects ADD COLUMN crc32c TEXT NOT NULL DEFAULT '';
UPDATE objects SET generation = modified_at * 1000, created_at = modified_at;

-- What the object's checksum will be; '' when the upload did not say.
ALTER TABLE uploads ADD COLUMN checksum_algorithm TEXT NOT NULL DEFAULT '';
ALTER TABLE uploads ADD COLUMN checksum_type TEXT NOT NULL DEFAULT ''
  CHECK (checksum_type IN ('', 'COMPOSITE', 'FULL_OBJECT'));
-- Which face began it: S3 ('') or Cloud Storage's resumable form, with what it is to become (JSON).
ALTER TABLE uploads ADD COLUMN resumable TEXT NOT NULL DEFAULT '';
-- Resumable uploads that are complete, for those whose answer was lost.
CREATE TABLE finished_uploads (
  id TEXT PRIMARY KEY,
  bucket TEXT NOT NULL,
  key TEXT NOT NULL,
  generation INTEGER NOT NULL,
  finished_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
)sql";

}  // namespace isthmus::datastore
