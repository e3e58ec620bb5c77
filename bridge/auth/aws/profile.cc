// The chosen profile, and those that it leans on.
#include <charconv>
#include <set>

#include "auth/aws/profiles.h"
#include "auth/aws/provider.h"
#include "auth/aws/sts.h"

namespace isthmus::aws {
namespace {

constexpr const char* kSource = "profile";

class Resolver {
 public:
  Resolver(Means& means, Profiles profiles) : means_(means), profiles_(std::move(profiles)) {}

  Result<Credentials> resolve(const std::string& name) {
    const auto found = profiles_.find(name);
    if (found == profiles_.end()) return problem(name, "there is no such profile.");
    const Profile& profile = found->second;
    if (!visited_.insert(name).second) {
      // A role may be assumed with the keys that stand beside it in the same profile.
      if (profile.contains("aws_access_key_id")) return keys_of(name, profile);
      return problem(name, "source_profile leads back to it.");
    }
    if (profile.contains("role_arn")) return role_of(name, profile);
    if (profile.contains("aws_access_key_id")) return keys_of(name, profile);
    if (profile.contains("credential_process")) return process_of(name, profile);
    return problem(name,
                   "it has neither aws_access_key_id, credential_process nor role_arn; single "
                   "sign-on is not supported.");
  }

 private:
  static Error problem(const std::string& name, const std::string& why) {
    return no_credentials(std::string(kSource) + " " + name, why);
  }
  static std::string text(const Profile& profile, const char* name) {
    const auto found = profile.find(name);
    return found == profile.end() ? std::string() : found->second;
  }

  Result<Credentials> keys_of(const std::string& name, const Profile& profile) {
    Credentials credentials{text(profile, "aws_access_key_id"),
                            text(profile, "aws_secret_access_key"),
                            text(profile, "aws_session_token"), std::nullopt};
    if (credentials.secret_access_key.empty()) {
      return problem(name, "aws_secret_access_key is missing.");
    }
    return credentials;
  }

  Result<Credentials> process_of(const std::string& name, const Profile& profile) {
    const auto words = split_words(text(profile, "credential_process"));
    if (!words || words->empty()) return problem(name, "credential_process has an open quote.");
    if (!means_.options.run) return problem(name, "credential_process cannot be run here.");
    const auto printed = means_.options.run(*words);
    if (!printed.ok()) return problem(name, printed.error().message);
    return parse_credentials_json("credential_process of profile " + name, *printed);
  }

  Result<Credentials> role_of(const std::string& name, const Profile& profile) {
    wire::sts::AssumeRole role;
    role.role_arn = text(profile, "role_arn");
    role.session_name = text(profile, "role_session_name");
    if (role.session_name.empty()) role.session_name = means_.options.session_name;
    role.external_id = text(profile, "external_id");
    if (const std::string seconds = text(profile, "duration_seconds"); !seconds.empty()) {
      int number = 0;
      const auto read = std::from_chars(seconds.data(), seconds.data() + seconds.size(), number);
      if (read.ec != std::errc() || number < 900) {
        return problem(name, "duration_seconds must be a number from 900.");
      }
      role.duration_seconds = number;
    }
    if (profile.contains("mfa_serial")) {
      return problem(name, "mfa_serial needs a person; a gateway cannot answer.");
    }
    std::string region = text(profile, "region");
    if (region.empty()) region = means_.options.region;
    if (profile.contains("web_identity_token_file")) {
      auto token = read_secret_file(means_.env, text(profile, "web_identity_token_file"));
      if (!token.ok()) return problem(name, "web_identity_token_file cannot be read.");
      role.web_identity_token = std::move(*token);
      return assume_role(means_, role, std::nullopt, region);
    }
    TRY_ASSIGN(const Credentials source, source_of_role(name, profile));
    return assume_role(means_, role, source, region);
  }

  Result<Credentials> source_of_role(const std::string& name, const Profile& profile) {
    if (profile.contains("source_profile")) return resolve(text(profile, "source_profile"));
    const std::string source = text(profile, "credential_source");
    Found found = std::optional<Credentials>();
    if (source == "Environment") {
      found = from_environment(means_);
    } else if (source == "EcsContainer") {
      found = from_container(means_);
    } else if (source == "Ec2InstanceMetadata") {
      found = from_instance_metadata(means_);
    } else {
      return problem(name,
                     "role_arn needs source_profile, web_identity_token_file, or "
                     "credential_source Environment, EcsContainer or Ec2InstanceMetadata.");
    }
    TRY(found);
    if (!*found) return problem(name, "credential_source " + source + " has none.");
    return std::move(**found);
  }

  Means& means_;
  const Profiles profiles_;
  std::set<std::string> visited_;
};

// A missing file is an empty one.
Result<void> add_file(Means& means, const std::string& path, bool is_config_file,
                      Profiles& profiles) {
  const auto text = read_secret_file(means.env, path);
  if (!text.ok() && text.error().code == "disk.not_found") return {};
  if (!text.ok()) return no_credentials(kSource, "the file " + path + " cannot be read.");
  add_profiles(*text, is_config_file, profiles);
  return {};
}

}  // namespace

Found from_profile(Means& means) {
  const std::string home = means.variable("HOME").value_or("");
  const auto file = [&](const char* variable, const char* name) {
    return means.variable(variable).value_or(home.empty() ? "" : home + "/.aws/" + name);
  };
  Profiles profiles;
  const std::string config = file("AWS_CONFIG_FILE", "config");
  const std::string credentials = file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
  if (!config.empty()) TRY(add_file(means, config, true, profiles));
  if (!credentials.empty()) TRY(add_file(means, credentials, false, profiles));
  const bool asked_for =
      !means.options.profile.empty() || means.variable("AWS_PROFILE").has_value();
  const std::string name = !means.options.profile.empty()
                               ? means.options.profile
                               : means.variable("AWS_PROFILE").value_or("default");
  const auto found = profiles.find(name);
  if (!asked_for) {
    // A default profile may be there for its region only.
    const bool says_something =
        found != profiles.end() &&
        (found->second.contains("aws_access_key_id") || found->second.contains("role_arn") ||
         found->second.contains("credential_process"));
    if (!says_something) return std::optional<Credentials>();
  }
  TRY_ASSIGN(Credentials made, Resolver(means, std::move(profiles)).resolve(name));
  return std::optional(std::move(made));
}

}  // namespace isthmus::aws
