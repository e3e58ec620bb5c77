// A sender as text, for the ledger: one "word value" a line, words as in the configuration, one
// line for each value of a list.
#pragma once

#include <string>
#include <string_view>

#include "senders/senders.h"

namespace isthmus {

std::string definition_of(const Sender& sender);

// "sender.bad_definition" (permanent) when a line is not one that definition_of writes: of a newer
// program, or damaged. Such a sender is not let in.
Result<Sender> sender_from(std::string_view name, std::string_view definition);

// What the other side said, so that it can be printed and stored: bytes outside of printable ASCII
// and backslashes as \xNN, and no more than `most_bytes` of it.
std::string printable(std::string_view text, std::size_t most_bytes);

}  // namespace isthmus
