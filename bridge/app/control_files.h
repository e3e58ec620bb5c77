// What the command line needs to talk to the daemon beside it, in files of data_dir: the token of
// the installation, and the address where it is taken.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "app/settings.h"
#include "base/env.h"

namespace isthmus::app {

// The token that control calls of the command line need: made once per installation, kept in
// data_dir. Errors of the disk.
Result<std::string> read_control_token(Env& env, const Settings& settings);
// The one that is kept, else a new one, durable.
Result<std::string> control_token(Env& env, const Settings& settings);

// Says where this daemon takes the command line's calls: the port that it found, or one besides
// http.port, which speaks TLS.
Result<void> keep_control_port(Env& env, const Settings& settings, std::uint16_t port);
// "http://127.0.0.1:8080". Nothing when nobody can know: no daemon was started in data_dir.
std::optional<std::string> control_url(Env& env, const Settings& settings);

}  // namespace isthmus::app
