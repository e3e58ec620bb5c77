// From Orthanc's configuration to checked settings: the section "Isthmus" has the keys and checks
// of the daemon's file, and a few defaults of its own, because Orthanc listens already.
#pragma once

#include <optional>
#include <string>

#include "app/settings.h"
#include "base/env.h"

namespace isthmus::plugin {

// `orthanc_json` is the whole configuration as Orthanc gives it. Nothing when it has no section
// "Isthmus": the plugin then stays out. Differences to the daemon: dimse.enabled is false and must
// stay so (Orthanc is the SCP); http.listen, datastore.listen and stow.enabled are false unless
// set.
std::optional<app::ParsedSettings> read_configuration(Env& env, const std::string& orthanc_json);

// Whether Orthanc asks for name and password: "AuthenticationEnabled", which is on by itself where
// remote access is allowed (Orthanc 1.5.8 and newer).
bool asks_for_passwords(const std::string& orthanc_json);

}  // namespace isthmus::plugin
