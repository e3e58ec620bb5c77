// The tables of the catalogue, as numbered migrations.
#pragma once

#include <span>

#include "sql/sql.h"

namespace isthmus::datastore {

std::span<const sql::Migration> catalogue_migrations();

}  // namespace isthmus::datastore
