#include "datastore/engine/import_runner.h"

#include <algorithm>
#include <mutex>

#include "datastore/engine/import_output.h"
#include "wire/healthimaging.h"

namespace isthmus::datastore {
namespace {

constexpr Milliseconds kLookAgain{1'000};
constexpr Milliseconds kAfterTrouble{2'000};
constexpr std::size_t kJobsAtOnce = 4;
constexpr std::size_t kMostFilesAtOnce = 256;  // written down in one transaction, or fewer:
constexpr std::size_t kMostBytesAtOnce = 1 * MiB;
constexpr Milliseconds kLongestUnwritten{500};
constexpr std::uint64_t kMostOverrideBytes = 1 * MiB;
constexpr int kRpcCancelled = 1, kRpcNotFound = 5, kRpcInternal = 13;  // google.rpc.Code
constexpr int kWorkerStarts = 3;  // in a row without success, then the job fails

Error stopped() {
  return transient_error("datastore.stopping", "The data store is being stopped.");
}

}  // namespace

ImportRunner::ImportRunner(Env& env, Blobs& blobs, Objects& objects, ImportJobs& jobs,
                           Examiner& examiner, ExaminedAhead& ahead, std::size_t workers)
    : env_(env),
      blobs_(blobs),
      objects_(objects),
      jobs_(jobs),
      examiner_(examiner),
      ahead_(ahead),
      workers_(std::max<std::size_t>(workers, 1)),
      share_(workers_) {}

ImportRunner::~ImportRunner() {
  stop();
}

void ImportRunner::start() {
  if (thread_.joinable()) return;
  stopping_ = false;
  thread_ = Thread(env_, "ds-import", [this] { work(); });
}

void ImportRunner::stop() {
  stopping_ = true;
  wakeup_.notify();
  thread_.join();
}

void ImportRunner::work() {
  while (!stopping_) {
    end_runs(false);
    const Result<void> started = start_runs();
    if (!started && started.error().fate == Fate::fatal) {
      if (env_.on_fatal) env_.on_fatal(started.error());
      break;
    }
    if (!stopping_) wakeup_.wait_for(started ? kLookAgain : kAfterTrouble);
  }
  end_runs(true);
}

void ImportRunner::end_runs(bool all) {
  for (const std::unique_ptr<Run>& run : runs_) {
    if (all) run->pause.notify();
    if (all || run->ended) run->thread.join();
  }
  std::erase_if(runs_, [all](const std::unique_ptr<Run>& run) { return all || run->ended; });
}

Result<void> ImportRunner::start_runs() {
  TRY_ASSIGN(const std::vector<ImportJobRecord> jobs, jobs_.unfinished(kJobsAtOnce + runs_.size()));
  for (const ImportJobRecord& job : jobs) {
    if (runs_.size() >= kJobsAtOnce) return {};
    const bool running = std::ranges::any_of(
        runs_, [&](const std::unique_ptr<Run>& run) { return run->job.id == job.id; });
    if (running) continue;
    Run& made = *runs_.emplace_back(std::make_unique<Run>());
    made.job = job;
    made.thread = Thread(env_, "ds-import-job", [this, &made] { run(made); });
  }
  return {};
}

// Until the job has ended, or nobody can go on.
void ImportRunner::run(Run& run) {
  int worker_starts_failed = 0;
  while (!stopping_) {
    Result<ImportJobRecord> job = jobs_.find(run.job.data_store, run.job.id);
    Result<void> outcome = job ? advance(*job) : Result<void>(job.error());
    if (!outcome) outcome = settle(run.job, outcome.error(), worker_starts_failed);
    if (outcome) break;
    if (outcome.error().fate == Fate::fatal) {
      stopping_ = true;
      if (env_.on_fatal) env_.on_fatal(outcome.error());
    }
    if (stopping_) break;
    env_.log.warn("datastore.import_postponed",
                  {{"job", run.job.id}, {"code", outcome.error().code}});
    run.pause.wait_for(kAfterTrouble);
  }
  run.ended = true;
  wakeup_.notify();
}

Result<void> ImportRunner::advance(const ImportJobRecord& job) {
  std::string phase = job.phase;
  if (phase == "accepted") {
    env_.log.info("datastore.import_begins", {{"job", job.id}});
    TRY(begin(job));
    phase = "listed";
  }
  if (phase == "listed") {
    const Result<void> examined = examine_pending(job);
    if (!examined && examined.error().code != "datastore.cancelled") return examined;
    TRY(jobs_.publish(job));
  }
  if (is_google_uri(job.input_s3_uri)) return conclude_google(job);
  TRY(write_import_output(jobs_, objects_, blobs_, job));
  TRY_ASSIGN(const std::vector<std::string> garbage, jobs_.conclude(job.id));
  objects_.collect(garbage);
  env_.log.info("datastore.import_completed", {{"job", job.id}});
  return {};
}

// What a cancelled import has examined stays: nobody would know otherwise what is there.
Result<void> ImportRunner::conclude_google(const ImportJobRecord& job) {
  TRY_ASSIGN(const std::vector<PendingFile> left, jobs_.pending(job.id));
  TRY_ASSIGN(const std::vector<std::string> garbage,
             left.empty() ? jobs_.conclude(job.id)
                          : jobs_.fail(job.id, "operation was cancelled", kRpcCancelled));
  objects_.collect(garbage);
  env_.log.info("datastore.import_completed", {{"job", job.id}});
  return {};
}

Result<void> ImportRunner::begin(const ImportJobRecord& job) {
  if (is_google_uri(job.input_s3_uri)) {
    TRY_ASSIGN(const ObjectPattern pattern, ObjectPattern::parse(job.input_s3_uri));
    return jobs_.begin_matching(job, pattern);
  }
  const auto input = wire::healthimaging::parse_s3_uri(job.input_s3_uri);
  if (!input) return permanent_error("datastore.import_refused", "inputS3Uri cannot be read.");
  std::vector<std::string> beside;
  TRY_ASSIGN(const std::vector<OverrideText> overrides, read_overrides(job, beside));
  return jobs_.begin(job, input->bucket, input->key, overrides, beside);
}

Result<std::vector<OverrideText>> ImportRunner::read_overrides(const ImportJobRecord& job,
                                                               std::vector<std::string>& beside) {
  std::vector<OverrideText> texts;
  if (!job.import_configuration) return texts;
  TRY_ASSIGN(const auto configuration,
             wire::healthimaging::parse_import_configuration(*job.import_configuration));
  const auto input = wire::healthimaging::parse_s3_uri(job.input_s3_uri);
  std::string folder = input->key;
  if (!folder.empty() && !folder.ends_with('/')) folder += '/';
  for (const auto& mapping : configuration.dicom_metadata_mappings) {
    const ObjectName name{input->bucket, folder + mapping.metadata_file_path};
    const auto refused = [](const std::string& why) {
      return permanent_error("datastore.import_refused", "importConfiguration: " + why);
    };
    const Result<ObjectRecord> object = objects_.find(name);
    if (!object) return refused("a metadataFilePath names no object.");
    if (object->size_bytes > kMostOverrideBytes) return refused("a metadata file is too large.");
    TRY_ASSIGN(const auto bytes, objects_.read(*object, 0, object->size_bytes));
    TRY_ASSIGN(std::string text, read_all(*bytes, kMostOverrideBytes));
    const Result<UpdateDocument> document = parse_update_document(text);
    if (!document) return refused("in a metadata file: " + document.error().message);
    TRY_ASSIGN(const Dictionary dictionary, examiner_.look_up(document->keys()));
    const Result<void> allowed = check_override(*document, dictionary);
    if (!allowed) return refused("in a metadata file: " + allowed.error().message);
    texts.push_back({mapping.study_instance_uid, mapping.series_instance_uid, std::move(text)});
    beside.push_back(name.key);
  }
  return texts;
}

Result<void> ImportRunner::examine_pending(const ImportJobRecord& job) {
  TRY_ASSIGN(const std::vector<PendingFile> files, jobs_.pending(job.id));
  TRY_ASSIGN(const std::vector<OverrideText> texts, jobs_.overrides(job.id));
  TRY_ASSIGN(const ImportOverrides overrides, ImportOverrides::parse(texts));
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  Result<void> outcome;
  const auto work_off = [&] {
    Result<void> examined = examine_some(job, files, overrides, next);
    if (examined) return;
    next = files.size();
    const std::lock_guard lock(mutex);
    outcome = std::move(examined);
  };
  std::vector<Thread> threads;
  for (std::size_t i = 0; i < std::min(workers_, files.size()); ++i) {
    threads.emplace_back(env_, "ds-examine", work_off);
  }
  for (Thread& thread : threads) thread.join();
  return outcome;
}

// A sync for each file would be most of the time of an import. What is not written down when the
// process dies is examined again. The first ones come one by one, so that something is known early.
Result<void> ImportRunner::examine_some(const ImportJobRecord& job,
                                        const std::vector<PendingFile>& files,
                                        const ImportOverrides& overrides,
                                        std::atomic<std::size_t>& next) {
  std::vector<ExaminedFile> found;
  std::size_t at_once = 1, bytes = 0;
  SteadyTime since = env_.clock.steady_now();
  const auto write_down = [&]() -> Result<void> {
    if (found.empty()) return {};
    TRY(jobs_.record(job.id, found));
    found.clear();
    bytes = 0;
    at_once = std::min(at_once * 2, kMostFilesAtOnce);
    since = env_.clock.steady_now();
    return {};
  };
  while (true) {
    const std::size_t at = next++;
    if (at >= files.size()) return write_down();
    Result<void> examined = may_go_on(job);
    if (examined) {
      Result<ExaminedFile> file = examine_one(job, files[at], overrides);
      if (file) {
        bytes += file->examination.document.size() + file->examination.pixel_records.size();
        found.push_back(std::move(*file));
      } else {
        examined = file.error();
      }
    }
    if (!examined) {
      TRY(write_down());
      return examined;
    }
    const bool due = found.size() >= at_once || bytes >= kMostBytesAtOnce ||
                     env_.clock.steady_now() - since >= kLongestUnwritten;
    if (due) TRY(write_down());
  }
}

Result<void> ImportRunner::may_go_on(const ImportJobRecord& job) {
  if (stopping_) return stopped();
  if (!is_google_uri(job.input_s3_uri)) return {};
  TRY_ASSIGN(const bool cancelled, jobs_.cancelled(job.id));
  if (cancelled) return permanent_error("datastore.cancelled", "The import was cancelled.");
  return {};
}

Result<ExaminedFile> ImportRunner::examine_one(const ImportJobRecord& job, const PendingFile& file,
                                               const ImportOverrides& overrides) {
  Result<Examination> examination = [&]() -> Result<Examination> {
    if (std::optional<Examination> known = ahead_.take(file.blob)) return std::move(*known);
    const FairShare::Slot slot(share_, job.id);
    return examiner_.examine(blobs_.path_of(file.blob));
  }();
  if (!examination) return examination.error();
  TRY(overrides.apply(*examination));
  return ExaminedFile{file.ordinal, std::move(*examination)};
}

Result<void> ImportRunner::settle(const ImportJobRecord& job, Error error,
                                  int& worker_starts_failed) {
  if (error.fate == Fate::fatal || error.code == "datastore.stopping") return error;
  worker_starts_failed = error.code == "datastore.worker_start" ? worker_starts_failed + 1 : 0;
  if (error.fate == Fate::transient && worker_starts_failed < kWorkerStarts) return error;
  env_.log.error("datastore.import_failed", {{"job", job.id}, {"code", error.code}});
  const int rpc_code = error.code == "datastore.nothing_to_import" ? kRpcNotFound : kRpcInternal;
  TRY_ASSIGN(const std::vector<std::string> garbage, jobs_.fail(job.id, error.message, rpc_code));
  objects_.collect(garbage);
  return {};
}

}  // namespace isthmus::datastore
