#include "datastore/engine/import_jobs.h"

#include "base/failpoint.h"
#include "datastore/engine/data_stores.h"
#include "datastore/engine/pixel_layout.h"

namespace isthmus::datastore {
namespace {

#define JOB_COLUMNS                                                             \
  "id, data_store, name, status, phase, role_arn, input_s3_uri, output_s3_uri," \
  " import_configuration, message, submitted_at, ended_at"

ImportJobRecord read_job(sql::Columns columns) {
  ImportJobRecord job;
  job.id = columns.text();
  job.data_store = columns.text();
  job.name = columns.text();
  job.status = columns.text();
  job.phase = columns.text();
  job.role_arn = columns.text();
  job.input_s3_uri = columns.text();
  job.output_s3_uri = columns.text();
  job.import_configuration = columns.optional_text();
  job.message = columns.optional_text();
  job.submitted_at = columns.time();
  job.ended_at = columns.optional_time();
  return job;
}

Error no_such_job() {
  return permanent_error("datastore.no_such_job", "The import job does not exist.");
}

Error refused(std::string message) {
  return permanent_error("datastore.import_refused", std::move(message));
}

Result<ImportJobRecord> find_in(sql::Database& database, const std::string& id) {
  TRY_ASSIGN(sql::Statement rows,
             database.query("SELECT " JOB_COLUMNS " FROM import_jobs WHERE id = ?", {id}));
  TRY_ASSIGN(const bool there, rows.next());
  if (!there) return no_such_job();
  return read_job(rows.columns());
}

// "a/b" takes the object a/b and what is under a/b/, not a/bc. Keys that end in '/' are folders
// that a console made, not files.
Result<void> list_files(sql::Database& database, const std::string& job, const std::string& bucket,
                        const std::string& prefix) {
  std::string folder = prefix;
  if (!folder.empty() && !folder.ends_with('/')) folder += '/';
  // '0' is the character behind '/': the first key past the folder.
  const std::string end = folder.empty() ? "" : folder.substr(0, folder.size() - 1) + "0";
  TRY(database.run(
      "INSERT INTO import_files (job, ordinal, key, blob, size_bytes, state)"
      " SELECT ?1, ROW_NUMBER() OVER (ORDER BY key) - 1, key, blob, size_bytes, 'pending'"
      " FROM objects WHERE bucket = ?2"
      "  AND (key = ?3 OR (key >= ?4 AND (?5 = '' OR key < ?5)))"
      "  AND key NOT LIKE '%/'",
      {job, bucket, prefix, folder, end}));
  return {};
}

Result<void> keep_overrides(sql::Database& database, const std::string& job,
                            const std::vector<OverrideText>& overrides) {
  std::int64_t ordinal = 0;
  for (const OverrideText& one : overrides) {
    TRY(database.run(
        "INSERT INTO import_overrides (job, ordinal, study_instance_uid,"
        " series_instance_uid, document) VALUES (?, ?, ?, ?, ?)",
        {job, ordinal++, one.study_instance_uid, one.series_instance_uid, one.document}));
  }
  return {};
}

Result<void> record_refusal(sql::Database& database, const std::string& job,
                            const ExaminedFile& file) {
  TRY(database.run(
      "UPDATE import_files SET state = 'failed', failure_type = ?,"
      " failure_message = ? WHERE job = ? AND ordinal = ? AND state = 'pending'",
      {file.examination.failure_type, file.examination.failure_message, job, file.ordinal}));
  return {};
}

Result<void> record_examination(sql::Database& database, const std::string& job,
                                const ExaminedFile& file) {
  const Examination& examination = file.examination;
  TRY(database.run(
      "UPDATE import_files SET state = 'examined', warnings = ?,"
      " sop_instance_uid = ?, series_instance_uid = ?, grouping = ?,"
      " attributes = ?, examination = ?"
      " WHERE job = ? AND ordinal = ? AND state = 'pending'",
      {examination.warnings, examination.sop_instance_uid, examination.series_instance_uid,
       examination.grouping, examination.attributes, examination.document, job, file.ordinal}));
  if (examination.pixel_records.empty()) return {};
  TRY(
      database.run("INSERT OR REPLACE INTO pixel_data"
                   " (blob, dataset_offset, description, frame_count, frames)"
                   " SELECT blob, ?, ?, ?, ? FROM import_files WHERE job = ? AND ordinal = ?"
                   " AND blob IS NOT NULL",
                   {examination.dataset_offset, examination.pixel_description,
                    examination.pixel_records.size() / kFrameRecordBytes, examination.pixel_records,
                    job, file.ordinal}));
  return {};
}

// What an operation of Google's keeps of its job's files: counters, and a log entry of each that
// was refused. Nothing for a job that has none.
Result<void> end_operation(sql::Database& database, const std::string& job,
                           const std::string& message, int rpc_code, WallTime now) {
  TRY_ASSIGN(const auto operation,
             database.query_integer("SELECT id FROM google_operations WHERE job = ?", {job}));
  if (!operation) return {};
  TRY(database.run(
      "UPDATE google_operations SET ended_at = ?1, error_code = ?2, error_message = ?3,"
      " success = (SELECT COUNT(*) FROM import_files WHERE job = ?4"
      "  AND state = 'examined' AND EXISTS (SELECT 1 FROM import_jobs WHERE id = ?4"
      "  AND phase = 'published')),"
      " failure = (SELECT COUNT(*) FROM import_files WHERE job = ?4"
      "  AND state = 'failed') WHERE id = ?5",
      {now, rpc_code, message, job, *operation}));
  // "gs://bucket/" of the job's pattern, then the key.
  TRY(database.run(
      "INSERT INTO google_import_log (operation, ordinal, source, code, message)"
      " SELECT ?1, f.ordinal,"
      "  substr(j.input_s3_uri, 1, 5 + instr(substr(j.input_s3_uri, 6), '/')) || f.key,"
      "  CASE f.failure_type WHEN 'InternalServerException' THEN 13 ELSE 3 END, f.failure_message"
      " FROM import_files f JOIN import_jobs j ON j.id = f.job WHERE f.job = ?2"
      "  AND f.state = 'failed'",
      {*operation, job}));
  return {};
}

}  // namespace

ImportJobs::ImportJobs(Env& env, Catalogue& catalogue, ImportLimits limits)
    : env_(env), catalogue_(catalogue), limits_(limits) {}

Result<ImportJobRecord> ImportJobs::accept(ImportJobRecord wanted, const ClientToken& token,
                                           const Besides& besides) {
  wanted.id = make_id_text(env_);
  wanted.status = "SUBMITTED";
  wanted.phase = "accepted";
  wanted.submitted_at = env_.clock.wall_now();
  if (wanted.name.empty()) wanted.name = wanted.id;
  TRY_ASSIGN(
      ImportJobRecord job,
      catalogue_.write([&](sql::Database& database) -> Result<ImportJobRecord> {
        TRY(require_active(database, wanted.data_store));
        TRY_ASSIGN(const std::optional<std::string> made, find_token(database, token));
        if (made) return find_in(database, *made);
        TRY_ASSIGN(const auto unfinished,
                   database.query_integer("SELECT COUNT(*) FROM import_jobs WHERE data_store = ?"
                                          " AND status IN ('SUBMITTED', 'IN_PROGRESS')",
                                          {wanted.data_store}));
        if (limits_.unfinished_jobs > 0 && unfinished.value_or(0) >= limits_.unfinished_jobs) {
          return permanent_error("datastore.too_many_jobs",
                                 "The quota of concurrent import jobs is used up.");
        }
        TRY(database.run(
            "INSERT INTO import_jobs (" JOB_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            {wanted.id, wanted.data_store, wanted.name, wanted.status, wanted.phase,
             wanted.role_arn, wanted.input_s3_uri, wanted.output_s3_uri,
             wanted.import_configuration, std::nullopt, wanted.submitted_at, std::nullopt}));
        TRY(keep_token(database, token, wanted.id));
        if (besides) TRY(besides(database, wanted.id));
        return wanted;
      }));
  FAILPOINT(datastore_job_accepted);
  return job;
}

Result<ImportJobRecord> ImportJobs::find(const std::string& data_store, const std::string& id) {
  return catalogue_.read([&](sql::Database& database) -> Result<ImportJobRecord> {
    TRY_ASSIGN(ImportJobRecord job, find_in(database, id));
    if (job.data_store != data_store) return no_such_job();
    return job;
  });
}

Result<std::vector<ImportJobRecord>> ImportJobs::list(const std::string& data_store,
                                                      const std::optional<std::string>& status,
                                                      const std::string& after, std::size_t limit) {
  using Records = std::vector<ImportJobRecord>;
  return catalogue_.read([&](sql::Database& database) -> Result<Records> {
    // Ids are made in order of time, but for those of one millisecond: the pair decides.
    TRY_ASSIGN(sql::Statement rows,
               database.query("SELECT " JOB_COLUMNS " FROM import_jobs WHERE data_store = ?1"
                              " AND (?2 IS NULL OR status = ?2) AND (?3 = '' OR"
                              "  (submitted_at, id) > (SELECT submitted_at, id FROM import_jobs"
                              "                        WHERE id = ?3))"
                              " ORDER BY submitted_at, id LIMIT ?4",
                              {data_store, status, after, limit}));
    Records records;
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) return records;
      records.push_back(read_job(rows.columns()));
    }
  });
}

