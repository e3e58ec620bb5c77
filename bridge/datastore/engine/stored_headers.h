// The form in which header fields of objects are kept in a row.
#pragma once

#include <string>

#include "datastore/engine/objects.h"

namespace isthmus::datastore {

std::string print_stored_headers(const StoredHeaders& headers);
// Only ever given what print_stored_headers() made; empty otherwise.
StoredHeaders parse_stored_headers(const std::string& text);

}  // namespace isthmus::datastore
