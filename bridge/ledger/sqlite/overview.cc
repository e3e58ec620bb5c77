// Pages are walks along rowid, which is the order in which rows were made and what every index ends
// in. A filter that no index helps with is applied to the rows walked, and the walk is bounded.
#include "ledger/overview.h"

#include <algorithm>
#include <limits>
#include <set>

#include "ledger/sqlite/readers.h"
#include "ledger/sqlite/rows.h"
#include "ledger/sqlite/statements.h"
#include "ledger/sqlite/summaries.h"

namespace isthmus {
namespace {

using Cursor = Overview::Cursor;

// Rows are made in about the order in which instances were received; a machine that was down makes
// them later. Beyond this, a walk back in time has passed what it looks for.
constexpr Milliseconds kOutOfOrder = std::chrono::hours(24);

std::int64_t below(const Cursor& before) {
  return before.value_or(std::numeric_limits<std::int64_t>::max());
}

Error not_known() {
  return permanent_error("ledger.not_found", "Nothing is known by this UID or id.");
}

struct Walk {
  std::string_view statement;
  std::string_view of;  // bound first; empty: the statement takes no such
};

// What a filter says of a patient, as the ledger holds it.
struct KeyedFilter {
  std::optional<std::string> patient;
  std::string accession;  // empty: any
  bool contradicts = false;
};

// By the narrowest name that was given.
Walk walk_of(const InstanceFilter& filter, const KeyedFilter& keyed) {
  if (!filter.id.empty()) return {statement::overview_of_id, filter.id};
  if (!filter.sop_instance_uid.empty()) {
    return {statement::overview_of_sop, filter.sop_instance_uid};
  }
  if (!filter.series_instance_uid.empty()) {
    return {statement::overview_of_series, filter.series_instance_uid};
  }
  if (!filter.study_instance_uid.empty()) {
    return {statement::overview_of_study, filter.study_instance_uid};
  }
  if (!keyed.accession.empty()) return {statement::overview_of_accession, keyed.accession};
  return {statement::overview_of_all, {}};
}

struct Candidate {
  std::int64_t row = 0;
  std::string patient_hash;
  Instance instance;
};

bool is_or_any(const std::string& wanted, const std::string& value) {
  return wanted.empty() || wanted == value;
}

bool takes(const InstanceFilter& filter, const KeyedFilter& keyed, const Candidate& one) {
  const Instance& instance = one.instance;
  return is_or_any(filter.id, instance.id.text()) &&
         is_or_any(filter.sop_instance_uid, instance.sop_instance_uid.text()) &&
         is_or_any(filter.series_instance_uid, instance.series_instance_uid.text()) &&
         is_or_any(filter.study_instance_uid, instance.study_instance_uid.text()) &&
         is_or_any(filter.sender, instance.origin.calling_ae_title) &&
         is_or_any(filter.receiver, instance.origin.receiver) &&
         (!filter.since || instance.received_at >= *filter.since) &&
         (!filter.until || instance.received_at < *filter.until) &&
         (!keyed.patient || *keyed.patient == one.patient_hash) &&
         is_or_any(keyed.accession, instance.accession_hash);
}

bool takes(const InstanceFilter& filter, const std::vector<Delivery>& deliveries) {
  if (!filter.state && filter.destination.empty()) return true;
  return std::ranges::any_of(deliveries, [&](const Delivery& delivery) {
    return is_or_any(filter.destination, delivery.destination) &&
           (!filter.state || *filter.state == delivery.state);
  });
}

class SqliteOverview : public Overview {
 public:
  explicit SqliteOverview(const FileSystem::Path& directory)
      : readers_(directory / "ledger.sqlite") {}

  Result<Page<InstanceView>> instances(const InstanceFilter& filter, Cursor before,
                                       std::size_t limit) override {
    return readers_.read([&](sql::Database& db) {
      Page<InstanceView> page;
      return walk(db, filter, before, page,
                  [&](const Candidate& one, std::vector<Delivery>& deliveries) -> Result<bool> {
                    page.items.push_back({one.instance, std::move(deliveries)});
                    return page.items.size() < limit;
                  });
    });
  }

