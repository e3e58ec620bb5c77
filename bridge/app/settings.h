// The settings registry: one list (settings.def) that yields parser, schema, reference and
// print-out. Command line > environment > file > default. Unknown keys are errors that name the
// nearest known one; all problems of a configuration are reported at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"

namespace isthmus::app {

enum class SettingType {
  text,
  path,
  list,
  flag,
  integer,
  number,
  bytes,
  seconds,
  milliseconds,
  choice
};
std::string_view to_string(SettingType type);

struct SettingSpec {
  std::string_view name;
  SettingType type;
  std::string_view default_json;
  double least;
  double most;
  bool secret;
  std::string_view sentence;
};

std::span<const SettingSpec> setting_specs();
// The allowed words of a choice; empty for other settings.
std::vector<std::string_view> choices_of(std::string_view name);

// Where a configuration comes from. `file_text` is JSON with comments; `environment` gives the
// value of a variable (ISTHMUS_DIMSE_PORT for dimse.port); `overrides` are "name=value" from the
// command line.
struct ConfigSources {
  std::string file_text;
  std::function<std::optional<std::string>(const std::string&)> environment;
  std::vector<std::string> overrides;
  // Reads a secret's file; its errors become problems of the configuration.
  std::function<Result<std::string>(const std::string& path)> read_file;
};

// A configuration that was checked: every name has a value of its type within its bounds.
class Settings {
 public:
  std::string text(std::string_view name) const;
  std::vector<std::string> list(std::string_view name) const;
  bool flag(std::string_view name) const;
  std::int64_t integer(std::string_view name) const;  // integer and bytes
  double number(std::string_view name) const;
  Milliseconds duration(std::string_view name) const;  // seconds and milliseconds
  // Names under a section whose entries the site names ("destinations", "senders"), in order.
  const std::vector<std::string>& entries(std::string_view section) const;
  const std::vector<std::string>& destinations() const { return entries("destinations"); }

  // The whole configuration as JSON, secrets as "[secret]".
  std::string print() const;

 private:
  friend struct SettingsParser;
  // Canonical JSON text of each value, by full name ("destinations.main.kind").
  std::map<std::string, std::string, std::less<>> values_;
  std::map<std::string, bool, std::less<>> secret_;
  std::map<std::string, std::vector<std::string>, std::less<>> entries_;
};

struct ParsedSettings {
  Settings settings;
  std::vector<std::string> problems;  // one sentence each; empty: the configuration is good
};

ParsedSettings parse_settings(const ConfigSources& sources);

// Generated documents; a test holds config/REFERENCE.md and config/isthmus.schema.json against
// them.
std::string settings_reference_markdown();
std::string settings_json_schema();

}  // namespace isthmus::app
