// From the command line's words to checked settings.
#pragma once

#include <string>
#include <vector>

#include "app/settings.h"

namespace isthmus::app {

// The version of this build: "0.1.0".
std::string_view version();

struct ConfigArguments {
  std::string file;  // empty: ISTHMUS_CONFIG, else /etc/isthmus/isthmus.json if there
  std::vector<std::string> overrides;  // "name=value"
};

// Reads file and environment. A file that cannot be read is a problem like any other.
ParsedSettings load_settings(Env& env, const ConfigArguments& arguments);
// Of a configuration that a host has read already: JSON text, and the environment.
ParsedSettings load_settings_of_host(Env& env, std::string json);

// Folders after the "empty means data_dir/x" rules.
FileSystem::Path spool_directory(const Settings& settings);
FileSystem::Path ledger_directory(const Settings& settings);
FileSystem::Path datastore_directory(const Settings& settings);
LogLevel log_level(const Settings& settings);

}  // namespace isthmus::app