  Result<Page<StudyView>> studies(const InstanceFilter& filter, Cursor before,
                                  std::size_t limit) override {
    return readers_.read([&](sql::Database& db) {
      Page<StudyView> page;
      std::set<std::string> seen;
      InstanceFilter of_newest = filter;
      of_newest.destination.clear();
      of_newest.state.reset();
      return walk(db, of_newest, before, page,
                  [&](const Candidate& one, std::vector<Delivery>&) -> Result<bool> {
                    const std::string& study = one.instance.study_instance_uid.text();
                    if (!seen.insert(study).second) return true;
                    // One that has a newer instance was listed there, or is not taken.
                    TRY_ASSIGN(const std::int64_t newest, newest_of(db, study, filter, one));
                    if (newest != one.row) return true;
                    TRY_ASSIGN(const bool stands, study_stands(db, study, filter));
                    if (!stands) return true;
                    TRY_ASSIGN(StudyView view, study_view(db, study));
                    page.items.push_back(std::move(view));
                    return page.items.size() < limit;
                  });
    });
  }

  Result<StudyView> study(const Uid& study) override {
    return readers_.read([&](sql::Database& db) { return study_view(db, study.text()); });
  }

  Result<std::vector<SeriesView>> series(const Uid& study) override {
    return readers_.read([&](sql::Database& db) {
      return collect(db.query(statement::overview_series, {study}), [](sql::Columns columns) {
        SeriesView view;
        view.series_instance_uid = Uid::parse(columns.text()).value_or(Uid());
        view.modality = columns.text();
        view.instances = columns.integer();
        view.size_bytes = columns.unsigned_integer();
        view.first_received_at = columns.time();
        view.last_received_at = columns.time();
        return view;
      });
    });
  }

  Result<Page<BatchView>> batches(std::string_view destination, std::optional<BatchState> state,
                                  Cursor before, std::size_t limit) override {
    return page_of<BatchView>(statement::overview_batches, before, limit,
                              [&](sql::Columns columns) -> std::optional<BatchView> {
                                BatchView view = batch_view_of(columns);
                                if (!destination.empty() && view.batch.destination != destination)
                                  return std::nullopt;
                                if (state && view.batch.state != *state) return std::nullopt;
                                return view;
                              });
  }

  Result<BatchView> batch(const BatchId& id) override {
    return readers_.read([&](sql::Database& db) -> Result<BatchView> {
      TRY_ASSIGN(auto rows, collect(db.query(statement::load_batch, {id}), batch_view_of));
      if (rows.empty()) return not_known();
      return std::move(rows.front());
    });
  }

  Result<Page<ImportJob>> import_jobs(std::string_view destination,
                                      std::optional<ImportJobState> state, Cursor before,
                                      std::size_t limit) override {
    return page_of<ImportJob>(statement::overview_import_jobs, before, limit,
                              [&](sql::Columns columns) -> std::optional<ImportJob> {
                                ImportJob job = import_job_of(columns);
                                if (!destination.empty() && job.destination != destination)
                                  return std::nullopt;
                                if (state && job.state != *state) return std::nullopt;
                                return job;
                              });
  }

  Result<ImportJob> import_job(const ImportJobId& id) override {
    return readers_.read([&](sql::Database& db) { return load_import_job(db, id); });
  }

  Result<std::vector<ReceiptLine>> receipt(const Uid& study, std::size_t limit) override;

  Result<std::vector<Event>> events(std::int64_t after, std::size_t limit) override {
    return readers_.read([&](sql::Database& db) {
      return collect(db.query(statement::overview_events, {after, limit}),
                     [](sql::Columns columns) {
                       Event event;
                       event.seq = columns.integer();
                       event.entry = history_entry_of(columns);
                       return event;
                     });
    });
  }

