// Read-only connections, made when needed and used again: each read has one of its own for as long
// as it takes, and never waits for the writer.
#pragma once

#include <filesystem>
#include <mutex>
#include <utility>
#include <vector>

#include "sql/sql.h"

namespace isthmus {

// Any thread.
class Readers {
 public:
  explicit Readers(std::filesystem::path file) : file_(std::move(file)) {}

  // Gives body(database)'s result, all of it read from one state of the ledger. The connection is
  // used by nobody else meanwhile.
  template <typename Body>
  auto read(Body&& body) -> decltype(body(std::declval<sql::Database&>())) {
    TRY_ASSIGN(sql::Database database, take());
    auto result = in_one_view(database, body);
    // One that failed is not used again.
    if (result.ok()) give_back(std::move(database));
    return result;
  }

 private:
  template <typename Body>
  static auto in_one_view(sql::Database& database, Body& body)
      -> decltype(body(std::declval<sql::Database&>())) {
    TRY_ASSIGN(const sql::Transaction view, sql::Transaction::begin_read(database));
    return body(database);
  }
  Result<sql::Database> take();
  void give_back(sql::Database database);

  const std::filesystem::path file_;
  std::mutex mutex_;
  std::vector<sql::Database> idle_;
};

}  // namespace isthmus
