// What deletions remove, in the transaction that they are called in: what goes is gone with all its
// versions. Private to google_stores.cc and image_set_work.cc.
#pragma once

#include <string>
#include <vector>

#include "datastore/engine/dicom_index.h"
#include "sql/sql.h"

namespace isthmus::datastore {

// The first column of all rows.
Result<std::vector<std::string>> texts_of(sql::Database& database, const char* query,
                                          sql::Values values);

// All three add the blobs that they may have been the last to name to `garbage`.
Result<void> erase_image_set(sql::Database& database, const std::string& id, WallTime now,
                             std::vector<std::string>& garbage);
// Errors: those of GoogleStores::remove().
Result<void> erase_instances(sql::Database& database, const std::string& data_store,
                             const InstancePath& path, WallTime now,
                             std::vector<std::string>& garbage);

}  // namespace isthmus::datastore
