#include "ledger/sqlite/readers.h"

namespace isthmus {
namespace {

constexpr std::size_t kIdleConnections = 8;

}  // namespace

Result<sql::Database> Readers::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      sql::Database database = std::move(idle_.back());
      idle_.pop_back();
      return database;
    }
  }
  return sql::Database::open(file_, {.error_area = "ledger", .read_only = true});
}

void Readers::give_back(sql::Database database) {
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kIdleConnections) idle_.push_back(std::move(database));
}

}  // namespace isthmus
