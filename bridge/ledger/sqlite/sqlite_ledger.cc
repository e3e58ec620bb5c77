#include "ledger/sqlite/sqlite_ledger.h"

#include "ledger/sqlite/schema.h"

namespace isthmus {

SqliteLedger::SqliteLedger(Env& env, LedgerOptions options, std::filesystem::path file)
    : env_(env), options_(std::move(options)), readers_(std::move(file)) {}

SqliteLedger::~SqliteLedger() {
  stop();
}

Result<std::unique_ptr<SqliteLedger>> SqliteLedger::open(
    Env& env, LedgerOptions options, std::span<const sql::Migration> migrations) {
  const std::filesystem::path file = options.directory / "ledger.sqlite";
  std::unique_ptr<SqliteLedger> ledger(new SqliteLedger(env, std::move(options), file));
  if (ledger->options_.read_only) {
    TRY(check_schema(*ledger, migrations.size()));
  } else {
    TRY(open_for_writing(*ledger, migrations));
  }
  return ledger;
}

Result<void> SqliteLedger::open_for_writing(SqliteLedger& ledger,
                                            std::span<const sql::Migration> migrations) {
  const std::filesystem::path& directory = ledger.options_.directory;
  // SQLite is always on the real disk, whatever file system the rest of an Env stands on.
  FileSystem& files = posix_files();
  TRY(files.create_directories(directory));
  TRY_ASSIGN(ledger.lock_, sql::LockFile::acquire(directory / "ledger.lock", "ledger"));
  TRY_ASSIGN(sql::Database database,
             sql::Database::open(directory / "ledger.sqlite", {.error_area = "ledger"}));
  TRY(sql::migrate(database, migrations));
  TRY(files.sync_directory(directory));

  TRY_ASSIGN(const std::vector<Bytes> keys,
             collect(database.query("SELECT value FROM meta WHERE key = 'patient_key'"),
                     [](sql::Columns columns) { return columns.blob(); }));
  if (keys.empty()) {
    return fatal_error("ledger.io", "The ledger has no key for patient identifiers: restore it.");
  }
  ledger.patient_key_ = keys.front();
  ledger.session_ = make_id_text(ledger.env_);
  ledger.committer_ =
      std::make_unique<Committer>(ledger.env_, std::move(database), ledger.options_.group_limit);
  return {};
}

Result<void> SqliteLedger::check_schema(SqliteLedger& ledger, std::size_t newest) {
  TRY_ASSIGN(const int found,
             ledger.readers_.read([](sql::Database& db) { return db.schema_version(); }));
  if (found > static_cast<int>(newest)) {
    return permanent_error("ledger.newer_schema",
                           "The ledger was made by a newer program; use that one.");
  }
  if (found < static_cast<int>(newest)) {
    return permanent_error("ledger.older_schema",
                           "The ledger was made by an older program; start the gateway once to "
                           "bring it forward.");
  }
  return {};
}

Result<void> SqliteLedger::hand_over(Commit& commit) {
  if (!committer_) {
    return permanent_error("ledger.read_only", "The ledger was opened for reading only.");
  }
  return committer_->run(commit);
}

void SqliteLedger::on_change(std::function<void()> notify) {
  if (committer_) committer_->on_change(std::move(notify));
}

void SqliteLedger::stop() {
  if (committer_) committer_->stop();
  closed_ = true;
}

Result<std::unique_ptr<Ledger>> open_sqlite_ledger(Env& env, LedgerOptions options) {
  const std::vector<sql::Migration> migrations = ledger_migrations(env);
  TRY_ASSIGN(std::unique_ptr<SqliteLedger> ledger,
             SqliteLedger::open(env, std::move(options), migrations));
  return std::unique_ptr<Ledger>(std::move(ledger));
}

}  // namespace isthmus
