// Columns and words that DICOMweb searches by, written as an image set is described: expressions
// over JSON may stand in no index of a file that is not trusted (trusted_schema=OFF).
#pragma once

#include "sql/sql.h"

namespace isthmus::datastore {

sql::Migration search_columns_migration();

}  // namespace isthmus::datastore
