#include "app/certificates.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tls/certificates.h"

namespace isthmus::app {
namespace {

std::string until_text(WallTime until, WallTime now, Milliseconds warn_before) {
  const auto left = until - now;
  if (left.count() <= 0) return fmt::format("EXPIRED at {}", to_rfc3339(until));
  return fmt::format("until {}, {} h from now{}", to_rfc3339(until),
                     std::chrono::duration_cast<std::chrono::hours>(left).count(),
                     left < warn_before ? ": renew it" : "");
}

}  // namespace

tls::ContextOptions dimse_tls_options(const Settings& settings, tls::Role role) {
  tls::ContextOptions options;
  options.role = role;
  options.profile =
      tls::parse_profile(settings.text("dimse.tls.profile")).value_or(tls::Profile::bcp195);
  options.certificate = settings.text("dimse.tls.certificate");
  options.key = settings.text("dimse.tls.key");
  options.passphrase = settings.text("dimse.tls.key_passphrase");
  options.ca = settings.text("dimse.tls.ca");
  options.crl = settings.text("dimse.tls.crl");
  options.crl_for_whole_chain = settings.flag("dimse.tls.crl_for_whole_chain");
  options.require_peer_certificate = settings.text("dimse.tls.client_certificates") == "required";
  return options;
}

tls::ContextOptions http_tls_options(const Settings& settings) {
  tls::ContextOptions options;
  options.role = tls::Role::server;
  options.certificate = settings.text("http.tls.certificate");
  options.key = settings.text("http.tls.key");
  options.passphrase = settings.text("http.tls.key_passphrase");
  options.ca = settings.text("http.tls.ca");
  options.require_peer_certificate = !options.ca.empty();
  return options;
}

std::vector<std::string> certificate_problems(const Settings& settings) {
  std::vector<std::string> problems;
  if (settings.flag("http.tls.enabled") &&
      (settings.text("http.tls.certificate").empty() || settings.text("http.tls.key").empty())) {
    problems.emplace_back("http.tls.enabled needs http.tls.certificate and http.tls.key.");
  }
  const bool plain = settings.flag("dimse.plain"), tls = settings.flag("dimse.tls.enabled");
  if (settings.flag("dimse.enabled") && !plain && !tls) {
    problems.emplace_back(
        "dimse.plain and dimse.tls.enabled are both off: switch one on, or dimse.enabled off.");
  }
  if (!tls) return problems;
  if (settings.text("dimse.tls.certificate").empty() || settings.text("dimse.tls.key").empty()) {
    problems.emplace_back("dimse.tls.enabled needs dimse.tls.certificate and dimse.tls.key.");
  }
  const bool required = settings.text("dimse.tls.client_certificates") == "required";
  if (required && settings.text("dimse.tls.ca").empty()) {
    problems.emplace_back(
        "dimse.tls.client_certificates required needs dimse.tls.ca: whose certificates are "
        "trusted.");
  }
  if (plain && settings.integer("dimse.port") != 0 &&
      settings.integer("dimse.port") == settings.integer("dimse.tls.port")) {
    problems.emplace_back("dimse.port and dimse.tls.port must differ: a port speaks one of both.");
  }
  return problems;
}

namespace {

struct Shown {
  const char* name;
  tls::ContextOptions options;
};

// Those that we show to whoever connects.
std::vector<Shown> shown_certificates(const Settings& settings) {
  std::vector<Shown> shown;
  if (settings.flag("dimse.tls.enabled")) {
    shown.push_back({"dimse", dimse_tls_options(settings, tls::Role::server)});
  }
  if (settings.flag("http.tls.enabled")) shown.push_back({"http", http_tls_options(settings)});
  return shown;
}

}  // namespace

std::vector<std::string> certificate_file_problems(Env& env, const Settings& settings) {
  std::vector<std::string> problems;
  for (const Shown& shown : shown_certificates(settings)) {
    const auto loaded = tls::Context::load(env, shown.options);
    if (!loaded.ok()) problems.push_back(describe(loaded.error()));
  }
  return problems;
}

std::vector<CertificateStatus> certificate_status(Env& env, const Settings& settings) {
  std::vector<CertificateStatus> all;
  for (const Shown& shown : shown_certificates(settings)) {
    CertificateStatus status{shown.name, {}, {}};
    auto validity = tls::read_validity(env, shown.options);
    if (validity.ok()) {
      status.validity = std::move(validity).value();
    } else {
      status.problem = describe(validity.error());
    }
    all.push_back(std::move(status));
  }
  return all;
}

std::vector<std::string> certificate_lines(const CertificateStatus& status, WallTime now) {
  std::vector<std::string> lines;
  const tls::Validity& validity = status.validity;
  if (!status.problem.empty()) {
    lines.push_back(fmt::format("certificate {}: {}", status.name, status.problem));
  }
  if (validity.certificate_until) {
    lines.push_back(fmt::format("certificate {}: {}", status.name,
                                until_text(*validity.certificate_until, now, tls::kExpiryWarning)));
  }
  if (validity.crl_until) {
    lines.push_back(fmt::format("revocation list {}: {}", status.name,
                                until_text(*validity.crl_until, now, Milliseconds(0))));
  }
  return lines;
}

std::string certificate_json(const CertificateStatus& status, WallTime now) {
  nlohmann::ordered_json json{{"name", status.name}};
  const tls::Validity& validity = status.validity;
  if (!status.problem.empty()) json["problem"] = status.problem;
  if (!validity.fingerprint_sha256.empty()) {
    json["fingerprint_sha256"] = validity.fingerprint_sha256;
  }
  if (validity.certificate_until) {
    json["until"] = to_rfc3339(*validity.certificate_until);
    json["expires_in_s"] = (*validity.certificate_until - now).count() / 1000;
  }
  if (validity.crl_until) {
    json["crl_until"] = to_rfc3339(*validity.crl_until);
    json["crl_expires_in_s"] = (*validity.crl_until - now).count() / 1000;
  }
  return json.dump();
}

}  // namespace isthmus::app
