// The texts of statements.def by name: statement::load_batch.
#pragma once

#include <string_view>

namespace isthmus::statement {

#define ISTHMUS_STATEMENT(name, access, ...) inline constexpr std::string_view name = __VA_ARGS__;
#include "ledger/sqlite/statements.def"
#undef ISTHMUS_STATEMENT

}  // namespace isthmus::statement
