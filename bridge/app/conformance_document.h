// The tables of bridge/docs/CONFORMANCE.md that follow from tables in the code: what the SCP is,
// accepts and answers. A test holds the document against them, and another the SCP.
#pragma once

#include <string>

namespace isthmus::app {

// The document from its last heading on.
std::string conformance_tables_markdown();

}  // namespace isthmus::app