  Result<std::int64_t> newest_event() override {
    return readers_.read([&](sql::Database& db) -> Result<std::int64_t> {
      TRY_ASSIGN(const auto newest, db.query_integer(statement::overview_newest_event));
      return newest.value_or(0);
    });
  }

 private:
  static BatchView batch_view_of(sql::Columns columns) {
    BatchRow row = batch_of(columns);
    return {std::move(row.batch), row.imported, row.rejected, row.unaccounted};
  }

  // Goes over what the filter takes until `take` has enough, or the walk is long enough.
  template <typename T, typename Take>
  Result<Page<T>> walk(sql::Database& db, const InstanceFilter& filter, const Cursor& before,
                       Page<T>& page, Take take);
  template <typename T, typename Convert>
  Result<Page<T>> page_of(std::string_view text, const Cursor& before, std::size_t limit,
                          Convert convert);
  // Whether any of its instances is there in that state.
  static Result<bool> study_stands(sql::Database& db, const std::string& study,
                                   const InstanceFilter& filter) {
    const std::string_view state = filter.state ? to_string(*filter.state) : std::string_view();
    TRY_ASSIGN(const auto found, db.query_integer(statement::overview_study_in_state,
                                                  {study, filter.destination, state}));
    return found.has_value();
  }
  static Result<StudyView> study_view(sql::Database& db, const std::string& study);
  // The row by which a study is listed: its newest, or the newest with the accession number asked
  // for, because a study may have instances without one.
  static Result<std::int64_t> newest_of(sql::Database& db, const std::string& study,
                                        const InstanceFilter& filter, const Candidate& one) {
    if (!filter.accession_number && filter.accession_hash.empty()) {
      TRY_ASSIGN(const auto newest, db.query_integer(statement::overview_newest_of_study, {study}));
      return newest.value_or(0);
    }
    TRY_ASSIGN(const auto newest,
               db.query_integer(statement::overview_newest_of_study_and_accession,
                                {study, one.instance.accession_hash}));
    return newest.value_or(0);
  }
  static Result<KeyedFilter> keyed_of(sql::Database& db, const InstanceFilter& filter);

  Readers readers_;
};

template <typename T, typename Take>
Result<Page<T>> SqliteOverview::walk(sql::Database& db, const InstanceFilter& filter,
                                     const Cursor& before, Page<T>& page, Take take) {
  TRY_ASSIGN(const KeyedFilter keyed, keyed_of(db, filter));
  if (keyed.contradicts) return std::move(page);
  const Walk by = walk_of(filter, keyed);
  TRY_ASSIGN(sql::Statement rows, by.of.empty() ? db.query(by.statement, {below(before)})
                                                : db.query(by.statement, {below(before), by.of}));
  for (std::size_t walked = 0;; ++walked) {
    TRY_ASSIGN(const bool more, rows.next());
    if (!more) return std::move(page);
    sql::Columns columns = rows.columns();
    Candidate one;
    one.row = columns.integer();
    one.patient_hash = columns.text();
    one.instance = instance_of(columns);
    if (walked >= kWalked) {
      page.next = one.row + 1;
      return std::move(page);
    }
    if (filter.since && one.instance.received_at + kOutOfOrder < *filter.since) {
      return std::move(page);
    }
    if (!takes(filter, keyed, one)) continue;
    TRY_ASSIGN(auto deliveries,
               collect(db.query(statement::deliveries_of, {one.instance.id}), delivery_of));
    if (!takes(filter, deliveries)) continue;
    TRY_ASSIGN(const bool goes_on, take(one, deliveries));
    if (goes_on) continue;
    TRY_ASSIGN(const bool rest, rows.next());
    if (rest) page.next = one.row;
    return std::move(page);
  }
}

template <typename T, typename Convert>
Result<Page<T>> SqliteOverview::page_of(std::string_view text, const Cursor& before,
                                        std::size_t limit, Convert convert) {
  return readers_.read([&](sql::Database& db) -> Result<Page<T>> {
    Page<T> page;
    TRY_ASSIGN(sql::Statement rows, db.query(text, {below(before)}));
    for (std::size_t walked = 0;; ++walked) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) return page;
      sql::Columns columns = rows.columns();
      const std::int64_t row = columns.integer();
      if (walked >= kWalked || page.items.size() >= limit) {
        page.next = row + 1;
        return page;
      }
      if (auto item = convert(columns)) page.items.push_back(*std::move(item));
    }
  });
}

