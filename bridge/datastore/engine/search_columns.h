// What an image set is searched by, out of its attributes, in columns of its own.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "datastore/engine/catalogue.h"

namespace isthmus::datastore {

// Words of a person name, in lower case (ASCII), each once, at most 32.
std::vector<std::string> name_words(std::string_view person_name);

// Writes patient_name, modality, study_description and the words of the name.
Result<void> write_search_columns(sql::Database& database, const std::string& image_set,
                                  const nlohmann::json& attributes);

}  // namespace isthmus::datastore
