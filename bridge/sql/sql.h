// SQLite behind our types: connections, statements, transactions, numbered migrations. The only
// code that calls sqlite3; the ledger and the data store's catalogue are written on it.
//
//   TRY_ASSIGN(sql::Database db, sql::Database::open(path, {.error_area = "ledger"}));
//   TRY(db.run("UPDATE batch SET state = ? WHERE id = ?", {"sealed", batch_id}));
//   TRY_ASSIGN(sql::Statement rows, db.query("SELECT id, reason FROM batch WHERE state = ?",
//   {"open"})); for (;;) {
//     TRY_ASSIGN(const bool more, rows.next());
//     if (!more) break;
//     sql::Columns columns = rows.columns();
//     const std::string id = columns.text();
//     const std::optional<std::string> reason = columns.optional_text();
//   }
//
// Threads: a Database, its statements and its transactions belong to one thread at a time. Open one
// connection for each thread that works at the same time.
//
// Errors, with the area given at open() in front:
//   "<area>.full"        transient  no disk space; nothing of the transaction happened
//   "<area>.busy"        transient  another connection held the lock longer than the busy timeout
//   "<area>.constraint"  permanent  a CHECK, UNIQUE, foreign key or trigger refused it
//   "<area>.io"          fatal      input/output error, damage, no database, a statement that is
//   wrong:
//                                   this file, or this program, can no longer be trusted
// Messages name tables and columns, never values.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/env.h"
#include "base/result.h"

struct sqlite3_stmt;

namespace isthmus::sql {

// Something that has text(): Id and Uid.
template <typename T>
concept HasText = requires(const T& value) {
  { value.text() } -> std::convertible_to<const std::string&>;
};

// What is bound to a parameter. Text and bytes are only looked at during the call it is given to.
// Times are INTEGER milliseconds since 1970 (UTC), digests 64 hex digits as TEXT, bool 0 or 1.
class Value {
 public:
  Value(std::nullopt_t) {}
  template <std::integral Number>
  Value(Number number) : held_(static_cast<std::int64_t>(number)) {}
  Value(double number) : held_(number) {}
  Value(const char* text) : held_(std::string_view(text)) {}
  Value(std::string_view text) : held_(text) {}
  Value(const std::string& text) : held_(std::string_view(text)) {}
  Value(ByteSpan bytes) : held_(bytes) {}
  Value(const Bytes& bytes) : held_(ByteSpan(bytes)) {}
  Value(WallTime time) : held_(std::int64_t{time.time_since_epoch().count()}) {}
  Value(const Digest& digest) : held_(digest.hex()) {}
  template <HasText Named>
  Value(const Named& named) : held_(std::string_view(named.text())) {}
  template <typename T>
  Value(const std::optional<T>& maybe) : Value(maybe ? Value(*maybe) : Value(std::nullopt)) {}

  using Held =
      std::variant<std::monostate, std::int64_t, double, std::string_view, ByteSpan, std::string>;
  const Held& held() const { return held_; }

 private:
  Held held_;
};

using Values = std::initializer_list<Value>;

struct Connection;  // private to sql.cc

class Columns;

// A prepared statement with its parameters bound. Given back to its connection's cache when
// destroyed; it must not outlive the Database.
class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;
  ~Statement();

  // Goes to the next row; false when there is none.
  Result<bool> next();
  // Starts over with other values: for one statement in a loop.
  Result<void> rebind(Values values);

  // Columns of the current row, from 0. NULL reads as 0, "" or no bytes; ask is_null() or the
  // optional forms where it matters.
  bool is_null(int column) const;
  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string text(int column) const;
  Bytes blob(int column) const;
  WallTime time(int column) const;
  std::optional<std::int64_t> optional_integer(int column) const;
  std::optional<std::string> optional_text(int column) const;
  std::optional<WallTime> optional_time(int column) const;
  // The current row, read from left to right.
  Columns columns() const;

 private:
  friend class Database;
  Statement(Connection* connection, sqlite3_stmt* statement);
  void give_back() noexcept;

  Connection* connection_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
};

// Reads a row's columns in order, each once. Must not outlive the Statement or its row.
class Columns {
 public:
  explicit Columns(const Statement& row) : row_(&row) {}

  std::int64_t integer() { return row_->integer(at_++); }
  std::uint64_t unsigned_integer() { return static_cast<std::uint64_t>(row_->integer(at_++)); }
  bool boolean() { return row_->integer(at_++) != 0; }
  double real() { return row_->real(at_++); }
  std::string text() { return row_->text(at_++); }
  Bytes blob() { return row_->blob(at_++); }
  WallTime time() { return row_->time(at_++); }
  std::optional<std::int64_t> optional_integer() { return row_->optional_integer(at_++); }
  std::optional<bool> optional_boolean();
  std::optional<std::string> optional_text() { return row_->optional_text(at_++); }
  std::optional<WallTime> optional_time() { return row_->optional_time(at_++); }
  void skip() { ++at_; }

