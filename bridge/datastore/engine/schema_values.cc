#include "datastore/engine/schema_values.h"

namespace isthmus::datastore {

// Each value of a data store once, whoever has it, and where it could begin: a piece of 16
// characters from each of its characters on. A pattern that begins with a wildcard is found by the
// longest text in it, whose range of pieces has every value that contains it; GLOB decides. (FTS5's
// trigrams would do as well, but no trigger may write a virtual table of a file that SQLite is told
// not to trust.) Triggers write both tables, so that whoever writes an image set cannot forget to.
const char* const kSearchValuesSchema = R"sql(
-- Of sets that were imported before, as long as nobody changes them: ''.
ALTER TABLE image_sets ADD COLUMN referring_physician TEXT NOT NULL DEFAULT '';
CREATE INDEX image_sets_physician ON image_sets(data_store, referring_physician);

CREATE TABLE search_values (
  id INTEGER PRIMARY KEY,
  data_store TEXT NOT NULL,
  kind INTEGER NOT NULL,             -- kIndexed in dicom_index.cc
  value TEXT NOT NULL CHECK (value <> ''),
  UNIQUE (data_store, kind, value)
) STRICT;
-- Longer than any VR has it: looked at one by one.
CREATE INDEX search_values_long ON search_values(data_store, kind) WHERE length(value) > 256;
CREATE TABLE value_pieces (
  kind INTEGER NOT NULL,
  piece TEXT NOT NULL,
  value INTEGER NOT NULL,            -- of search_values
  PRIMARY KEY (kind, piece, value)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER search_value_made AFTER INSERT ON search_values WHEN length(NEW.value) <= 256 BEGIN
  INSERT INTO value_pieces (kind, piece, value)
  SELECT NEW.kind, substr(NEW.value, i, 16), NEW.id FROM
  (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < length(NEW.value))
   SELECT i FROM n)
  WHERE true ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER search_value_gone AFTER DELETE ON search_values BEGIN
  DELETE FROM value_pieces WHERE kind = OLD.kind AND value = OLD.id AND piece IN
  (SELECT substr(OLD.value, i, 16) FROM
   (WITH RECURSIVE n(i) AS
     (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < min(length(OLD.value), 256))
    SELECT i FROM n));
END;

INSERT INTO search_values (data_store, kind, value)
  SELECT DISTINCT data_store, 1, patient_name FROM image_sets WHERE patient_name <> '' UNION ALL
  SELECT DISTINCT data_store, 2, patient_id FROM image_sets WHERE patient_id <> '' UNION ALL
  SELECT DISTINCT data_store, 3, accession_number FROM image_sets
  WHERE accession_number <> '' UNION ALL
  SELECT DISTINCT data_store, 4, study_description FROM image_sets WHERE study_description <> '';

CREATE TRIGGER patient_name_made AFTER INSERT ON image_sets WHEN NEW.patient_name <> '' BEGIN
  INSERT INTO search_values (data_store, kind, value)
  VALUES (NEW.data_store, 1, NEW.patient_name) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER patient_name_changed AFTER UPDATE OF patient_name ON image_sets
WHEN NEW.patient_name <> OLD.patient_name BEGIN
  INSERT INTO search_values (data_store, kind, value)
  SELECT NEW.data_store, 1, NEW.patient_name WHERE NEW.patient_name <> '' ON CONFLICT DO NOTHING;
  DELETE FROM search_values
  WHERE data_store = OLD.data_store AND kind = 1 AND value = OLD.patient_name
   AND NOT EXISTS (SELECT 1 FROM image_sets
                   WHERE data_store = OLD.data_store AND patient_name = OLD.patient_name);
END;

CREATE TRIGGER patient_id_made AFTER INSERT ON image_sets WHEN NEW.patient_id <> '' BEGIN
  INSERT INTO search_values (data_store, kind, value)
  VALUES (NEW.data_store, 2, NEW.patient_id) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER patient_id_changed AFTER UPDATE OF patient_id ON image_sets
WHEN NEW.patient_id <> OLD.patient_id BEGIN
  INSERT INTO search_values (data_store, kind, value)
  SELECT NEW.data_store, 2, NEW.patient_id WHERE NEW.patient_id <> '' ON CONFLICT DO NOTHING;
  DELETE FROM search_values
  WHERE data_store = OLD.data_store AND kind = 2 AND value = OLD.patient_id
   AND NOT EXISTS (SELECT 1 FROM image_sets
                   WHERE data_store = OLD.data_store AND patient_id = OLD.patient_id);
END;

CREATE TRIGGER accession_number_made AFTER INSERT ON image_sets
WHEN NEW.accession_number <> '' BEGIN
  INSERT INTO search_values (data_store, kind, value)
  VALUES (NEW.data_store, 3, NEW.accession_number) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER accession_number_changed AFTER UPDATE OF accession_number ON image_sets
WHEN NEW.accession_number <> OLD.accession_number BEGIN
  INSERT INTO search_values (data_store, kind, value)
  SELECT NEW.data_store, 3, NEW.accession_number WHERE NEW.accession_number <> ''
  ON CONFLICT DO NOTHING;
  DELETE FROM search_values
  WHERE data_store = OLD.data_store AND kind = 3 AND value = OLD.accession_number
   AND NOT EXISTS (SELECT 1 FROM image_sets
                   WHERE data_store = OLD.data_store AND accession_number = OLD.accession_number);
END;

CREATE TRIGGER study_description_made AFTER INSERT ON image_sets
WHEN NEW.study_description <> '' BEGIN
  INSERT INTO search_values (data_store, kind, value)
  VALUES (NEW.data_store, 4, NEW.study_description) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER study_description_changed AFTER UPDATE OF study_description ON image_sets
WHEN NEW.study_description <> OLD.study_description BEGIN
  INSERT INTO search_values (data_store, kind, value)
  SELECT NEW.data_store, 4, NEW.study_description WHERE NEW.study_description <> ''
  ON CONFLICT DO NOTHING;
  DELETE FROM search_values
  WHERE data_store = OLD.data_store AND kind = 4 AND value = OLD.study_description
   AND NOT EXISTS (SELECT 1 FROM image_sets
                   WHERE data_store = OLD.data_store AND study_description = OLD.study_description);
END;

CREATE TRIGGER referring_physician_made AFTER INSERT ON image_sets
WHEN NEW.referring_physician <> '' BEGIN
  INSERT INTO search_values (data_store, kind, value)
  VALUES (NEW.data_store, 5, NEW.referring_physician) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER referring_physician_changed AFTER UPDATE OF referring_physician ON image_sets
WHEN NEW.referring_physician <> OLD.referring_physician BEGIN
  INSERT INTO search_values (data_store, kind, value)
  SELECT NEW.data_store, 5, NEW.referring_physician WHERE NEW.referring_physician <> ''
  ON CONFLICT DO NOTHING;
  DELETE FROM search_values
  WHERE data_store = OLD.data_store AND kind = 5 AND value = OLD.referring_physician
   AND NOT EXISTS (SELECT 1 FROM image_sets WHERE data_store = OLD.data_store
                   AND referring_physician = OLD.referring_physician);
END;
)sql";

}  // namespace isthmus::datastore
