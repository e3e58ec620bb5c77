#include "datastore/datastore.h"

#include "datastore/api/dicomweb.h"
#include "datastore/api/gcs.h"
#include "datastore/api/google_identity.h"
#include "datastore/api/healthcare.h"
#include "datastore/api/healthimaging.h"
#include "datastore/api/s3.h"
#include "datastore/engine/examiner.h"
#include "datastore/engine/import_runner.h"
#include "datastore/engine/upkeep.h"

namespace isthmus::datastore {
namespace {

// Which face a request is for: what its signature is for, and without one, what its path looks
// like.
class Front : public http::Handler {
 public:
  struct Faces {
    http::Handler& s3;
    http::Handler& healthimaging;
    http::Handler& dicomweb;
    http::Handler& cloud_storage;
    http::Handler& google_identity;
    http::Handler& healthcare;
    http::Handler& google_dicomweb;
  };
  explicit Front(Faces faces) : faces_(faces) {}
  std::unique_ptr<http::Exchange> open(const http::Head& head) override {
    return face_of(head).open(head);
  }

 private:
  http::Handler& face_of(const http::Head& head) {
    const std::string_view path = head.path();
    const std::optional<std::string> service = Gate::claimed_service(head);
    if (!service && GoogleIdentity::claims(head)) return faces_.google_identity;
    if (!service && GcsApi::claims_path(path)) return faces_.cloud_storage;
    // A deletion is an operation of the Healthcare API.
    if (!service && GoogleWeb::claims_path(path) && head.method != "DELETE") {
      return faces_.google_dicomweb;
    }
    if (!service && HealthcareApi::claims_path(path)) return faces_.healthcare;
    const bool imaging = service ? *service == wire::healthimaging::kSigningName
                                 : HealthImagingApi::claims_path(path);
    if (!imaging) return faces_.s3;
    return HealthImagingWeb::claims_path(path) ? faces_.dicomweb : faces_.healthimaging;
  }

  Faces faces_;
};

class LocalDataStore : public DataStore {
 public:
  LocalDataStore(Env& env, DataStoreOptions options, std::unique_ptr<Catalogue> catalogue,
                 std::unique_ptr<Blobs> blobs, std::unique_ptr<ProcessExaminer> examiner,
                 std::unique_ptr<FrameStore> frames)
      : env_(env),
        options_(std::move(options)),
        catalogue_(std::move(catalogue)),
        blobs_(std::move(blobs)),
        objects_(env, *blobs_, *catalogue_),
        data_stores_(env, *catalogue_, options_.max_datastores),
        import_jobs_(
            env, *catalogue_,
            {options_.max_files_per_job, options_.max_bytes_per_job, options_.max_concurrent_jobs}),
        image_sets_(env, *catalogue_, *blobs_),
        examiner_(std::move(examiner)),
        frames_(std::move(frames)),
        changes_(
            env, *catalogue_, objects_, *examiner_,
            {options_.max_concurrent_changes, options_.max_frames_per_copy,
             options_.max_update_bytes, options_.max_metadata_bytes, options_.primary_uid_updates}),
        tags_(*catalogue_, options_.max_tags),
        events_(env, *catalogue_,
                {options_.region, options_.account_id,
                 options_.event_log ? options_.directory / "events.ndjson" : FileSystem::Path()}),
        runner_(env, *blobs_, objects_, import_jobs_, *examiner_, ahead_, options_.import_workers),
        upkeep_(env, objects_, options_.upload_life),
        gate_(env, options_),
        s3_(env, gate_, *blobs_, objects_, options_),
        healthimaging_(env, gate_, options_,
                       {data_stores_, import_jobs_, image_sets_, changes_, tags_, events_, *frames_,
                        [this] { runner_.notify(); }}),
        index_(*catalogue_),
        stow_(env, gate_,
              {*blobs_, objects_, import_jobs_, *examiner_, ahead_, index_,
               [this] { runner_.notify(); }, options_.stores_at_once}),
        oidc_(options_.identity_provider, options_.identity_scope),
        imaging_web_(env, gate_, oidc_, data_stores_),
        dicomweb_(env, imaging_web_,
                  {*catalogue_, *blobs_, data_stores_, index_, *frames_, *examiner_, stow_}),
        google_account_(env, options_.directory, options_.google_project),
        google_tokens_(env, google_account_, oidc_, gate_.open_to_all()),
        google_identity_(env, google_account_, google_tokens_,
                         {options_.google_metadata_server, options_.google_project}),
        cloud_storage_(env, google_tokens_, *blobs_, objects_),
        google_stores_(env, *catalogue_, data_stores_, import_jobs_),
        healthcare_(env, {google_tokens_, google_stores_, objects_, [this] { runner_.notify(); }}),
        google_web_(env, google_tokens_, google_stores_, data_stores_,
                    options_.max_google_store_bytes),
        google_dicomweb_(env, google_web_,
                         {*catalogue_, *blobs_, data_stores_, index_, *frames_, *examiner_, stow_}),
        front_({s3_, healthimaging_, dicomweb_, cloud_storage_, google_identity_, healthcare_,
                google_dicomweb_}) {}
  ~LocalDataStore() override { stop(); }