Result<KeyedFilter> SqliteOverview::keyed_of(sql::Database& db, const InstanceFilter& filter) {
  KeyedFilter keyed;
  keyed.accession = filter.accession_hash;
  if (!filter.patient_id && !filter.accession_number) return keyed;
  TRY_ASSIGN(const auto keys, collect(db.query(statement::patient_key),
                                      [](sql::Columns columns) { return columns.blob(); }));
  if (keys.empty()) return not_known();
  if (filter.patient_id) {
    keyed.patient = hmac_sha256(keys.front(), as_bytes(*filter.patient_id)).hex();
  }
  if (filter.accession_number) {
    const std::string hash = accession_hash_of(keys.front(), *filter.accession_number);
    keyed.contradicts = !keyed.accession.empty() && keyed.accession != hash;
    keyed.accession = hash;
  }
  return keyed;
}

Result<StudyView> SqliteOverview::study_view(sql::Database& db, const std::string& study) {
  TRY_ASSIGN(auto facts,
             collect(db.query(statement::overview_study, {study}), [](sql::Columns columns) {
               StudyView view;
               view.instances = columns.integer();
               view.series = columns.integer();
               view.size_bytes = columns.unsigned_integer();
               view.first_received_at = columns.time();
               view.last_received_at = columns.time();
               return view;
             }));
  if (facts.empty() || facts.front().instances == 0) return not_known();
  StudyView view = std::move(facts.front());
  view.study_instance_uid = Uid::parse(study).value_or(Uid());
  TRY_ASSIGN(const auto senders, collect(db.query(statement::overview_last_sender, {study}),
                                         [](sql::Columns columns) { return columns.text(); }));
  if (!senders.empty()) view.last_sender = senders.front();
  TRY_ASSIGN(view.accession_hashes,
             collect(db.query(statement::overview_accessions_of_study, {study}),
                     [](sql::Columns columns) { return columns.text(); }));
  TRY_ASSIGN(view.destinations, summaries_of(db, study));
  return view;
}

Result<std::vector<ReceiptLine>> SqliteOverview::receipt(const Uid& study, std::size_t limit) {
  return readers_.read([&](sql::Database& db) {
    return collect(db.query(statement::overview_receipt, {study, limit}), [](sql::Columns columns) {
      ReceiptLine line;
      line.sop_instance_uid = Uid::parse(columns.text()).value_or(Uid());
      line.series_instance_uid = Uid::parse(columns.text()).value_or(Uid());
      line.instance = id_from<InstanceId>(columns.text());
      line.size_bytes = columns.unsigned_integer();
      line.dataset_digest = Digest::from_hex(columns.text()).value_or(Digest());
      line.file_digest = Digest::from_hex(columns.text()).value_or(Digest());
      line.received_at = columns.time();
      line.destination = columns.text();
      line.state = delivery_state_from(columns.text()).value_or(DeliveryState::waiting);
      if (const auto batch = columns.optional_text()) {
        line.batch = BatchId::parse(*batch);
      }
      line.staged_at = columns.optional_time();
      line.concluded_at = columns.optional_time();
      line.remote_job_id = columns.text();
      line.image_set_id = columns.text();
      line.image_set_version = columns.optional_integer();
      line.primary = columns.optional_boolean();
      line.reason_code = columns.text();
      return line;
    });
  });
}

}  // namespace

std::unique_ptr<Overview> open_sqlite_overview(const FileSystem::Path& directory) {
  return std::make_unique<SqliteOverview>(directory);
}

}  // namespace isthmus
