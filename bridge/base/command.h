// Programs of the site's own that we ask something: their words in, what they print out.
#pragma once

#include <string>
#include <vector>

#include "base/env.h"

namespace isthmus {

struct CommandOptions {
  Milliseconds timeout{60'000};
  std::size_t most_output_bytes = 64 * 1024;
};

// Runs words[0], found by PATH when it has no slash, with the other words as its arguments: no
// shell sees them. Gives what it printed on standard output; standard error goes where ours goes.
// Blocks until it ended; what overruns the time is killed. Any thread. Errors: "command.failed"
// (transient: it could not be started, or ended with another status than 0), "command.timeout"
// (transient), "command.too_long" (permanent). What it printed is in none of them: it may be a
// secret.
Result<std::string> run_command(const std::vector<std::string>& words,
                                const CommandOptions& options = {});

}  // namespace isthmus
