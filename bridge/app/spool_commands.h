// `isthmus spool …`: the spool from outside, beside a running gateway or without one.
#pragma once

#include <string>

#include "app/commands.h"

namespace isthmus::app {

// Bytes against rows; a line for each finding, with what to do.
int verify_spool_bytes(const Invocation& invocation);
// One instance's Part 10 file to `path`, which must not exist yet, or to standard output when that
// is empty. By our id, or by SOP Instance UID when only one instance has it.
int export_instance(const Invocation& invocation, const std::string& uid_or_id,
                    const std::string& path);

}  // namespace isthmus::app
