// What became of a study, for each destination. Private to sqlite/.
#pragma once

#include <string>
#include <vector>

#include "ledger/ledger.h"
#include "sql/sql.h"

namespace isthmus {

// people.cc.
Result<std::vector<StudySummary>> summaries_of(sql::Database& db, const std::string& study);

}  // namespace isthmus
