// The shared configuration files of the AWS SDKs (AWS SDKs and Tools Reference Guide, "Shared
// config and credentials files"): sections of settings, read as data.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace isthmus::aws {

using Profile = std::map<std::string, std::string>;  // names in lower case
using Profiles = std::map<std::string, Profile>;

// Adds the profiles of a file to `profiles`; what a later file says of a setting counts. In the
// config file ("[profile name]", "[default]") other sections are none; in the credentials file each
// section is one. Indented lines belong to the setting above and are left out; what is no setting
// is passed over, as the SDKs do.
void add_profiles(std::string_view text, bool is_config_file, Profiles& profiles);

// The words of a credential_process: separated by spaces, kept together by "…" or '…'; a backslash
// outside of '…' keeps the next character. Nothing when a quote does not end.
std::optional<std::vector<std::string>> split_words(std::string_view line);

}  // namespace isthmus::aws