Result<std::vector<ImportJobRecord>> ImportJobs::unfinished(std::size_t limit) {
  using Records = std::vector<ImportJobRecord>;
  return catalogue_.read([&](sql::Database& database) -> Result<Records> {
    TRY_ASSIGN(sql::Statement rows,
               database.query("SELECT " JOB_COLUMNS
                              " FROM import_jobs WHERE status IN ('SUBMITTED', 'IN_PROGRESS')"
                              " ORDER BY submitted_at, id LIMIT ?",
                              {limit}));
    Records records;
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) return records;
      records.push_back(read_job(rows.columns()));
    }
  });
}

Result<std::vector<OverrideText>> ImportJobs::overrides(const std::string& job) {
  using Texts = std::vector<OverrideText>;
  return catalogue_.read([&](sql::Database& database) -> Result<Texts> {
    TRY_ASSIGN(sql::Statement rows,
               database.query("SELECT study_instance_uid, series_instance_uid, document"
                              " FROM import_overrides WHERE job = ? ORDER BY ordinal",
                              {job}));
    Texts texts;
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) return texts;
      texts.push_back({rows.text(0), rows.optional_text(1), rows.text(2)});
    }
  });
}

Result<void> ImportJobs::begin(const ImportJobRecord& job, const std::string& bucket,
                               const std::string& prefix,
                               const std::vector<OverrideText>& overrides,
                               const std::vector<std::string>& beside) {
  return catalogue_.write([&](sql::Database& database) -> Result<void> {
    TRY_ASSIGN(const auto there,
               database.query_integer("SELECT 1 FROM buckets WHERE name = ?", {bucket}));
    if (!there) return refused("The bucket of inputS3Uri does not exist.");
    TRY(list_files(database, job.id, bucket, prefix));
    for (const std::string& key : beside) {
      TRY(database.run("DELETE FROM import_files WHERE job = ? AND key = ?", {job.id, key}));
    }
    TRY(keep_overrides(database, job.id, overrides));
    TRY_ASSIGN(sql::Statement sums,
               database.query("SELECT COUNT(*), COALESCE(SUM(size_bytes), 0) FROM import_files"
                              " WHERE job = ?",
                              {job.id}));
    TRY(sums.next());
    const std::int64_t count = sums.integer(0);
    const auto bytes = static_cast<std::uint64_t>(sums.integer(1));
    if (count == 0) return refused("There are no files under inputS3Uri.");
    if (limits_.files > 0 && count > limits_.files) {
      return refused("The number of files under inputS3Uri is above the quota of " +
                     std::to_string(limits_.files) + ".");
    }
    if (limits_.bytes > 0 && bytes > limits_.bytes) {
      return refused("The size of the files under inputS3Uri is above the quota of " +
                     std::to_string(limits_.bytes) + " bytes.");
    }
    TRY_ASSIGN(const std::int64_t moved,
               database.run("UPDATE import_jobs SET status = 'IN_PROGRESS', phase = 'listed',"
                            " begun_at = ? WHERE id = ? AND phase = 'accepted'"
                            " AND status = 'SUBMITTED'",
                            {env_.clock.wall_now(), job.id}));
    if (moved != 1) return permanent_error("datastore.wrong_phase", "The job has begun already.");
    return {};
  });
}

