#include "app/settings.h"

#include "app/access.h"
#include "app/aws_destination.h"
#include "app/certificates.h"
#include "app/configured_senders.h"
#include "app/google_destination.h"
#include "app/stat_lane.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

namespace isthmus::app {

using Json = nlohmann::ordered_json;

namespace {

constexpr std::array kSpecs{
#define ISTHMUS_SETTING(name, type, fallback, least, most, secret, sentence) \
  SettingSpec{name, SettingType::type, fallback, least, most, secret, sentence},
#include "app/settings.def"
#undef ISTHMUS_SETTING
};

constexpr std::string_view kDestinations = "destinations";
constexpr std::string_view kDefaultDestination = "main";
constexpr std::string_view kAnyName = ".*.";

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

// "destinations" of "destinations.*.kind": a section whose entries the site names. Empty for plain
// settings.
std::string_view named_section_of(const SettingSpec& spec) {
  const auto star = spec.name.find(kAnyName);
  return star == std::string_view::npos ? std::string_view() : spec.name.substr(0, star);
}

bool is_named_section(std::string_view text) {
  return std::any_of(kSpecs.begin(), kSpecs.end(), [&](const SettingSpec& spec) {
    return !text.empty() && named_section_of(spec) == text;
  });
}

// "destinations.main.kind" → section "destinations", entry "main", rest "kind".
struct NamedEntry {
  std::string section, entry, rest;
};
std::optional<NamedEntry> named_entry(std::string_view name) {
  const auto first = name.find('.');
  if (first == std::string_view::npos || !is_named_section(name.substr(0, first))) {
    return std::nullopt;
  }
  const auto second = name.find('.', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  return NamedEntry{std::string(name.substr(0, first)),
                    std::string(name.substr(first + 1, second - first - 1)),
                    std::string(name.substr(second + 1))};
}

// "destinations.main.kind" → "destinations.*.kind"; other names as they are.
std::string generic_name(std::string_view name) {
  const auto entry = named_entry(name);
  return entry ? entry->section + std::string(kAnyName) + entry->rest : std::string(name);
}

const SettingSpec* find_spec(std::string_view name) {
  const std::string generic = generic_name(name);
  for (const SettingSpec& spec : kSpecs) {
    if (spec.name == generic) return &spec;
  }
  return nullptr;
}

std::string nearest_name(std::string_view name) {
  const std::string generic = generic_name(name);
  const auto nearest = std::min_element(
      kSpecs.begin(), kSpecs.end(), [&](const SettingSpec& a, const SettingSpec& b) {
        return edit_distance(generic, a.name) < edit_distance(generic, b.name);
      });
  return std::string(nearest->name);
}

// 5, "512MiB", "2GiB" → bytes.
std::optional<double> parse_bytes(const Json& value) {
  if (value.is_number()) return value.get<double>();
  if (!value.is_string()) return std::nullopt;
  const auto text = value.get<std::string>();
  std::size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  if (digits == 0 || digits > 15) return std::nullopt;
  const double amount = std::stod(text.substr(0, digits));
  const std::string_view unit = std::string_view(text).substr(digits);
  if (unit.empty() || unit == "B") return amount;
  if (unit == "KiB") return amount * static_cast<double>(KiB);
  if (unit == "MiB") return amount * static_cast<double>(MiB);
  if (unit == "GiB") return amount * static_cast<double>(GiB);
  return std::nullopt;
}

std::string expectation(const SettingSpec& spec) {
  const auto bounds = [&] {
    return fmt::format(" from {:.16g} to {:.16g}", spec.least, spec.most);
  };
  switch (spec.type) {
    case SettingType::text:
    case SettingType::path:
      return "a string";
    case SettingType::list:
      return "a list of strings";
    case SettingType::flag:
      return "true or false";
    case SettingType::integer:
      return "a whole number" + bounds();
    case SettingType::number:
      return "a number" + bounds();
    case SettingType::bytes:
      return "a number of bytes or a string as \"512MiB\"," + bounds();
    case SettingType::seconds:
      return "a number of seconds" + bounds();
    case SettingType::milliseconds:
      return "a number of milliseconds" + bounds();
    case SettingType::choice:
      return fmt::format("one of {}", fmt::join(choices_of(spec.name), ", "));
  }
  return "a value";
}

// The canonical form of a value, or nothing when it is not what the setting takes.
std::optional<Json> canonical(const SettingSpec& spec, const Json& value) {
  const auto within = [&](double number) { return number >= spec.least && number <= spec.most; };
  switch (spec.type) {
    case SettingType::text:
    case SettingType::path:
      return value.is_string() ? std::optional<Json>(value) : std::nullopt;
    case SettingType::flag:
      return value.is_boolean() ? std::optional<Json>(value) : std::nullopt;
    case SettingType::list:
      if (!value.is_array()) return std::nullopt;
      for (const Json& item : value) {
        if (!item.is_string()) return std::nullopt;
      }
      return value;
    case SettingType::choice: {
      const auto words = choices_of(spec.name);
      const bool known = value.is_string() && std::find(words.begin(), words.end(),
                                                        value.get<std::string>()) != words.end();
      return known ? std::optional<Json>(value) : std::nullopt;
    }
    case SettingType::integer:
    case SettingType::bytes: {
      const auto number = spec.type == SettingType::bytes ? parse_bytes(value)
                          : value.is_number()             ? std::optional(value.get<double>())
                                                          : std::nullopt;
      if (!number || std::floor(*number) != *number || !within(*number)) return std::nullopt;
      return Json(static_cast<std::int64_t>(*number));
    }
    case SettingType::number:
    case SettingType::seconds:
    case SettingType::milliseconds:
      if (!value.is_number() || !within(value.get<double>())) return std::nullopt;
      return value;
  }
  return std::nullopt;
}

std::string environment_name(std::string_view name) {
  std::string text = "ISTHMUS_";
  for (const char c : name) {
    text += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return text;
}

// A value that came as text (environment, command line): JSON when it reads as that and the setting
// is not a string; a comma-separated list for lists.
Json from_text(const SettingSpec& spec, const std::string& text) {
  const bool wants_string = spec.type == SettingType::text || spec.type == SettingType::path ||
                            spec.type == SettingType::choice;
  if (wants_string) return text;
  const Json parsed = Json::parse(text, nullptr, false);
  if (!parsed.is_discarded()) return parsed;
  if (spec.type != SettingType::list) return text;
  Json items = Json::array();
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto comma = std::min(text.find(',', begin), text.size());
    if (comma > begin) items.push_back(text.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return items;
}

bool is_entry_name(std::string_view name) {
  return !name.empty() && name.size() <= 32 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

}  // namespace

// Where a kind of destination has another default (contracts/google-healthcare sections 2 and 3:
// "run few at once (about 5)"; a file whose UIDs are stored already is ignored).
struct KindDefault {
  std::string_view name;
  std::string_view default_json;
};
constexpr KindDefault kGoogleDefaults[] = {
    {"destinations.*.jobs_at_once", "5"},
    {"destinations.*.starts_per_second", "0.25"},
    {"destinations.*.on_conflict", "\"quarantine\""},
};

struct SettingsParser {
  const ConfigSources& sources;
  ParsedSettings parsed;

  void problem(std::string sentence) { parsed.problems.push_back(std::move(sentence)); }

  void set(const std::string& name, Json value, const std::string& from) {
    const SettingSpec* spec = find_spec(name);
    if (spec == nullptr) {
      problem(fmt::format("{}: {} is not a setting; the nearest is {}.", from, name,
                          nearest_name(name)));
      return;
    }
    if (value.is_object()) {
      const auto secret = resolve_secret(*spec, value, name, from);
      if (!secret) return;
      value = *secret;
    } else if (spec->secret && from == "command line") {
      problem(fmt::format("command line: {} is a secret; give it by file or environment.", name));
      return;
    }
    const auto checked = canonical(*spec, value);
    if (!checked) {
      problem(fmt::format("{}: {} must be {}{}.", from, name, expectation(*spec),
                          spec->secret ? "" : fmt::format(", not {}", value.dump())));
      return;
    }
    parsed.settings.values_[name] = checked->dump();
    parsed.settings.secret_[name] = spec->secret;
  }

  // {"file": "/run/secrets/x"} or {"env": "NAME"}.
  std::optional<Json> resolve_secret(const SettingSpec& spec, const Json& value,
                                     const std::string& name, const std::string& from) {
    if (value.size() == 1 && value.contains("file") && value["file"].is_string()) {
      auto text = sources.read_file(value["file"].get<std::string>());
      if (text.ok()) {
        std::string secret = std::move(text).value();
        while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r')) {
          secret.pop_back();
        }
        return Json(secret);
      }
      problem(fmt::format("{}: the file named by {} cannot be read ({}).", from, name,
                          text.error().message));
      return std::nullopt;
    }
    if (value.size() == 1 && value.contains("env") && value["env"].is_string()) {
      if (auto text = sources.environment(value["env"].get<std::string>())) return Json(*text);
      problem(fmt::format("{}: the environment variable named by {} is not set.", from, name));
      return std::nullopt;
    }
    problem(fmt::format("{}: {} must be {}.", from, name, expectation(spec)));
    return std::nullopt;
  }

  // Walks the file's objects down to settings.
  void read_object(const Json& object, const std::string& prefix) {
    for (const auto& [key, value] : object.items()) {
      const std::string name = prefix.empty() ? key : prefix + "." + key;
      if (name == "$schema") continue;
      if (is_named_section(prefix) && !add_entry(prefix, key, "file")) continue;
      if (value.is_object() && find_spec(name) == nullptr && is_group(name)) {
        read_object(value, name);
      } else {
        set(name, value, "file");
      }
    }
  }

  static bool is_group(const std::string& name) {
    if (is_named_section(name)) return true;
    const std::string generic = generic_name(name + ".");
    return std::any_of(kSpecs.begin(), kSpecs.end(),
                       [&](const SettingSpec& spec) { return spec.name.starts_with(generic); });
  }

  // False, and a problem, when the entry cannot have that name.
  bool add_entry(const std::string& section, const std::string& name, const std::string& from) {
    if (!is_entry_name(name)) {
      problem(fmt::format("{}: the name {} under {} must be 1 to 32 of a-z, 0-9, - and _.", from,
                          Json(name).dump(), section));
      return false;
    }
    auto& known = parsed.settings.entries_[section];
    if (std::find(known.begin(), known.end(), name) == known.end()) known.push_back(name);
    return true;
  }

  void read_file_text() {
    if (sources.file_text.empty()) return;
    try {
      const Json file = Json::parse(sources.file_text, nullptr, true, /*ignore_comments=*/true);
      if (!file.is_object()) {
        problem("file: the configuration must be one JSON object.");
        return;
      }
      read_object(file, "");
    } catch (const Json::parse_error& error) {
      problem(fmt::format("file: not JSON at byte {}: check commas, quotes and braces there.",
                          error.byte));
    }
  }

  void read_overrides() {
    for (const std::string& override_text : sources.overrides) {
      const auto equals = override_text.find('=');
      if (equals == std::string::npos) {
        problem(fmt::format("command line: {} must have the form name=value.", override_text));
        continue;
      }
      const std::string name = override_text.substr(0, equals);
      const auto entry = named_entry(name);
      if (entry && !add_entry(entry->section, entry->entry, "command line")) continue;
      const SettingSpec* spec = find_spec(name);
      const std::string value = override_text.substr(equals + 1);
      set(name, spec == nullptr ? Json(value) : from_text(*spec, value), "command line");
    }
  }

  // Every full name: plain settings, and those of a named section once per entry.
  std::vector<std::string> full_names() const {
    std::vector<std::string> names;
    for (const SettingSpec& spec : kSpecs) {
      const std::string section(named_section_of(spec));
      if (section.empty()) {
        names.emplace_back(spec.name);
        continue;
      }
      for (const std::string& entry : parsed.settings.entries(section)) {
        names.push_back(section + "." + entry + "." +
                        std::string(spec.name.substr(section.size() + kAnyName.size())));
      }
    }
    return names;
  }

  void run() {
    read_file_text();
    if (parsed.settings.destinations().empty()) {
      parsed.settings.entries_[std::string(kDestinations)] = {std::string(kDefaultDestination)};
    }
    for (const std::string& name : full_names()) {
      if (auto value = sources.environment(environment_name(name))) {
        set(name, from_text(*find_spec(name), *value), "environment " + environment_name(name));
      }
    }
    read_overrides();
    for (const std::string& name : full_names()) {
      if (parsed.settings.values_.contains(name)) continue;
      const SettingSpec* spec = find_spec(name);
      const auto value = canonical(*spec, Json::parse(default_of(*spec, name)));
      ASSERT(value.has_value());
      parsed.settings.values_[name] = value->dump();
      parsed.settings.secret_[name] = spec->secret;
    }
    check_together();
  }

  // A destination's kind stands before what depends on it.
  std::string_view default_of(const SettingSpec& spec, const std::string& name) const {
    const auto* const found =
        std::find_if(std::begin(kGoogleDefaults), std::end(kGoogleDefaults),
                     [&](const KindDefault& one) { return one.name == spec.name; });
    if (found == std::end(kGoogleDefaults)) return spec.default_json;
    const std::string kind = name.substr(0, name.rfind('.')) + ".kind";
    return parsed.settings.text(kind) == "google" ? found->default_json : spec.default_json;
  }

  void check_keys(const Settings& s) {
    for (const std::string& name : s.entries("datastore_keys")) {
      const std::string prefix = "datastore_keys." + name + ".";
      for (const char* part : {"access_key_id", "secret_access_key", "data_store"}) {
        if (s.text(prefix + part).empty()) {
          problem(prefix + part + " must be set: a key for one data store needs all three.");
        }
      }
    }
  }
  void check_orthanc(const Settings& s) {
    const std::int64_t first = s.integer("orthanc.metadata_first");
    if (first > 0 && first < 1024) {
      problem("orthanc.metadata_first must be 0, or from 1024 on, where user metadata begin.");
    }
    if (s.flag("orthanc.protect_on_way") && first == 0) {
      problem(
          "orthanc.protect_on_way needs orthanc.metadata_first, which is 0: whom it protects "
          "is noted there.");
    }
    const std::string day = s.text("orthanc.import_existing_since");
    const bool is_day = day.size() == 8 && std::all_of(day.begin(), day.end(),
                                                       [](char c) { return c >= '0' && c <= '9'; });
    if ((s.text("orthanc.import_existing") == "since" || !day.empty()) && !is_day) {
      problem("orthanc.import_existing_since must be a day as 20260131.");
    }
  }
  void check_watermarks(const Settings& s) {
    const auto mark_or = [&s](const char* name, std::int64_t otherwise) {
      return s.integer(name) == 0 ? otherwise : s.integer(name);
    };
    const std::int64_t full = s.integer("spool.reserve_bytes");
    const std::int64_t refuse = mark_or("spool.refuse_bytes", full / 2 * 3);
    if (refuse < full) problem("spool.refuse_bytes must not be less than spool.reserve_bytes.");
    if (mark_or("spool.warn_bytes", std::max(full * 4, refuse)) < refuse) {
      problem("spool.warn_bytes must not be less than spool.refuse_bytes.");
    }
  }

  // Rules between settings.
  void check_together() {
    const Settings& s = parsed.settings;
    if (s.integer("spool.resume_bytes") < s.integer("spool.reserve_bytes")) {
      problem("spool.resume_bytes must not be less than spool.reserve_bytes.");
    }
    check_watermarks(s);
    check_keys(s);
    check_orthanc(s);
    if (s.text("datastore.access_key_id").empty() !=
        s.text("datastore.secret_access_key").empty()) {
      problem(
          "datastore.access_key_id and datastore.secret_access_key go together: set both or "
          "neither.");
    }
    if (s.text("data_dir").empty()) problem("data_dir must not be empty.");
    for (std::string& sentence : certificate_problems(s)) problem(std::move(sentence));
    for (std::string& sentence : access_problems(s)) problem(std::move(sentence));
    for (std::string& sentence : configured_senders(s).problems) problem(std::move(sentence));
    for (std::string& sentence : destination_problems(s)) problem(std::move(sentence));
    for (std::string& sentence : google_destination_problems(s)) problem(std::move(sentence));
    for (std::string& sentence : scheduler_problems(s)) problem(std::move(sentence));
    for (std::string& sentence : stat_problems(s)) problem(std::move(sentence));
  }
};

std::string_view to_string(SettingType type) {
  constexpr std::array<std::string_view, 10> kNames{"text",         "path",   "list",  "flag",
                                                    "integer",      "number", "bytes", "seconds",
                                                    "milliseconds", "choice"};
  return kNames[static_cast<std::size_t>(type)];
}

std::span<const SettingSpec> setting_specs() {
  return kSpecs;
}

std::vector<std::string_view> choices_of(std::string_view name) {
  if (name == "log.level") return {"debug", "info", "warn", "error"};
  if (name == "api.authentication") return {"local", "required"};
  if (name == "spool.kind") return {"segments", "files"};
  if (name == "dimse.admission") return {"discover", "known", "open"};
  if (name == "dimse.tls.client_certificates") return {"required", "none"};
  if (name == "dimse.tls.profile") return {"bcp195", "bcp195-modified", "bcp195-rfc7525"};
  if (name == "destinations.*.on_conflict") return {"deliver", "quarantine"};
  if (name == "orthanc.import_existing") return {"none", "since", "all"};
  if (name == "orthanc.after_import") return {"keep", "delete"};
  if (name == "destinations.*.import_path") return {"import", "stow"};
  if (name == "destinations.*.metadata_updates") return {"unsupported", "replace"};
  if (name == "destinations.*.preflight") return {"off", "warn", "quarantine"};
  if (name == "destinations.*.server_side_encryption") return {"bucket", "s3", "kms"};
  if (name == "destinations.*.kind") return {"embedded", "aws", "google"};
  if (name == "senders.*.commitment") {
    return {"default", "none", "spooled", "staged", "imported"};
  }
  if (name == "destinations.*.commitment") return {"default", "spooled", "staged", "imported"};
  if (name == "commitment.level") return {"spooled", "staged", "imported"};
  return {};
}

namespace {
Json value_of(const std::map<std::string, std::string, std::less<>>& values,
              std::string_view name) {
  const auto found = values.find(name);
  ASSERT(found != values.end());
  return Json::parse(found->second);
}
}  // namespace

std::string Settings::text(std::string_view name) const {
  return value_of(values_, name).get<std::string>();
}
std::vector<std::string> Settings::list(std::string_view name) const {
  return value_of(values_, name).get<std::vector<std::string>>();
}
bool Settings::flag(std::string_view name) const {
  return value_of(values_, name).get<bool>();
}
std::int64_t Settings::integer(std::string_view name) const {
  return value_of(values_, name).get<std::int64_t>();
}
double Settings::number(std::string_view name) const {
  return value_of(values_, name).get<double>();
}
Milliseconds Settings::duration(std::string_view name) const {
  const SettingSpec* spec = find_spec(name);
  ASSERT(spec != nullptr);
  const double unit = spec->type == SettingType::seconds ? 1000.0 : 1.0;
  return Milliseconds(std::llround(number(name) * unit));
}

const std::vector<std::string>& Settings::entries(std::string_view section) const {
  static const std::vector<std::string> kNone;
  const auto found = entries_.find(section);
  return found == entries_.end() ? kNone : found->second;
}

std::string Settings::print() const {
  Json root = Json::object();
  for (const auto& [name, value] : values_) {
    const bool hide = secret_.at(name) && value != "\"\"";
    Json::json_pointer pointer;
    for (std::size_t begin = 0; begin <= name.size();) {
      const auto dot = std::min(name.find('.', begin), name.size());
      pointer /= name.substr(begin, dot - begin);
      begin = dot + 1;
    }
    root[pointer] = hide ? Json("[secret]") : Json::parse(value);
  }
  return root.dump(2) + "\n";
}

ParsedSettings parse_settings(const ConfigSources& sources) {
  SettingsParser parser{sources, {}};
  parser.run();
  return std::move(parser.parsed);
}

std::string settings_reference_markdown() {
  std::string text =
      "# Settings\n\n"
      "Made by `isthmus print-reference` from `bridge/app/settings.def`; do not edit.\n\n"
      "One JSON file (comments allowed), objects by the parts of a name: `dimse.port` is "
      "`{\"dimse\": {\"port\": 11112}}`.\nCommand line (`--set dimse.port=104`) > environment "
      "(`ISTHMUS_DIMSE_PORT=104`) > file > default. Secrets may be\n`{\"file\": \"/path\"}` or "
      "`{\"env\": \"NAME\"}`, never the command line, and print as `[secret]`. Every setting takes "
      "effect at\nstart. `isthmus check-config` reports all problems at once.\n\n"
      "| setting | takes | default | what it does |\n| --- | --- | --- | --- |\n";
  for (const SettingSpec& spec : kSpecs) {
    text += fmt::format("| `{}` | {}{} | `{}` | {} |\n", spec.name, expectation(spec),
                        spec.secret ? " (secret)" : "", spec.default_json, spec.sentence);
  }
  return text;
}

namespace {

Json schema_of(const SettingSpec& spec) {
  Json schema = Json::object();
  schema["description"] = spec.sentence;
  switch (spec.type) {
    case SettingType::text:
    case SettingType::path:
      schema["type"] = spec.secret ? Json::array({"string", "object"}) : Json("string");
      break;
    case SettingType::list:
      schema["type"] = "array";
      schema["items"] = Json{{"type", "string"}};
      break;
    case SettingType::flag:
      schema["type"] = "boolean";
      break;
    case SettingType::choice:
      schema["enum"] = choices_of(spec.name);
      break;
    case SettingType::bytes:
      schema["type"] = Json::array({"integer", "string"});
      break;
    case SettingType::integer:
      schema["type"] = "integer";
      break;
    case SettingType::number:
    case SettingType::seconds:
    case SettingType::milliseconds:
      schema["type"] = "number";
      break;
  }
  if (spec.most > spec.least) {
    schema["minimum"] = spec.least;
    schema["maximum"] = spec.most;
  }
  schema["default"] = Json::parse(spec.default_json);
  return schema;
}

}  // namespace

std::string settings_json_schema() {
  Json root = Json::object();
  root["$schema"] = "https://json-schema.org/draft/2020-12/schema";
  root["title"] = "Isthmus configuration";
  root["type"] = "object";
  root["additionalProperties"] = false;
  root["properties"]["$schema"] = Json{{"type", "string"}};
  for (const SettingSpec& spec : kSpecs) {
    Json* node = &root;
    std::string_view rest = spec.name;
    for (;;) {
      const auto dot = rest.find('.');
      const std::string part(rest.substr(0, dot));
      if (dot == std::string_view::npos) {
        (*node)["properties"][part] = schema_of(spec);
        break;
      }
      rest.remove_prefix(dot + 1);
      Json& child = part == "*" ? (*node)["additionalProperties"] : (*node)["properties"][part];
      if (!child.is_object()) {
        child = Json::object();
        child["type"] = "object";
        child["additionalProperties"] = false;
      }
      node = &child;
    }
  }
  return root.dump(2) + "\n";
}

}  // namespace isthmus::app
