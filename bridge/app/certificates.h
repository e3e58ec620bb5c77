// Which certificates the configuration names, and what `isthmus status` says of them.
#pragma once

#include <string>
#include <vector>

#include "app/settings.h"
#include "tls/context.h"

namespace isthmus::app {

// dimse.tls.*, for the port that we listen on or for the connections that we open.
tls::ContextOptions dimse_tls_options(const Settings& settings, tls::Role role);

// http.tls.*, for the port that we listen on.
tls::ContextOptions http_tls_options(const Settings& settings);

// What is missing or does not go together, a sentence each. Files are not read.
std::vector<std::string> certificate_problems(const Settings& settings);

// Why the files cannot be used for listening: what a start would end with.
std::vector<std::string> certificate_file_problems(Env& env, const Settings& settings);

struct CertificateStatus {
  std::string name;  // "dimse", "http"
  tls::Validity validity;
  std::string problem;  // why the files cannot be read; empty: they can
};
// Of the files as they are now; nothing when no TLS is configured.
std::vector<CertificateStatus> certificate_status(Env& env, const Settings& settings);
// For people, a line each, and as a JSON object.
std::vector<std::string> certificate_lines(const CertificateStatus& status, WallTime now);
std::string certificate_json(const CertificateStatus& status, WallTime now);

}  // namespace isthmus::app
