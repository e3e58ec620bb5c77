// What the commands share: exit states, words to the operator, the ledger and the daemon beside
// them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "app/commands.h"
#include "ledger/ledger.h"

namespace isthmus::app {

constexpr int kWell = 0;
constexpr int kWrong = 1;
constexpr int kCannot = 2;

void say(const std::string& line);       // to standard output
void complain(const std::string& line);  // to standard error
int failed(const Error& error);          // complains; kCannot
std::optional<Settings> settings_or_complain(const Invocation& invocation);
Result<std::unique_ptr<Ledger>> open_ledger(const Invocation& invocation, const Settings& settings,
                                            bool read_only);
// "5 min".
std::string age_text(Milliseconds age);

// A control call to the daemon: POST `path` with a JSON body; gives the answer's. Errors are those
// that the daemon's problem document names, "control.refused", and those of the client.
Result<std::string> call_daemon(Env& env, const Settings& settings, const std::string& path,
                                const std::string& body);
// The same with GET; for what is only asked.
Result<std::string> read_from_daemon(Env& env, const Settings& settings, const std::string& path);
// Gives an order to the daemon, which holds the ledger: POST `path` with {"<key>": "<value>"}.
// Gives how many rows it moved. "control.refused", and errors of the client.
Result<std::int64_t> ask_daemon(Env& env, const Settings& settings, const std::string& path,
                                const std::string& key, const std::string& value);

// What the answer of call_daemon says of it.
Result<std::int64_t> moved_by(const Result<std::string>& answer);

}  // namespace isthmus::app