Result<void> ImportJobs::begin_matching(const ImportJobRecord& job, const ObjectPattern& pattern) {
  return catalogue_.write([&](sql::Database& database) -> Result<void> {
    TRY_ASSIGN(const auto there,
               database.query_integer("SELECT 1 FROM buckets WHERE name = ?", {pattern.bucket()}));
    if (!there) {
      return permanent_error("datastore.nothing_to_import", "the bucket does not exist");
    }
    std::int64_t ordinal = 0;
    TRY_ASSIGN(sql::Statement rows,
               database.query("SELECT key, blob, size_bytes FROM objects WHERE bucket = ?"
                              " AND key >= ? ORDER BY key",
                              {pattern.bucket(), pattern.prefix()}));
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more || !rows.text(0).starts_with(pattern.prefix())) break;
      if (!pattern.matches(rows.text(0))) continue;
      TRY(
          database.run("INSERT INTO import_files (job, ordinal, key, blob, size_bytes, state)"
                       " VALUES (?, ?, ?, ?, ?, 'pending')",
                       {job.id, ordinal++, rows.text(0), rows.text(1), rows.integer(2)}));
    }
    if (ordinal == 0 && pattern.literal()) {
      return permanent_error("datastore.nothing_to_import", "the object does not exist");
    }
    TRY_ASSIGN(const std::int64_t moved,
               database.run("UPDATE import_jobs SET status = 'IN_PROGRESS', phase = 'listed',"
                            " begun_at = ? WHERE id = ? AND phase = 'accepted'"
                            " AND status = 'SUBMITTED'",
                            {env_.clock.wall_now(), job.id}));
    if (moved != 1) return permanent_error("datastore.wrong_phase", "The job has begun already.");
    return {};
  });
}

