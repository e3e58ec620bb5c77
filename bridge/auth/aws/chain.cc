#include <array>

#include "auth/aws.h"
#include "auth/aws/provider.h"
#include "auth/aws/sts.h"
#include "auth/renewal.h"

namespace isthmus {
namespace {

struct Step {
  const char* name;
  aws::Found (*find)(aws::Means&);
  bool of_process;  // not asked when a profile was chosen by configuration
};
constexpr std::array kSteps{
    Step{"environment", &aws::from_environment, true},
    Step{"web_identity", &aws::from_web_identity_variables, true},
    Step{"profile", &aws::from_profile, false},
    Step{"container", &aws::from_container, true},
    Step{"instance_metadata", &aws::from_instance_metadata, true},
};

class AwsCredentials : public CredentialsSource {
 public:
  AwsCredentials(Env& env, http::Transport& transport, AwsCredentialOptions options)
      : options_(std::move(options)),
        means_{env, transport, options_},
        renewal_(env, options_.refresh_before, [this] { return find(); }) {}

  Result<Credentials> credentials() override { return renewal_.get(); }

 private:
  Result<Renewed<Credentials>> find() {
    for (const Step& step : kSteps) {
      if (step.of_process && !options_.profile.empty()) continue;
      TRY_ASSIGN(auto found, step.find(means_));
      if (!found) continue;
      TRY_ASSIGN(Credentials made, with_role(std::move(*found)));
      const std::optional<WallTime> expires_at = made.expires_at;
      return Renewed<Credentials>{std::move(made), expires_at, step.name};
    }
    return transient_error(
        "auth.no_credentials",
        "No AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile, or "
        "give this machine a role.");
  }

  Result<Credentials> with_role(Credentials found) {
    if (options_.role_arn.empty()) return found;
    return aws::assume_role(
        means_, {options_.role_arn, options_.session_name, options_.external_id, "", std::nullopt},
        found, options_.region);
  }

  const AwsCredentialOptions options_;
  aws::Means means_;
  Renewal<Credentials> renewal_;
};

}  // namespace

std::unique_ptr<CredentialsSource> make_aws_credentials(Env& env, http::Transport& transport,
                                                        AwsCredentialOptions options) {
  return std::make_unique<AwsCredentials>(env, transport, std::move(options));
}

}  // namespace isthmus
