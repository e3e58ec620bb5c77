#include <algorithm>
#include <array>
#include <mutex>

#include "auth/aws.h"
#include "auth/aws/provider.h"
#include "auth/aws/sts.h"

namespace isthmus {
namespace {

// Long-lived keys are looked for again after this: files are rotated.
constexpr Milliseconds kLookAgain{5 * 60'000};
// Callers that fail together do not each wait for a metadata service that is not there.
constexpr Milliseconds kFailurePause{5'000};

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
      : env_(env), options_(std::move(options)), means_{env, transport, options_} {}

  Result<Credentials> credentials() override {
    const std::lock_guard lock(mutex_);
    const SteadyTime now = env_.clock.steady_now();
    if (known_ && now < ask_again_) return *known_;
    if (failure_ && now < ask_again_) return *failure_;
    auto found = find();
    if (found.ok()) return keep(std::move(*found), now);
    env_.log.warn("credentials.not_renewed", {{"error", describe(found.error())}});
    count("failed");
    ask_again_ = now + kFailurePause;
    const bool still_good =
        known_ && (!known_->expires_at || *known_->expires_at > env_.clock.wall_now());
    if (still_good) return *known_;
    known_.reset();
    failure_ = std::move(found).error();
    return *failure_;
  }

 private:
  Result<Credentials> find() {
    for (const Step& step : kSteps) {
      if (step.of_process && !options_.profile.empty()) continue;
      TRY_ASSIGN(auto found, step.find(means_));
      if (!found) continue;
      source_ = step.name;
      return with_role(std::move(*found));
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

  Credentials keep(Credentials found, SteadyTime now) {
    Milliseconds good_for = kLookAgain;
    if (found.expires_at) {
      const Milliseconds left = *found.expires_at - env_.clock.wall_now();
      const bool is_short = left < options_.refresh_before * 4;
      good_for = std::max(is_short ? left * 3 / 4 : left - options_.refresh_before, kFailurePause);
    }
    const bool changed = !known_ || known_->access_key_id != found.access_key_id;
    if (changed) {
      env_.log.info("credentials.renewed",
                    {{"source", source_},
                     {"expires_at", found.expires_at ? to_rfc3339(*found.expires_at) : "never"}});
      count("renewed");
    }
    ask_again_ = now + good_for;
    failure_.reset();
    known_ = std::move(found);
    return *known_;
  }

  void count(const char* result) {
    env_.metrics
        .counter("credentials_renewals_total", "Renewals of cloud credentials, by result",
                 {{"result", result}})
        .add();
  }

  Env& env_;
  const AwsCredentialOptions options_;
  aws::Means means_;
  std::mutex mutex_;
  std::string source_;
  std::optional<Credentials> known_;
  std::optional<Error> failure_;
  SteadyTime ask_again_{};
};

}  // namespace

std::unique_ptr<CredentialsSource> make_aws_credentials(Env& env, http::Transport& transport,
                                                        AwsCredentialOptions options) {
  return std::make_unique<AwsCredentials>(env, transport, std::move(options));
}

}  // namespace isthmus