 private:
  const Statement* row_;
  int at_ = 0;
};

struct OpenOptions {
  std::string error_area;             // "ledger": stands in front of every error code
  bool read_only = false;             // the file must exist; no change is possible through it
  Milliseconds busy_timeout{10'000};  // how long a call waits for another connection's lock
};

// How much of the write-ahead log a checkpoint brought into the database file, in pages.
struct CheckpointResult {
  std::int64_t log_pages = 0;
  std::int64_t moved_pages = 0;
};

// A connection. Movable, but not while a transaction is open on it.
class Database {
 public:
  // Opens or creates the file (its directory must exist) with foreign keys on, in WAL mode, syncing
  // at every commit (synchronous=FULL), and without automatic checkpoints: SQLite would swallow
  // their errors, and a failed sync must not be repeated unseen. Whoever writes calls checkpoint().
  // Read-only connections see what was committed before each of their transactions began, also
  // beside another process that writes.
  static Result<Database> open(const std::filesystem::path& file, OpenOptions options);
  // A database of its own in memory, gone with the connection. For tests and scratch work.
  static Result<Database> open_in_memory(std::string error_area);

  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  // Carries one statement out and gives how many rows it inserted, changed or deleted.
  Result<std::int64_t> run(std::string_view sql, Values values = {});
  // A statement to step through. Prepared once per connection and text.
  Result<Statement> query(std::string_view sql, Values values = {});
  // The first column of the first row; nothing when there is no row or it is NULL.
  Result<std::optional<std::int64_t>> query_integer(std::string_view sql, Values values = {});
  Result<std::optional<std::string>> query_text(std::string_view sql, Values values = {});
  Result<std::optional<WallTime>> query_time(std::string_view sql, Values values = {});
  // All statements of a script, one after the other; stops at the first error.
  Result<void> execute(std::string_view script);

  // SQLite's plan for a statement, a line per step ("SEARCH batch USING INDEX batch_by_state (…)"):
  // for tests that hold a statement to its indices. It need not have its parameters bound.
  Result<std::vector<std::string>> query_plan(std::string_view sql);

  // PRAGMA user_version.
  Result<int> schema_version();
  bool in_transaction() const;
  std::int64_t last_insert_rowid() const;
  // Pages in the write-ahead log after the last commit of this connection.
  std::int64_t log_pages() const;
  // Brings the log into the database file and syncs that, as far as readers allow (they are not
  // waited for). An error other than "full" and "busy" is fatal, and it must not be tried again.
  Result<CheckpointResult> checkpoint();

  const std::string& error_area() const;

 private:
  explicit Database(std::unique_ptr<Connection> connection);
  Result<Statement> prepare(std::string_view sql);

  std::unique_ptr<Connection> connection_;
};

// Rolled back when destroyed without commit().
class Transaction {
 public:
  // Takes the write lock at once, so that nothing fails for it later.
  static Result<Transaction> begin(Database& database);
  // For reading several things in one consistent view.
  static Result<Transaction> begin_read(Database& database);

  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  // Durable when it returns without error. After an error nothing of it happened, except after a
  // fatal one: then nobody knows, and a restart reads what the disk really has.
  Result<void> commit();

 private:
  explicit Transaction(Database* database) : database_(database) {}
  Database* database_;
};

// A part of a transaction that can fail alone: undone when destroyed without release().
class Savepoint {
 public:
  static Result<Savepoint> begin(Database& database);
  Savepoint(Savepoint&& other) noexcept;
  Savepoint& operator=(Savepoint&&) = delete;
  ~Savepoint();
  Result<void> release();

 private:
  explicit Savepoint(Database* database) : database_(database) {}
  Database* database_;
};

// One step of a schema, from version i to i + 1 where i is its place in the list.
struct Migration {
  std::string script;
  // What SQL alone cannot do; runs after the script in the same transaction. May be empty.
  std::function<Result<void>(Database&)> then;
};

// Brings the schema to version migrations.size(). Each migration and its new version number are one
// transaction: killed in the middle, the old version is there. "<area>.newer_schema" (permanent)
// when the file was made by a newer program; it is not touched.
Result<void> migrate(Database& database, std::span<const Migration> migrations);

}  // namespace isthmus::sql
