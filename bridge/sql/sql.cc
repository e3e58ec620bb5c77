#include "sql/sql.h"

#include <sqlite3.h>

#include <unordered_map>
#include <utility>

namespace isthmus::sql {
namespace {

// Prepared statements kept per connection. Texts are constants of ours, so the cache stays small;
// the limit only guards against a caller who builds texts.
constexpr std::size_t kCachedStatements = 256;

// SQLite counts the bytes it allocates, for all connections under one mutex, unless it is told not
// to before it starts (https://www.sqlite.org/malloc.html section 5.4): a good part of what a
// short statement costs, for figures that nobody reads. Refused when a host of ours started SQLite
// before; then it counts.
void start_sqlite() {
  static const int configured = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  (void)configured;
}

}  // namespace

struct Connection {
  sqlite3* handle = nullptr;
  std::string area;
  std::int64_t log_pages = 0;
  // One by each text, which SQLite keeps with it. Who asks for one that is in use prepares another,
  // which is not kept.
  struct Prepared {
    sqlite3_stmt* statement;
    bool in_use;
  };
  std::unordered_map<std::string_view, Prepared> prepared;

  ~Connection() {
    for (const auto& [text, one] : prepared) sqlite3_finalize(one.statement);
    sqlite3_close_v2(handle);
  }

  Error error(int code, std::string_view doing) const;
};

// The table of fates: SQLite result codes (https://www.sqlite.org/rescode.html) to ours.
Error Connection::error(int code, std::string_view doing) const {
  const std::string text = std::string(doing) + ": " +
                           (handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(code)) +
                           " (SQLite " + std::to_string(code) + ").";
  switch (code & 0xff) {
    case SQLITE_FULL:
      return transient_error(area + ".full", "No disk space for the database; " + text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return transient_error(area + ".busy", "Another connection holds the database; " + text);
    case SQLITE_CONSTRAINT:
      return permanent_error(area + ".constraint", "The database refused a row; " + text);
    default:
      return fatal_error(area + ".io", "The database cannot be trusted; " + text);
  }
}

// --- statements
// ------------------------------------------------------------------------------------

namespace {

struct Bind {
  sqlite3_stmt* statement;
  sqlite3_destructor_type keeps;  // SQLITE_STATIC: the values outlive the statement's use
  int at;
  int operator()(std::monostate) const { return sqlite3_bind_null(statement, at); }
  int operator()(std::int64_t number) const { return sqlite3_bind_int64(statement, at, number); }
  int operator()(double number) const { return sqlite3_bind_double(statement, at, number); }
  int operator()(std::string_view text) const {
    // A null pointer would bind NULL.
    return sqlite3_bind_text64(statement, at, text.data() == nullptr ? "" : text.data(),
                               text.size(), keeps, SQLITE_UTF8);
  }
  int operator()(const std::string& text) const { return (*this)(std::string_view(text)); }
  int operator()(ByteSpan bytes) const {
    if (bytes.empty()) return sqlite3_bind_zeroblob(statement, at, 0);
    return sqlite3_bind_blob64(statement, at, bytes.data(), bytes.size(), keeps);
  }
};

Result<void> bind_all(const Connection& connection, sqlite3_stmt* statement,
                      sqlite3_destructor_type keeps, Values values) {
  sqlite3_reset(statement);
  ASSERT(static_cast<std::size_t>(sqlite3_bind_parameter_count(statement)) == values.size());
  int at = 1;
  for (const Value& value : values) {
    const int code = std::visit(Bind{statement, keeps, at++}, value.held());
    if (code != SQLITE_OK) return connection.error(code, "A value cannot be bound");
  }
  return {};
}

}  // namespace

Statement::Statement(Connection* connection, sqlite3_stmt* statement)
    : connection_(connection), statement_(statement) {}

Statement::Statement(Statement&& other) noexcept
    : connection_(other.connection_), statement_(std::exchange(other.statement_, nullptr)) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  if (this != &other) {
    give_back();
    connection_ = other.connection_;
    statement_ = std::exchange(other.statement_, nullptr);
  }
  return *this;
}

Statement::~Statement() {
  give_back();
}

void Statement::give_back() noexcept {
  sqlite3_stmt* const statement = std::exchange(statement_, nullptr);
  if (statement == nullptr) return;
  sqlite3_reset(statement);  // repeats the error of the last step, which was answered already
  sqlite3_clear_bindings(statement);
  const auto kept = connection_->prepared.find(sqlite3_sql(statement));
  if (kept != connection_->prepared.end() && kept->second.statement == statement) {
    kept->second.in_use = false;
  } else {
    sqlite3_finalize(statement);
  }
}

Result<bool> Statement::next() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return connection_->error(code, "A statement failed");
}

