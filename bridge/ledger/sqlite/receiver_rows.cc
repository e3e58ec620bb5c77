#include "ledger/sqlite/receiver_rows.h"

#include <algorithm>

#include "ledger/sqlite/sqlite_ledger.h"
#include "ledger/sqlite/statements.h"

namespace isthmus {
namespace {

UntakenInstance untaken_of(sql::Columns columns) {
  UntakenInstance untaken;
  untaken.archive_id = columns.text();
  untaken.code = columns.text();
  untaken.message = columns.text();
  untaken.since = columns.time();
  return untaken;
}

DeliveryNews news_of(sql::Columns columns) {
  DeliveryNews news;
  news.position = columns.integer();
  news.sop_instance_uid = Uid::parse(columns.text()).value_or(Uid());
  news.study_instance_uid = Uid::parse(columns.text()).value_or(Uid());
  news.destination = columns.text();
  news.state = columns.text();
  news.reason_code = columns.text();
  news.image_set_id = columns.text();
  news.import_job_id = columns.text();
  news.at = columns.time();
  return news;
}

}  // namespace

std::string ledger_schema_of_receivers() {
  return R"(
CREATE TABLE receiver_mark (
  name TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What stands in the archive and could not be taken: it asks for a person.
CREATE TABLE untaken_instance (
  archive_id TEXT NOT NULL PRIMARY KEY,
  code TEXT NOT NULL,
  message TEXT NOT NULL,
  since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX untaken_instance_by_date ON untaken_instance (since);
)";
}

Result<std::optional<std::string>> SqliteReceiverRows::mark(std::string_view name) {
  return ledger_.read(
      [&](sql::Database& db) { return db.query_text(statement::receiver_mark, {name}); });
}

Result<void> SqliteReceiverRows::keep_mark(std::string_view name, std::string_view value) {
  return ledger_.write(SqliteLedger::Wakes::nobody, [&](Write& write) -> Result<void> {
    TRY(write.db.run(statement::keep_receiver_mark, {name, value}));
    return {};
  });
}

Result<void> SqliteReceiverRows::note_untaken(const UntakenInstance& untaken) {
  return ledger_.write(SqliteLedger::Wakes::nobody, [&](Write& write) -> Result<void> {
    TRY(write.db.run(statement::note_untaken,
                     {untaken.archive_id, untaken.code, untaken.message, untaken.since}));
    return {};
  });
}

Result<void> SqliteReceiverRows::forget_untaken(std::string_view archive_id) {
  return ledger_.write(SqliteLedger::Wakes::nobody, [&](Write& write) -> Result<void> {
    TRY(write.db.run(statement::forget_untaken, {archive_id}));
    return {};
  });
}

Result<std::vector<UntakenInstance>> SqliteReceiverRows::untaken(std::size_t limit) {
  return ledger_.read([&](sql::Database& db) {
    return collect(db.query(statement::untaken_instances, {static_cast<std::int64_t>(limit)}),
                   untaken_of);
  });
}

Result<NewsPage> SqliteReceiverRows::news(std::string_view receiver, std::int64_t after,
                                          std::size_t limit) {
  return ledger_.read([&](sql::Database& db) -> Result<NewsPage> {
    NewsPage page;
    TRY_ASSIGN(const auto newest, db.query_integer(statement::newest_history));
    page.reached =
        std::max(after, std::min(newest.value_or(0), after + static_cast<std::int64_t>(limit)));
    TRY_ASSIGN(
        page.news,
        collect(db.query(statement::delivery_news, {after, page.reached, receiver}), news_of));
    return page;
  });
}

}  // namespace isthmus