Result<bool> ImportJobs::cancelled(const std::string& job) {
  return catalogue_.read([&](sql::Database& database) -> Result<bool> {
    TRY_ASSIGN(const auto requested,
               database.query_integer(
                   "SELECT cancel_requested FROM google_operations WHERE job = ?", {job}));
    return requested.value_or(0) != 0;
  });
}

Result<std::vector<PendingFile>> ImportJobs::pending(const std::string& job) {
  using Files = std::vector<PendingFile>;
  return catalogue_.read([&](sql::Database& database) -> Result<Files> {
    TRY_ASSIGN(sql::Statement rows,
               database.query("SELECT ordinal, blob FROM import_files"
                              " WHERE job = ? AND state = 'pending' ORDER BY ordinal",
                              {job}));
    Files files;
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) return files;
      const std::optional<Digest> blob = Digest::from_hex(rows.text(1));
      if (!blob) return fatal_error("datastore.io", "A row of the catalogue is damaged.");
      files.push_back({rows.integer(0), *blob});
    }
  });
}

Result<void> ImportJobs::record(const std::string& job, const std::vector<ExaminedFile>& files) {
  const Result<void> written = catalogue_.write([&](sql::Database& database) -> Result<void> {
    for (const ExaminedFile& file : files) {
      TRY(file.examination.refused() ? record_refusal(database, job, file)
                                     : record_examination(database, job, file));
    }
    return {};
  });
  TRY(written);
  for (std::size_t i = 0; i < files.size(); ++i) FAILPOINT(datastore_file_examined);
  return {};
}

