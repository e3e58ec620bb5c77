#include "tls/certificates.h"

namespace isthmus::tls {
namespace {

// Somebody who is warned every few seconds stops looking.
constexpr Milliseconds kWarnAgain = std::chrono::hours(24);

double seconds_until(WallTime now, const std::optional<WallTime>& until) {
  return until ? static_cast<double>((*until - now).count()) / 1000.0 : 0.0;
}

}  // namespace

Result<std::unique_ptr<Certificates>> Certificates::open(Env& env, std::string name,
                                                         ContextOptions options,
                                                         const Certificates* beside) {
  std::unique_ptr<Certificates> certificates(
      new Certificates(env, std::move(name), std::move(options), beside));
  const std::string seen = fingerprint_files(env, certificates->options_);
  const std::lock_guard lock(certificates->reload_mutex_);
  TRY(certificates->take(seen));
  certificates->last_seen_ = seen;
  certificates->warn_of_expiry();
  return certificates;
}

std::shared_ptr<const Context> Certificates::current() const {
  const std::lock_guard lock(current_mutex_);
  return current_;
}

std::string Certificates::refusal() const {
  const std::lock_guard lock(reload_mutex_);
  return refusal_;
}

Result<bool> Certificates::reload() {
  const std::lock_guard lock(reload_mutex_);
  last_seen_ = fingerprint_files(env_, options_);
  refused_.clear();  // asked for: said again
  return reload_locked(last_seen_);
}

void Certificates::refresh() {
  const std::lock_guard lock(reload_mutex_);
  const std::string seen = fingerprint_files(env_, options_);
  const bool settled = seen == last_seen_;
  last_seen_ = seen;
  if (settled) ignore(reload_locked(seen), "logged; what is in force stays");
  warn_of_expiry();
}

Result<bool> Certificates::reload_locked(const std::string& seen) {
  if (seen == in_force_) {
    refused_.clear();
    refusal_.clear();
    return false;
  }
  if (seen == refused_) return false;
  const auto taken = take(seen);
  env_.metrics
      .counter("tls_reloads_total", "Reloads of changed certificate files, by result",
               {{"name", name_}, {"result", taken.ok() ? "loaded" : "refused"}})
      .add();
  if (!taken.ok()) {
    refused_ = seen;
    refusal_ = describe(taken.error());
    const bool was_said = beside_ != nullptr && beside_->refusal() == refusal_;
    if (!was_said) env_.log.error("tls.reload_refused", {{"name", name_}, {"error", refusal_}});
    return taken.error();
  }
  const Validity validity = current()->validity();
  env_.log.info("tls.reloaded",
                {{"name", name_},
                 {"fingerprint", validity.fingerprint_sha256},
                 {"until", validity.certificate_until ? to_rfc3339(*validity.certificate_until)
                                                      : std::string()}});
  next_warning_ = {};
  return true;
}

Result<void> Certificates::take(const std::string& seen) {
  TRY_ASSIGN(auto loaded, Context::load(env_, options_));
  const WallTime now = env_.clock.wall_now();
  const auto& until = loaded->validity().certificate_until;
  const auto before = current();
  // At start there is nothing better; later the old ones are.
  if (before != nullptr && until && *until <= now) {
    return permanent_error("tls.certificate_expired",
                           options_.certificate.string() + ": is expired already.");
  }
  const auto& from = loaded->validity().certificate_from;
  if (before != nullptr && from && *from > now) {
    return permanent_error("tls.certificate_not_yet_valid",
                           options_.certificate.string() + ": is not valid yet.");
  }
  in_force_ = seen;
  refused_.clear();
  refusal_.clear();
  const std::lock_guard lock(current_mutex_);
  current_ = std::move(loaded);
  return {};
}

void Certificates::warn_of_expiry() {
  const Validity validity = current()->validity();
  const WallTime now = env_.clock.wall_now();
  const double certificate_seconds = seconds_until(now, validity.certificate_until);
  const double crl_seconds = seconds_until(now, validity.crl_until);
  if (validity.certificate_until) {
    env_.metrics
        .gauge("tls_certificate_expiry_seconds",
               "Until our certificate expires; negative: since it did", {{"name", name_}})
        .set(certificate_seconds);
  }
  if (validity.crl_until) {
    env_.metrics
        .gauge("tls_crl_expiry_seconds",
               "Until the first revocation list is out of date; negative: since it is",
               {{"name", name_}})
        .set(crl_seconds);
  }
  if (beside_ != nullptr) return;  // it warns
  if (env_.clock.steady_now() < next_warning_) return;
  constexpr double kWarnSeconds =
      std::chrono::duration_cast<std::chrono::duration<double>>(kExpiryWarning).count();
  bool warned = false;
  if (validity.certificate_until && certificate_seconds < kWarnSeconds) {
    const LogLevel level = certificate_seconds <= 0 ? LogLevel::error : LogLevel::warn;
    env_.log.event(level, "tls.certificate_expires",
                   {{"name", name_},
                    {"fingerprint", validity.fingerprint_sha256},
                    {"until", to_rfc3339(*validity.certificate_until)},
                    {"expired", certificate_seconds <= 0}});
    warned = true;
  }
  // Lists are replaced every few days: only one that is out of date means anything.
  if (validity.crl_until && crl_seconds <= 0) {
    env_.log.error("tls.crl_expired",
                   {{"name", name_}, {"until", to_rfc3339(*validity.crl_until)}});
    warned = true;
  }
  if (warned) next_warning_ = env_.clock.steady_now() + kWarnAgain;
}

}  // namespace isthmus::tls
