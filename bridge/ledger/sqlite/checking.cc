// `isthmus check-ledger`: does the ledger keep its own promises? Everything here is read only and
// walks whole tables. The tables' CHECKs and triggers make each finding impossible to write; this
// is for files that were damaged, restored by halves or edited by hand.
#include "ledger/sqlite/schema.h"
#include "ledger/sqlite/sqlite_ledger.h"

namespace isthmus {
namespace {

struct Rule {
  std::string_view name;
  std::string_view query;  // one text column: what is wrong with which row
};

// What CHECKs hold as well, because SQLite 3.40 leaves them out of integrity_check on a connection
// that was opened for reading.
constexpr Rule kRules[] = {
    {"states",
     "SELECT 'delivery ' || id || ' is in an unknown state' FROM delivery "
     "WHERE state NOT IN ({delivery_states})"},
    {"states",
     "SELECT 'batch ' || id || ' is in an unknown state' FROM batch "
     "WHERE state NOT IN ({batch_states})"},
    {"states",
     "SELECT 'import job ' || id || ' is in an unknown state' FROM import_job "
     "WHERE state NOT IN ({import_job_states})"},
    {"states",
     "SELECT 'commitment ' || id || ' is in an unknown state' FROM commitment "
     "WHERE state NOT IN ({commitment_states})"},
    {"I2 (a date, a person or done)",
     "SELECT 'commitment ' || id || ' is ' || state || ' and has no date' FROM commitment "
     "WHERE state IN ('pending', 'answered') AND next_attempt_at IS NULL"},
    {"commitment",
     "SELECT 'commitment ' || c.id || ' asks about ' || c.reference_count || ' and lists ' "
     "|| count(r.commitment_id) FROM commitment c LEFT JOIN commitment_reference r "
     "ON r.commitment_id = c.id WHERE c.references_kept = 1 GROUP BY c.id "
     "HAVING c.reference_count <> count(r.commitment_id)"},
    {"commitment",
     "SELECT 'commitment ' || c.id || ' counts its failures wrongly' FROM commitment c "
     "JOIN commitment_reference r ON r.commitment_id = c.id WHERE c.state <> 'pending' "
     "GROUP BY c.id HAVING c.failed <> sum(r.failure_reason <> 0)"},
    {"states",
     "SELECT 'metadata update ' || id || ' is in an unknown state' FROM metadata_update "
     "WHERE state NOT IN ({metadata_update_states})"},
    {"I2 (a date, a person or done)",
     "SELECT 'metadata update ' || id || ' is ' || state || ' and has no date' "
     "FROM metadata_update WHERE state IN ({metadata_update_moving}) AND next_attempt_at IS NULL"},
    {"metadata updates",
     "SELECT 'metadata update ' || u.id || ' is applied and its image set ' || s.image_set_id "
     "|| ' is not' FROM metadata_update u JOIN metadata_step s ON s.update_id = u.id "
     "WHERE u.state = 'applied' AND s.state <> 'applied'"},
    {"I2 (a date, a person or done)",
     "SELECT 'delivery ' || id || ' is ' || state || ' and has no date' FROM delivery "
     "WHERE state IN ('waiting', 'staged') AND next_attempt_at IS NULL"},
    {"I2 (a date, a person or done)",
     "SELECT 'batch ' || id || ' is ' || state || ' and has no date' FROM batch "
     "WHERE state NOT IN ('reconciled', 'abandoned', 'stuck') AND next_attempt_at IS NULL"},
    {"I2 (a date, a person or done)",
     "SELECT 'import job ' || id || ' is running and has no date' FROM import_job "
     "WHERE state = 'running' AND next_poll_at IS NULL"},
    {"I2 (somebody looks after it)",
     "SELECT 'delivery ' || d.id || ' is staged in a batch that is ' || coalesce(b.state, "
     "'missing') "
     "FROM delivery d LEFT JOIN batch b ON b.id = d.batch_id WHERE d.state = 'staged' "
     "AND coalesce(b.state, '') NOT IN ('sealed', 'staged', 'submitted', 'settled', 'stuck')"},
    {"I2 (somebody looks after it)",
     "SELECT 'delivery ' || d.id || ' is waiting in a batch that is ' || coalesce(b.state, "
     "'missing') "
     "FROM delivery d LEFT JOIN batch b ON b.id = d.batch_id WHERE d.state = 'waiting' "
     "AND d.batch_id IS NOT NULL AND coalesce(b.state, '') NOT IN ('open', 'sealed', 'stuck')"},
    {"I2 (somebody looks after it)",
     "SELECT 'batch ' || b.id || ' is submitted and has no running import job' FROM batch b "
     "WHERE b.state = 'submitted' AND NOT EXISTS (SELECT 1 FROM import_job j "
     "WHERE j.batch_id = b.id AND j.state = 'running')"},
    {"I2 (somebody looks after it)",
     "SELECT 'batch ' || b.id || ' is settled and has no import job that succeeded' FROM batch b "
     "WHERE b.state = 'settled' AND NOT EXISTS (SELECT 1 FROM import_job j "
     "WHERE j.batch_id = b.id AND j.state = 'succeeded')"},
    {"members",
     "SELECT 'batch ' || b.id || ' counts ' || b.members || ' members and has ' || count(d.id) "
     "FROM batch b LEFT JOIN delivery d ON d.batch_id = b.id "
     "WHERE b.state NOT IN ('reconciled', 'abandoned') GROUP BY b.id HAVING b.members <> "
     "count(d.id)"},
    {"I4 (outcomes add up)",
     "SELECT 'batch ' || id || ' has ' || members || ' members and counts ' || imported || ' "
     "imported, ' "
     "|| rejected || ' rejected, ' || unaccounted || ' unaccounted' FROM batch "
     "WHERE state = 'reconciled' AND imported + rejected + unaccounted <> members"},
    {"I4 (outcomes add up)",
     "SELECT 'batch ' || b.id || ' has ' || b.members || ' members and ' || count(o.delivery_id) "
     "|| "
     "' outcomes' FROM batch b LEFT JOIN outcome o ON o.batch_id = b.id "
     "WHERE b.state = 'reconciled' GROUP BY b.id HAVING b.members <> count(o.delivery_id)"},
    {"I4 (outcomes add up)",
     "SELECT 'batch ' || b.id || ' counts its outcomes wrongly' FROM batch b "
     "JOIN outcome o ON o.batch_id = b.id WHERE b.state = 'reconciled' GROUP BY b.id "
     "HAVING b.imported <> sum(o.kind = 'imported') OR b.rejected <> sum(o.kind = 'rejected')"},
    {"I5 (bytes are kept until imported or discarded)",
     "SELECT 'instance ' || i.id || ' was freed and has a delivery that is ' || d.state "
     "FROM instance i JOIN delivery d ON d.instance_id = i.id "
     "WHERE i.freeing_at IS NOT NULL AND d.state NOT IN ('imported', 'discarded')"},
    {"I6 (one job at a time)",
     "SELECT 'batch ' || batch_id || ' has ' || count(*) || ' open import jobs' FROM import_job "
     "WHERE state IN ('intended', 'running') GROUP BY batch_id HAVING count(*) > 1"},
    {"counts",
     "SELECT 'deliveries to ' || destination || ' are counted wrongly' FROM (SELECT destination, "
     "state, count(*) AS n FROM delivery GROUP BY destination, state) d WHERE n <> coalesce("
     "(SELECT count FROM state_count s WHERE s.subject = 'delivery' "
     "AND s.destination = d.destination AND s.state = d.state), 0)"},
};

Result<void> add_findings(sql::Database& db, std::string_view name, std::string_view query,
                          std::vector<std::string>& findings) {
  TRY_ASSIGN(const auto lines,
             collect(db.query(query), [](sql::Columns columns) { return columns.text(); }));
  for (const std::string& line : lines) findings.push_back(std::string(name) + ": " + line);
  return {};
}

}  // namespace

Result<std::vector<std::string>> SqliteLedger::check() {
  return read([&](sql::Database& db) -> Result<std::vector<std::string>> {
    std::vector<std::string> findings;
    TRY(add_findings(db, "integrity",
                     "SELECT integrity_check FROM pragma_integrity_check "
                     "WHERE integrity_check <> 'ok'",
                     findings));
    TRY(add_findings(db, "foreign key",
                     "SELECT \"table\" || ' row ' || rowid || ' names no ' || \"parent\" "
                     "FROM pragma_foreign_key_check",
                     findings));
    for (const Rule& rule : kRules) {
      TRY(add_findings(db, rule.name, fill_in_states(std::string(rule.query)), findings));
    }
    return findings;
  });
}

}  // namespace isthmus
