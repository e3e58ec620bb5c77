#include "plugin/configuration.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "app/config.h"

namespace isthmus::plugin {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kSection = "Isthmus";

bool is_like_section(const std::string& key) {
  std::string small(key.size(), ' ');
  std::transform(key.begin(), key.end(), small.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return small == "isthmus";
}

void set_default(Json& section, const char* group, const char* key, bool value) {
  if (section.contains(group) && !section[group].is_object()) return;  // a problem of its own
  Json& object = section[group];
  if (!object.is_object()) object = Json::object();
  if (!object.contains(key)) object[key] = value;
}

}  // namespace

std::optional<app::ParsedSettings> read_configuration(Env& env, const std::string& orthanc_json) {
  const Json whole = Json::parse(orthanc_json, nullptr, false, /*ignore_comments=*/true);
  app::ParsedSettings refused;
  if (!whole.is_object()) {
    refused.problems.emplace_back("Orthanc's configuration is not a JSON object.");
    return refused;
  }
  if (!whole.contains(kSection)) {
    for (const auto& [key, value] : whole.items()) {
      if (!is_like_section(key)) continue;
      refused.problems.push_back("The section must be called \"Isthmus\", not \"" + key + "\".");
      return refused;
    }
    return std::nullopt;
  }
  Json section = whole[kSection];
  if (!section.is_object()) {
    refused.problems.emplace_back("The section \"Isthmus\" must be a JSON object.");
    return refused;
  }
  set_default(section, "dimse", "enabled", false);
  set_default(section, "http", "listen", false);
  set_default(section, "datastore", "listen", false);
  set_default(section, "stow", "enabled", false);
  app::ParsedSettings parsed = app::load_settings_of_host(env, section.dump());
  if (parsed.problems.empty() && parsed.settings.flag("dimse.enabled")) {
    parsed.problems.emplace_back(
        "dimse.enabled must be false inside Orthanc, which listens for associations itself; run "
        "the daemon beside it for another SCP.");
  }
  return parsed;
}

bool asks_for_passwords(const std::string& orthanc_json) {
  const Json whole = Json::parse(orthanc_json, nullptr, false, /*ignore_comments=*/true);
  const auto flag = [&](const char* key, bool otherwise) {
    const bool is_said = whole.is_object() && whole.contains(key) && whole[key].is_boolean();
    return is_said ? whole[key].get<bool>() : otherwise;
  };
  return flag("AuthenticationEnabled", flag("RemoteAccessAllowed", false));
}

}  // namespace isthmus::plugin
