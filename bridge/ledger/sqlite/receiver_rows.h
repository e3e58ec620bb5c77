// ReceiverRows on SQLite.
#pragma once

#include "ledger/receiver_rows.h"

namespace isthmus {

class SqliteLedger;

// The migration that brought these rows into the ledger. Released: never edited.
std::string ledger_schema_of_receivers();

// Over the ledger's committer and readers; part of it.
class SqliteReceiverRows final : public ReceiverRows {
 public:
  explicit SqliteReceiverRows(SqliteLedger& ledger) : ledger_(ledger) {}

  Result<std::optional<std::string>> mark(std::string_view name) override;
  Result<void> keep_mark(std::string_view name, std::string_view value) override;
  Result<void> note_untaken(const UntakenInstance& untaken) override;
  Result<void> forget_untaken(std::string_view archive_id) override;
  Result<std::vector<UntakenInstance>> untaken(std::size_t limit) override;
  Result<NewsPage> news(std::string_view receiver, std::int64_t after, std::size_t limit) override;

 private:
  SqliteLedger& ledger_;
};

}  // namespace isthmus