Result<std::vector<ImportedFile>> ImportJobs::files(const std::string& job, std::int64_t after,
                                                    std::size_t limit) {
  using Files = std::vector<ImportedFile>;
  return catalogue_.read([&](sql::Database& database) -> Result<Files> {
    TRY_ASSIGN(sql::Statement rows,
               database.query("SELECT f.ordinal, f.key, f.state = 'examined', f.failure_type,"
                              " f.failure_message, f.warnings, f.image_set, f.image_set_version,"
                              " v.is_primary FROM import_files f LEFT JOIN image_set_versions v"
                              " ON v.image_set = f.image_set AND v.version = f.image_set_version"
                              " WHERE f.job = ? AND f.ordinal > ? ORDER BY f.ordinal LIMIT ?",
                              {job, after, limit}));
    Files files;
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) return files;
      sql::Columns columns = rows.columns();
      ImportedFile file;
      file.ordinal = columns.integer();
      file.key = columns.text();
      file.imported = columns.boolean();
      file.failure_type = columns.text();
      file.failure_message = columns.text();
      file.warnings = columns.text();
      file.image_set = columns.text();
      file.image_set_version = columns.integer();
      file.is_primary = columns.boolean();
      files.push_back(std::move(file));
    }
  });
}

Result<std::vector<ImportedImageSet>> ImportJobs::image_sets(const std::string& job) {
  using Sets = std::vector<ImportedImageSet>;
  return catalogue_.read([&](sql::Database& database) -> Result<Sets> {
    TRY_ASSIGN(sql::Statement rows,
               database.query("SELECT f.image_set, f.image_set_version, v.is_primary,"
                              " COUNT(DISTINCT f.sop_instance_uid)"
                              " FROM import_files f JOIN image_set_versions v"
                              " ON v.image_set = f.image_set AND v.version = f.image_set_version"
                              " WHERE f.job = ? GROUP BY f.image_set, f.image_set_version"
                              " ORDER BY MIN(f.ordinal)",
                              {job}));
    Sets sets;
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) return sets;
      sql::Columns columns = rows.columns();
      ImportedImageSet set;
      set.id = columns.text();
      set.version = columns.integer();
      set.is_primary = columns.boolean();
      set.instances = columns.integer();
      sets.push_back(std::move(set));
    }
  });
}

Result<std::vector<std::string>> ImportJobs::conclude(const std::string& job) {
  return end(job, "COMPLETED", std::nullopt, 0);
}

Result<std::vector<std::string>> ImportJobs::fail(const std::string& job,
                                                  const std::string& message, int rpc_code) {
  return end(job, "FAILED", message, rpc_code);
}

Result<std::vector<std::string>> ImportJobs::end(const std::string& job, const std::string& status,
                                                 const std::optional<std::string>& message,
                                                 int rpc_code) {
  using Blobs = std::vector<std::string>;
  return catalogue_.write([&](sql::Database& database) -> Result<Blobs> {
    const WallTime now = env_.clock.wall_now();
    TRY_ASSIGN(const std::int64_t ended,
               database.run("UPDATE import_jobs SET status = ?, message = ?, ended_at = ?"
                            " WHERE id = ? AND status IN ('SUBMITTED', 'IN_PROGRESS')",
                            {status, message, now, job}));
    if (ended != 1) return permanent_error("datastore.wrong_phase", "The job has ended already.");
    TRY(end_operation(database, job, message.value_or(""), rpc_code, now));
    Blobs garbage;
    TRY_ASSIGN(sql::Statement rows,
               database.query("SELECT DISTINCT f.blob FROM import_files f WHERE f.job = ?"
                              " AND NOT EXISTS (SELECT 1 FROM objects o WHERE o.blob = f.blob)",
                              {job}));
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) break;
      garbage.push_back(rows.text(0));
    }
    // The output in the bucket says what became of each file; the rows were for getting there.
    TRY(database.run("DELETE FROM import_files WHERE job = ?", {job}));
    TRY(database.run("DELETE FROM import_overrides WHERE job = ?", {job}));
    return garbage;
  });
}

}  // namespace isthmus::datastore