  http::Handler& handler() override { return front_; }

  Result<std::string> provision(const std::string& bucket,
                                const std::string& datastore_name) override {
    const Result<void> made = objects_.create_bucket(bucket);
    if (!made && made.error().code != "datastore.bucket_exists") return made.error();
    TRY_ASSIGN(const auto there, data_stores_.find_by_name(datastore_name));
    if (there) return there->id;
    DataStoreRecord wanted;
    wanted.name = datastore_name;
    wanted.lossless_storage_format = "HTJ2K";
    const ClientToken token{"provision", "", make_id_text(env_), sha256(datastore_name)};
    TRY_ASSIGN(const DataStoreRecord record, data_stores_.create(wanted, {}, token));
    return record.id;
  }

  void start() override {
    runner_.start();
    changes_.start();
    events_.start();
    upkeep_.start();
  }
  void stop() override {
    runner_.stop();
    changes_.stop();
    events_.stop();
    upkeep_.stop();
  }

  Result<void> sweep() {
    TRY(stow_.sweep());
    TRY(upkeep_.run_once());
    TRY_ASSIGN(const std::size_t removed, objects_.collect_garbage());
    if (removed > 0) env_.log.info("datastore.garbage_removed", {{"blobs", removed}});
    return {};
  }

 private:
  Env& env_;
  const DataStoreOptions options_;
  const std::unique_ptr<Catalogue> catalogue_;
  const std::unique_ptr<Blobs> blobs_;
  Objects objects_;
  DataStores data_stores_;
  ImportJobs import_jobs_;
  ImageSetStore image_sets_;
  const std::unique_ptr<ProcessExaminer> examiner_;
  ExaminedAhead ahead_;
  const std::unique_ptr<FrameStore> frames_;
  ImageSetChanges changes_;
  Tags tags_;
  Events events_;
  ImportRunner runner_;
  Upkeep upkeep_;
  Gate gate_;
  S3Api s3_;
  HealthImagingApi healthimaging_;
  DicomIndex index_;
  Stow stow_;
  OidcGate oidc_;
  HealthImagingWeb imaging_web_;
  DicomWebApi dicomweb_;
  GoogleAccount google_account_;
  GoogleTokens google_tokens_;
  GoogleIdentity google_identity_;
  GcsApi cloud_storage_;
  GoogleStores google_stores_;
  HealthcareApi healthcare_;
  GoogleWeb google_web_;
  DicomWebApi google_dicomweb_;
  Front front_;
};

}  // namespace

Result<std::unique_ptr<DataStore>> open_data_store(Env& env, DataStoreOptions options) {
  const FileSystem::Path directory = options.directory;
  // The catalogue first: its lock says that the blobs are ours as well.
  TRY_ASSIGN(std::unique_ptr<Catalogue> catalogue, Catalogue::open(env, directory));
  TRY_ASSIGN(std::unique_ptr<Blobs> blobs, Blobs::open(env, directory));
  auto examiner = std::make_unique<ProcessExaminer>(
      env, ProcessExaminerOptions{options.worker_program, options.file_timeout,
                                  options.worker_memory_bytes});
  const FrameStoreOptions frame_options{.cache_bytes = options.frame_cache_bytes,
                                        .renders_at_once = options.import_workers};
  TRY_ASSIGN(auto frames,
             FrameStore::open(env, *catalogue, *blobs, *examiner, directory, frame_options));
  auto store =
      std::make_unique<LocalDataStore>(env, std::move(options), std::move(catalogue),
                                       std::move(blobs), std::move(examiner), std::move(frames));
  TRY(store->sweep());
  return std::unique_ptr<DataStore>(std::move(store));
}

}  // namespace isthmus::datastore
