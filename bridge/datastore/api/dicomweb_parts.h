// What the pieces of DicomWebApi share. Private to dicomweb*.cc.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "http/router.h"
#include "wire/multipart.h"

namespace isthmus::datastore {

inline Error invalid(std::string message) {
  return permanent_error("ValidationException", std::move(message));
}
inline Error not_acceptable() {
  return permanent_error("NotAcceptableException", "None of the types in Accept can be given.");
}
inline Error not_found() {
  return permanent_error("ResourceNotFoundException", "There is no such resource.");
}
// Errors that say: not in this form, another may do.
inline bool is_of_the_form(const Error& error) {
  return error.fate == Fate::permanent &&
         (error.code == "rewrite.unsupported" || error.code.starts_with("pixels."));
}

inline const nlohmann::json& member(const nlohmann::json& object, const char* name) {
  static const nlohmann::json none = nlohmann::json::object();
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : none;
}

inline std::string parameter(const http::PathParameters& path, const char* name) {
  const auto found = path.find(name);
  return found == path.end() ? "" : found->second;
}

// What the client takes, best first.
inline std::vector<wire::AcceptedType> accepted_types(const http::Head& head) {
  std::vector<wire::AcceptedType> accepted = wire::parse_accept(head.headers.get("Accept", "*/*"));
  std::erase_if(accepted, [](const wire::AcceptedType& one) { return one.quality == 0; });
  return accepted;
}

}  // namespace isthmus::datastore
