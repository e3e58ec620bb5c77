// Import jobs as rows: what was asked, how far it is, what came of each file. Every change is one
// durable step, so that a job goes on where it was after the process ended in whatever way.
//
//   accepted --begin()--> listed --record()… publish()--> published --conclude()--> COMPLETED
//   and from each of them --fail()--> FAILED
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "datastore/engine/catalogue.h"
#include "datastore/engine/client_tokens.h"
#include "datastore/engine/examination.h"
#include "datastore/engine/import_overrides.h"
#include "datastore/engine/object_pattern.h"

namespace isthmus::datastore {

struct ImportJobRecord {
  std::string id;
  std::string data_store;
  std::string name;
  std::string status;  // SUBMITTED, IN_PROGRESS, COMPLETED, FAILED
  std::string phase;   // accepted, listed, published
  std::string role_arn;
  std::string input_s3_uri;
  std::string output_s3_uri;  // as given
  std::optional<std::string> import_configuration;
  std::optional<std::string> message;
  WallTime submitted_at;
  std::optional<WallTime> ended_at;
};

struct PendingFile {
  std::int64_t ordinal = 0;
  Digest blob;
};

struct ExaminedFile {
  std::int64_t ordinal = 0;
  Examination examination;
};

// A file of a published job.
struct ImportedFile {
  std::int64_t ordinal = 0;
  std::string key;
  bool imported = false;
  std::string failure_type;
  std::string failure_message;
  std::string warnings;  // JSON array
  std::string image_set;
  std::int64_t image_set_version = 0;
  bool is_primary = false;
};

struct ImportedImageSet {
  std::string id;
  std::int64_t version = 0;
  bool is_primary = false;
  std::int64_t instances = 0;  // of this job
};

struct ImportLimits {
  std::int64_t files = 0;  // 0: no limit, as below
  std::uint64_t bytes = 0;
  std::int64_t unfinished_jobs = 0;
};

// Permanent errors, besides the catalogue's: "datastore.no_such_data_store",
// "datastore.no_such_job", "datastore.token_conflict", "datastore.too_many_jobs",
// "datastore.wrong_phase". Any thread.
class ImportJobs {
 public:
  ImportJobs(Env& env, Catalogue& catalogue, ImportLimits limits);

  using Besides = std::function<Result<void>(sql::Database&, const std::string& job)>;

  // `wanted` without id, status, phase and dates. Durable before it returns, together with what
  // `besides` writes.
  Result<ImportJobRecord> accept(ImportJobRecord wanted, const ClientToken& token,
                                 const Besides& besides = {});
  Result<ImportJobRecord> find(const std::string& data_store, const std::string& id);
  // In order of submission, behind the job `after` (an id; empty: from the first).
  Result<std::vector<ImportJobRecord>> list(const std::string& data_store,
                                            const std::optional<std::string>& status,
                                            const std::string& after, std::size_t limit);

  // The unfinished jobs that were submitted first, in that order.
  Result<std::vector<ImportJobRecord>> unfinished(std::size_t limit);
  // Takes down which objects there are under bucket/prefix now, and keeps their bytes from being
  // removed. "datastore.import_refused" (permanent): the message is the job's.
  // `overrides` are kept with the job; the objects they came from (`beside`, keys) are no files of
  // it.
  Result<void> begin(const ImportJobRecord& job, const std::string& bucket,
                     const std::string& prefix, const std::vector<OverrideText>& overrides = {},
                     const std::vector<std::string>& beside = {});
  // The same for an import of Google's: the objects of the pattern, and their number has no quota.
  // "datastore.nothing_to_import" (permanent) when a literal names none.
  Result<void> begin_matching(const ImportJobRecord& job, const ObjectPattern& pattern);
  // Whether an import of Google's is to end before its time.
  Result<bool> cancelled(const std::string& job);
  Result<std::vector<OverrideText>> overrides(const std::string& job);
  Result<std::vector<PendingFile>> pending(const std::string& job);
  // All of these in one transaction.
  Result<void> record(const std::string& job, const std::vector<ExaminedFile>& files);
  // Makes the image sets of all examined files visible, all at once. Once per job.
  Result<void> publish(const ImportJobRecord& job);
  // Files behind `after` (-1: from the first), in order.
  Result<std::vector<ImportedFile>> files(const std::string& job, std::int64_t after,
                                          std::size_t limit);
  Result<std::vector<ImportedImageSet>> image_sets(const std::string& job);
  // COMPLETED. Gives the blobs that the job may have been the last to name.
  Result<std::vector<std::string>> conclude(const std::string& job);
  // `rpc_code` is what an operation of Google's says (google.rpc.Code).
  Result<std::vector<std::string>> fail(const std::string& job, const std::string& message,
                                        int rpc_code = 13);

 private:
  Result<std::vector<std::string>> end(const std::string& job, const std::string& status,
                                       const std::optional<std::string>& message, int rpc_code);

  Env& env_;
  Catalogue& catalogue_;
  const ImportLimits limits_;
};

}  // namespace isthmus::datastore
