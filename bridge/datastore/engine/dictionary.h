// What the data dictionary (PS3.6) says of keywords. The dictionary itself is loaded where files
// are examined; see Examiner::look_up().
#pragma once

#include <map>
#include <string>

#include "datastore/engine/metadata_levels.h"

namespace isthmus::datastore {

struct DictionaryEntry {
  std::string vr;               // "PN"
  bool several_values = false;  // VM is not 1
  Level level = Level::instance;
  std::string tag = {};  // "00100010"
};

// Only of keywords that it knows.
using Dictionary = std::map<std::string, DictionaryEntry, std::less<>>;

}  // namespace isthmus::datastore