Result<void> Statement::rebind(Values values) {
  return bind_all(*connection_, statement_, SQLITE_TRANSIENT, values);
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

double Statement::real(int column) const {
  return sqlite3_column_double(statement_, column);
}

std::string Statement::text(int column) const {
  const auto* const text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (text == nullptr) return {};
  return {text, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

Bytes Statement::blob(int column) const {
  const auto* const bytes = static_cast<const std::byte*>(sqlite3_column_blob(statement_, column));
  if (bytes == nullptr) return {};
  return {bytes, bytes + sqlite3_column_bytes(statement_, column)};
}

WallTime Statement::time(int column) const {
  return WallTime(Milliseconds(integer(column)));
}

std::optional<std::int64_t> Statement::optional_integer(int column) const {
  if (is_null(column)) return std::nullopt;
  return integer(column);
}

std::optional<std::string> Statement::optional_text(int column) const {
  if (is_null(column)) return std::nullopt;
  return text(column);
}

std::optional<WallTime> Statement::optional_time(int column) const {
  if (is_null(column)) return std::nullopt;
  return time(column);
}

Columns Statement::columns() const {
  return Columns(*this);
}

std::optional<bool> Columns::optional_boolean() {
  const std::optional<std::int64_t> number = optional_integer();
  if (!number) return std::nullopt;
  return *number != 0;
}

// --- connections
// -----------------------------------------------------------------------------------

Database::Database(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

namespace {

int count_log_pages(void* connection, sqlite3*, const char*, int pages) {
  static_cast<Connection*>(connection)->log_pages = pages;
  return SQLITE_OK;
}

}  // namespace

Result<Database> Database::open(const std::filesystem::path& file, OpenOptions options) {
  start_sqlite();
  auto connection = std::make_unique<Connection>();
  connection->area = std::move(options.error_area);
  const int access =
      options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  // NOMUTEX: a connection belongs to one thread at a time, see the header.
  const int code = sqlite3_open_v2(file.c_str(), &connection->handle,
                                   access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  if (code != SQLITE_OK) return connection->error(code, "The database cannot be opened");
  sqlite3_busy_timeout(connection->handle, static_cast<int>(options.busy_timeout.count()));
  // Replaces the automatic checkpoint as well (both are this one hook).
  sqlite3_wal_hook(connection->handle, count_log_pages, connection.get());

  Database database(std::move(connection));
  if (options.read_only) {
    TRY(database.execute("PRAGMA query_only=ON; PRAGMA cache_size=-4000;"));
    return database;
  }
  TRY(
      database.execute("PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                       "PRAGMA trusted_schema=OFF; PRAGMA cache_size=-16000;"));
  TRY_ASSIGN(const std::optional<std::string> mode, database.query_text("PRAGMA journal_mode=WAL"));
  if (mode != "wal") {
    return fatal_error(database.error_area() + ".io",
                       "The database cannot use write-ahead logging on this file system.");
  }
  return database;
}

Result<Database> Database::open_in_memory(std::string error_area) {
  start_sqlite();
  auto connection = std::make_unique<Connection>();
  connection->area = std::move(error_area);
  const int code = sqlite3_open_v2(
      ":memory:", &connection->handle,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
      nullptr);
  if (code != SQLITE_OK) return connection->error(code, "The database cannot be opened");
  Database database(std::move(connection));
  TRY(database.execute("PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;"));
  return database;
}

Result<Statement> Database::prepare(std::string_view sql) {
  const auto found = connection_->prepared.find(sql);
  if (found != connection_->prepared.end() && !found->second.in_use) {
    found->second.in_use = true;
    return Statement(connection_.get(), found->second.statement);
  }
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(connection_->handle, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return connection_->error(code, "A statement cannot be prepared");
  ASSERT(statement != nullptr);  // an empty text is a bug
  if (found == connection_->prepared.end() && connection_->prepared.size() < kCachedStatements) {
    connection_->prepared.emplace(sqlite3_sql(statement), Connection::Prepared{statement, true});
  }
  return Statement(connection_.get(), statement);
}

Result<Statement> Database::query(std::string_view sql, Values values) {
  TRY_ASSIGN(Statement statement, prepare(sql));
  TRY(statement.rebind(values));
  return statement;
}

Result<std::int64_t> Database::run(std::string_view sql, Values values) {
  TRY_ASSIGN(Statement statement, prepare(sql));
  TRY(bind_all(*connection_, statement.statement_, SQLITE_STATIC, values));
  const std::int64_t before = sqlite3_total_changes64(connection_->handle);
  for (;;) {
    TRY_ASSIGN(const bool more, statement.next());
    if (!more) break;
  }
  // changes() keeps the number of the last statement that changed anything; this one may be another
  // kind. total_changes() counts triggers too, so it only says whether there were any.
  if (sqlite3_total_changes64(connection_->handle) == before) return std::int64_t{0};
  return std::int64_t{sqlite3_changes64(connection_->handle)};
}

Result<std::optional<std::int64_t>> Database::query_integer(std::string_view sql, Values values) {
  TRY_ASSIGN(Statement statement, prepare(sql));
  TRY(bind_all(*connection_, statement.statement_, SQLITE_STATIC, values));
  TRY_ASSIGN(const bool found, statement.next());
  if (!found) return std::optional<std::int64_t>();
  return statement.optional_integer(0);
}

Result<std::optional<std::string>> Database::query_text(std::string_view sql, Values values) {
  TRY_ASSIGN(Statement statement, prepare(sql));
  TRY(bind_all(*connection_, statement.statement_, SQLITE_STATIC, values));
  TRY_ASSIGN(const bool found, statement.next());
  if (!found) return std::optional<std::string>();
  return statement.optional_text(0);
}

Result<std::optional<WallTime>> Database::query_time(std::string_view sql, Values values) {
  TRY_ASSIGN(Statement statement, prepare(sql));
  TRY(bind_all(*connection_, statement.statement_, SQLITE_STATIC, values));
  TRY_ASSIGN(const bool found, statement.next());
  if (!found) return std::optional<WallTime>();
  return statement.optional_time(0);
}

Result<void> Database::execute(std::string_view script) {
  const std::string text(script);
  const int code = sqlite3_exec(connection_->handle, text.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return connection_->error(code, "A script failed");
  return {};
}

Result<std::vector<std::string>> Database::query_plan(std::string_view sql) {
  TRY_ASSIGN(Statement statement, prepare("EXPLAIN QUERY PLAN " + std::string(sql)));
  std::vector<std::string> lines;
  for (;;) {
    TRY_ASSIGN(const bool more, statement.next());
    if (!more) return lines;
    lines.push_back(statement.text(3));  // id, parent, notused, detail
  }
}

Result<int> Database::schema_version() {
  TRY_ASSIGN(const std::optional<std::int64_t> version, query_integer("PRAGMA user_version"));
  return static_cast<int>(version.value_or(0));
}

bool Database::in_transaction() const {
  return sqlite3_get_autocommit(connection_->handle) == 0;
}

std::int64_t Database::last_insert_rowid() const {
  return sqlite3_last_insert_rowid(connection_->handle);
}

std::int64_t Database::log_pages() const {
  return connection_->log_pages;
}

Result<CheckpointResult> Database::checkpoint() {
  int log_pages = 0;
  int moved_pages = 0;
  const int code = sqlite3_wal_checkpoint_v2(connection_->handle, nullptr,
                                             SQLITE_CHECKPOINT_PASSIVE, &log_pages, &moved_pages);
  if (code != SQLITE_OK) return connection_->error(code, "A checkpoint failed");
  return CheckpointResult{log_pages, moved_pages};
}

const std::string& Database::error_area() const {
  return connection_->area;
}

// --- transactions
// ----------------------------------------------------------------------------------

Result<Transaction> Transaction::begin(Database& database) {
  TRY(database.run("BEGIN IMMEDIATE"));
  return Transaction(&database);
}

Result<Transaction> Transaction::begin_read(Database& database) {
  TRY(database.run("BEGIN"));
  return Transaction(&database);
}

Transaction::Transaction(Transaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}

Transaction::~Transaction() {
  // Some errors roll back by themselves (disk full, input/output); then there is nothing to undo.
  if (database_ == nullptr || !database_->in_transaction()) return;
  ignore(database_->run("ROLLBACK"), "the transaction is given up, and nothing of it was promised");
}

Result<void> Transaction::commit() {
  ASSERT(database_ != nullptr);
  TRY(database_->run("COMMIT"));
  database_ = nullptr;
  return {};
}

Result<Savepoint> Savepoint::begin(Database& database) {
  TRY(database.run("SAVEPOINT part"));
  return Savepoint(&database);
}

Savepoint::Savepoint(Savepoint&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}

Savepoint::~Savepoint() {
  if (database_ == nullptr || !database_->in_transaction()) return;
  ignore(database_->run("ROLLBACK TO part"), "given up; a failure shows at the commit");
  ignore(database_->run("RELEASE part"), "given up; a failure shows at the commit");
}

Result<void> Savepoint::release() {
  ASSERT(database_ != nullptr);
  TRY(database_->run("RELEASE part"));
  database_ = nullptr;
  return {};
}

// --- migrations
// ------------------------------------------------------------------------------------

Result<void> migrate(Database& database, std::span<const Migration> migrations) {
  TRY_ASSIGN(const int found, database.schema_version());
  const int newest = static_cast<int>(migrations.size());
  if (found > newest) {
    return permanent_error(database.error_area() + ".newer_schema",
                           "The database has schema " + std::to_string(found) +
                               ", this program knows " + std::to_string(newest) +
                               "; use the program that made it, or a newer one.");
  }
  for (int version = found; version < newest; ++version) {
    const Migration& migration = migrations[static_cast<std::size_t>(version)];
    TRY_ASSIGN(Transaction transaction, Transaction::begin(database));
    if (!migration.script.empty()) TRY(database.execute(migration.script));
    if (migration.then) TRY(migration.then(database));
    // The version is part of the file's header page, so it is in the transaction as well.
    TRY(database.execute("PRAGMA user_version=" + std::to_string(version + 1)));
    TRY(transaction.commit());
  }
  return {};
}

}  // namespace isthmus::sql
