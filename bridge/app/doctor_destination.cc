// What a destination lets us do: what its bucket takes, whether jobs start.
#include <fmt/format.h>

#include "app/doctor_cloud.h"

namespace isthmus::app {
namespace {

constexpr const char* kProbe = "isthmus doctor was here; this object may be removed\n";
constexpr Milliseconds kPoll{500};
constexpr int kPolls = 240;                // two minutes
constexpr std::size_t kMostTidied = 1000;  // objects of one job's output

Result<void> read_back(ObjectStore& store, const ObjectKey& key) {
  TRY_ASSIGN(const auto source, store.get(key));
  TRY_ASSIGN(const std::string text, read_all(*source, KiB));
  if (text == kProbe) return {};
  return permanent_error("store.protocol", "Other bytes came back than were put.");
}

ImportIntent make_intent(Env& env, const std::string& prefix) {
  ImportIntent intent;
  intent.id = ImportJobId::make(env);
  intent.batch = BatchId::make(env);
  intent.client_token = make_id_text(env);
  intent.job_name = layout::job_name(intent.id);
  intent.input_prefix = layout::batch_prefix(prefix, intent.batch);
  intent.output_prefix = layout::job_output_prefix(prefix, intent.batch, intent.id);
  intent.intended_at = env.clock.wall_now();
  return intent;
}

// What was staged, and what the job wrote beside it.
void tidy_up(ObjectStore& store, const ImportIntent& intent) {
  const std::string folder = intent.input_prefix.substr(0, intent.input_prefix.rfind("in/"));
  std::vector<ObjectKey> keys;
  const auto listed = store.list(folder, [&](const StoredObject& object) {
    keys.push_back(object.key);
    return keys.size() < kMostTidied;
  });
  ignore(listed, "bucket.list says what lists give");
  for (const ObjectKey& key : keys) ignore(store.remove(key), "bucket.delete says it");
}

void wait_for_end(const Patient& patient, ImportService& service, const RemoteJob& job,
                  const Rights& rights) {
  for (int i = 0; i < kPolls; ++i) {
    const auto status = service.status(job);
    if (!status.ok() && status.error().fate != Fate::transient) {
      return patient.note("import.end", Verdict::bad,
                          patient.with_advice(status.error(), rights.jobs));
    }
    if (status.ok() && status->state == RemoteState::succeeded) {
      return patient.note("import.end", Verdict::well, "the job ended; nothing was imported");
    }
    if (status.ok() && status->state == RemoteState::failed) {
      return patient.note(
          "import.end", Verdict::bad,
          fmt::format("the job failed: {}; see that {}", status->message, rights.reader));
    }
    patient.env.clock.sleep_for(kPoll);
  }
  patient.note("import.end", Verdict::warn,
               "the job has not ended after two minutes; look at it in the cloud's console");
}

}  // namespace

std::string Patient::with_advice(const Error& error, const std::string& right) const {
  std::string words = error.code + ": " + error.message;
  if (error.code == "store.denied" || error.code == "import.denied") {
    return words + " Give that identity " + right + ".";
  }
  if (error.code == "store.no_bucket") {
    return words + " Make the bucket, or correct " + setting("bucket") + ".";
  }
  if (error.code == "import.not_found") {
    const bool aws = text("kind") == "aws";
    return words + " Make it, or correct " + setting(aws ? "datastore_id" : "dicom_store") + ".";
  }
  if (error.fate == Fate::transient) return words + " Look at the lines above, then try again.";
  return words + " Correct the endpoint or the region.";
}

void examine_bucket(const Patient& patient, ConfiguredDestination& made, const Rights& rights) {
  ObjectStore& store = *made.store;
  const std::string prefix =
      layout::batch_prefix(made.destination->object_prefix, BatchId::make(patient.env));
  const ObjectKey key{prefix + "doctor.txt"};
  patient.note_result("bucket.list", store.check(), "may be listed", rights.list);
  const auto put = store.put(key, source_of(std::string(kProbe)), sha256(kProbe));
  if (!patient.note_result("bucket.put", put, "takes an object", rights.put)) return;
  patient.note_result("bucket.get", read_back(store, key), "gives it back", rights.get);
  patient.note_result("bucket.delete", store.remove(key), "removes it", rights.remove);
}

void examine_jobs(const Patient& patient, ConfiguredDestination& made, const Rights& rights) {
  const ImportIntent never = make_intent(patient.env, made.destination->object_prefix);
  patient.note_result("import.list", made.service->find(never), "jobs are listed", rights.jobs);
}

std::optional<JobTried> examine_import(const Patient& patient, ConfiguredDestination& made,
                                       const Rights& rights) {
  ObjectStore& store = *made.store;
  const ImportIntent intent = make_intent(patient.env, made.destination->object_prefix);
  const ObjectKey key{intent.input_prefix + "doctor.dcm"};
  if (!store.put(key, source_of(std::string(kProbe)), sha256(kProbe)).ok()) {
    patient.note("import.start", Verdict::skipped, "nothing can be staged");
    return std::nullopt;
  }
  const auto job = made.service->start(intent);
  if (patient.note_result("import.start", job, job.ok() ? "job " + job->id : "", rights.start)) {
    wait_for_end(patient, *made.service, *job, rights);
  }
  tidy_up(store, intent);
  if (!job.ok()) return std::nullopt;
  return JobTried{intent, *job};
}

void examine_destination(Env& env, const Settings& settings, const std::string& name, bool import,
                         Findings& findings) {
  const Patient patient{env, settings, name, findings};
  const std::string kind = patient.text("kind");
  if (kind == "aws") return examine_aws(patient, import);
  if (kind == "google") return examine_google(patient, import);
  patient.note("destination", Verdict::skipped,
               "is inside this program; isthmus datastore verify looks at it");
}

}  // namespace isthmus::app
