#include "datastore/engine/instance_facts.h"

#include <algorithm>

namespace isthmus::datastore {
namespace {

using nlohmann::json;

// PS3.18 Table 10.6.3-5, what has no column.
constexpr const char* kKeywords[] = {"SOPClassUID", "Rows", "Columns", "BitsAllocated",
                                     "NumberOfFrames"};

bool is_short(const json& value) {
  constexpr std::size_t kMostBytes = 256, kMostValues = 8;
  if (value.is_string()) return value.get_ref<const std::string&>().size() <= kMostBytes;
  if (value.is_array()) {
    return value.size() <= kMostValues && std::ranges::all_of(value, [](const json& one) {
             return !one.is_structured() && is_short(one);
           });
  }
  return !value.is_object();
}

}  // namespace

json instance_facts(const json& elements, const std::string& transfer_syntax_uid) {
  json facts = {{"transferSyntaxUID", transfer_syntax_uid}};
  if (!elements.is_object()) return facts;
  for (const char* keyword : kKeywords) {
    const auto found = elements.find(keyword);
    if (found == elements.end()) continue;
    if (!is_short(*found)) return nullptr;
    facts[keyword] = *found;
  }
  return facts;
}

json instance_facts_of(const json& document) {
  const auto metadata = document.find("metadata");
  const auto syntax = document.find("transferSyntaxUID");
  json elements;
  if (metadata != document.end() && metadata->is_object()) {
    const auto instance = metadata->find("instance");
    if (instance != metadata->end()) elements = *instance;
  }
  return instance_facts(elements, syntax != document.end() && syntax->is_string()
                                      ? syntax->get<std::string>()
                                      : std::string());
}

}  // namespace isthmus::datastore
