// The certificates in force: loaded, looked at again now and then, replaced without a restart. A
// new file that is no good leaves the old ones in force and is told to a person; connections under
// way keep what they began with.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "base/env.h"
#include "tls/context.h"

namespace isthmus::tls {

// Warned of from here on.
constexpr Milliseconds kExpiryWarning = std::chrono::hours(24 * 30);

class Certificates {
 public:
  // Loads at once; errors as of Context::load. `name` says whose they are in logs and metrics:
  // "dimse". `beside` is of the same files in another role, and is looked at first: what it said of
  // them already is not said again. It outlives this one.
  static Result<std::unique_ptr<Certificates>> open(Env& env, std::string name,
                                                    ContextOptions options,
                                                    const Certificates* beside = nullptr);

  // Any thread, never waits for a file.
  std::shared_ptr<const Context> current() const;

  // Reads the files now. True: they differed and are in force. An error is logged, and the old ones
  // stay. Any thread.
  Result<bool> reload();
  // For a housekeeping tick of some seconds: reloads files that changed and have been the same for
  // two ticks (whoever copies a certificate and then its key is in between for a moment), warns of
  // what runs out, keeps the metrics. A failure is logged once for each state of the files.
  void refresh();

 private:
  Certificates(Env& env, std::string name, ContextOptions options, const Certificates* beside)
      : env_(env), name_(std::move(name)), options_(std::move(options)), beside_(beside) {}
  std::string refusal() const;
  Result<bool> reload_locked(const std::string& seen);
  Result<void> take(const std::string& seen);
  void warn_of_expiry();

  Env& env_;
  const std::string name_;
  const ContextOptions options_;
  const Certificates* const beside_;

  mutable std::mutex current_mutex_;
  std::shared_ptr<const Context> current_;

  mutable std::mutex reload_mutex_;  // one reload at a time; held while files are read
  std::string in_force_;             // fingerprint_files() of what is loaded
  std::string refused_;              // … of what was no good, so that it is said once
  std::string refusal_;              // why
  std::string last_seen_;
  SteadyTime next_warning_{};
};

}  // namespace isthmus::tls
