// When credentials are renewed, how long a failure rests, and what is used meanwhile: the same for
// every cloud. Where they come from, the chains know (aws/chain.cc, google/chain.cc).
#pragma once

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/env.h"

namespace isthmus {

// What a chain found, and where ("service_account").
template <typename Secret>
struct Renewed {
  Secret secret;
  std::optional<WallTime> expires_at;
  std::string source;
};

// One caller asks at a time, without a lock held; the others use what is still good, or wait for
// its answer. Renewed `refresh_before` the expiry (short-lived ones when three quarters of their
// life have passed); what does not say when it expires is looked for again every five minutes:
// files are rotated. After a failure nobody asks for five seconds: callers that fail together do
// not each wait for a server that is not there. What is still good is used until it expires. Each
// change is logged with source and expiry, never with the secret.
// `Secret` can be copied and compared. Any thread; `env` must outlive it.
template <typename Secret>
class Renewal {
 public:
  using Found = Result<Renewed<Secret>>;

  Renewal(Env& env, Milliseconds refresh_before, std::function<Found()> find)
      : env_(env), refresh_before_(refresh_before), find_(std::move(find)) {}

  Result<Secret> get() {
    std::unique_lock lock(mutex_);
    for (;;) {
      if (env_.clock.steady_now() < ask_again_) {
        if (known_) return known_->secret;
        if (failure_) return *failure_;
      }
      if (!renewing_) break;
      if (is_good()) return known_->secret;
      renewed_.wait(lock);
    }
    renewing_ = true;
    lock.unlock();
    Found found = find_();
    lock.lock();
    renewing_ = false;
    renewed_.notify_all();
    return found.ok() ? keep(std::move(*found)) : keep_failure(std::move(found).error());
  }

  // A service would not have it: it is given to nobody else, should it still be the one.
  void refused(const Secret& secret) {
    const std::lock_guard lock(mutex_);
    if (!known_ || !(known_->secret == secret)) return;
    known_.reset();
    ask_again_ = SteadyTime{};
  }

 private:
  static constexpr Milliseconds kLookAgain{5 * 60'000};
  static constexpr Milliseconds kFailurePause{5'000};

  bool is_good() const {
    return known_ && (!known_->expires_at || *known_->expires_at > env_.clock.wall_now());
  }

  Milliseconds good_for(const std::optional<WallTime>& expires_at) const {
    if (!expires_at) return kLookAgain;
    const Milliseconds left = *expires_at - env_.clock.wall_now();
    const bool is_short = left < refresh_before_ * 4;
    return std::max(is_short ? left * 3 / 4 : left - refresh_before_, kFailurePause);
  }

  Secret keep(Renewed<Secret> found) {
    if (!known_ || !(known_->secret == found.secret)) {
      env_.log.info("credentials.renewed",
                    {{"source", found.source},
                     {"expires_at", found.expires_at ? to_rfc3339(*found.expires_at) : "never"}});
      count("renewed");
    }
    ask_again_ = env_.clock.steady_now() + good_for(found.expires_at);
    failure_.reset();
    known_ = std::move(found);
    return known_->secret;
  }

  Result<Secret> keep_failure(Error error) {
    env_.log.warn("credentials.not_renewed", {{"error", describe(error)}});
    count("failed");
    ask_again_ = env_.clock.steady_now() + kFailurePause;
    if (is_good()) return known_->secret;
    known_.reset();
    failure_ = std::move(error);
    return *failure_;
  }

  void count(const char* result) {
    env_.metrics
        .counter("credentials_renewals_total", "Renewals of cloud credentials, by result",
                 {{"result", result}})
        .add();
  }

  Env& env_;
  const Milliseconds refresh_before_;
  const std::function<Found()> find_;
  std::mutex mutex_;
  std::condition_variable renewed_;
  bool renewing_ = false;
  std::optional<Renewed<Secret>> known_;
  std::optional<Error> failure_;
  SteadyTime ask_again_{};
};

}  // namespace isthmus
