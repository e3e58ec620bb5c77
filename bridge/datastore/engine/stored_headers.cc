#include "datastore/engine/stored_headers.h"

#include <nlohmann/json.hpp>

namespace isthmus::datastore {

std::string print_stored_headers(const StoredHeaders& headers) {
  nlohmann::json fields = nlohmann::json::array();
  for (const auto& [name, value] : headers) fields.push_back({name, value});
  // Header values may hold any octet; what is not UTF-8 is replaced.
  return fields.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

StoredHeaders parse_stored_headers(const std::string& text) {
  StoredHeaders headers;
  const nlohmann::json fields = nlohmann::json::parse(text, nullptr, false);
  if (!fields.is_array()) return headers;
  for (const nlohmann::json& field : fields) {
    if (!field.is_array() || field.size() != 2 || !field[0].is_string() || !field[1].is_string()) {
      continue;
    }
    headers.emplace_back(field[0].get<std::string>(), field[1].get<std::string>());
  }
  return headers;
}

}  // namespace isthmus::datastore
