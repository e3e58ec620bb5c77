#include "app/destinations.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "app/aws_destination.h"
#include "app/config.h"
#include "app/google_destination.h"
#include "dicom/preflight.h"
#include "http/loopback.h"
#include "imports/healthimaging.h"
#include "storage/s3.h"

namespace isthmus::app {
namespace {

// Signed but never resolved: the loopback takes every host.
constexpr const char* kLoopbackEndpoint = "http://datastore.internal";
constexpr const char* kAccessKeyFile = "access_key.json";

Result<datastore::AccessKey> read_access_key(Env& env, const FileSystem::Path& path) {
  TRY_ASSIGN(auto file, env.files.open(path, FileSystem::Mode::read_only));
  TRY_ASSIGN(const std::uint64_t size, file->size());
  const auto source = source_of_file(std::move(file), 0, size);
  TRY_ASSIGN(const std::string text, read_all(*source, 64 * KiB));
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("access_key_id") || !json["access_key_id"].is_string() ||
      !json.contains("secret_access_key") || !json["secret_access_key"].is_string()) {
    return permanent_error("config.access_key",
                           "access_key.json in datastore.directory is damaged; remove it to have "
                           "a new pair made, or set datastore.access_key_id.");
  }
  return datastore::AccessKey{json["access_key_id"], json["secret_access_key"]};
}

Result<datastore::AccessKey> make_access_key(Env& env, const FileSystem::Path& directory) {
  std::array<std::byte, 30> random{};
  env.entropy.fill(random);
  const datastore::AccessKey key{"ISTH" + make_id_text(env).substr(16), to_base64(random)};
  const nlohmann::json json{{"access_key_id", key.access_key_id},
                            {"secret_access_key", key.secret_access_key}};
  TRY(env.files.create_directories(directory));
  const FileSystem::Path part = directory / "access_key.part";
  ignore(env.files.remove(part), "left by a start that was killed");
  TRY_ASSIGN(const auto file, env.files.open(part, FileSystem::Mode::create_new));
  TRY(file->append(as_bytes(json.dump(2) + "\n")));
  TRY(file->sync());
  TRY(env.files.rename(part, directory / kAccessKeyFile));
  TRY(env.files.sync_directory(directory));
  return key;
}

class DicomPreflight final : public Preflight {
 public:
  explicit DicomPreflight(const dicom::PreflightRules& rules) : rules_(rules) {}
  Result<std::vector<Error>> examine(ByteSource& part10_file) override {
    TRY_ASSIGN(auto findings, dicom::preflight(part10_file, rules_));
    std::vector<Error> errors;
    for (dicom::PreflightFinding& one : findings) {
      errors.push_back(permanent_error(std::move(one.code), std::move(one.message)));
    }
    return errors;
  }

 private:
  const dicom::PreflightRules rules_;
};

}  // namespace

Result<datastore::AccessKey> datastore_access_key(Env& env, const Settings& settings) {
  const std::string id = settings.text("datastore.access_key_id");
  if (!id.empty()) {
    return datastore::AccessKey{id, settings.text("datastore.secret_access_key")};
  }
  const FileSystem::Path directory = datastore_directory(settings);
  auto known = read_access_key(env, directory / kAccessKeyFile);
  if (known.ok() || known.error().code != "disk.not_found") return known;
  return make_access_key(env, directory);
}

ImportLimits import_limits(const Settings& settings, const std::string& name) {
  const auto setting = [&](const char* last) { return "destinations." + name + "." + last; };
  ImportLimits limits;
  limits.files_per_job = settings.integer(setting("files_per_job"));
  limits.bytes_per_job = static_cast<std::uint64_t>(settings.integer(setting("bytes_per_job")));
  limits.jobs_at_once = settings.integer(setting("jobs_at_once"));
  limits.starts_per_second = settings.number(setting("starts_per_second"));
  limits.start_burst = settings.integer(setting("start_burst"));
  limits.polls_per_second = settings.number(setting("polls_per_second"));
  limits.poll_burst = static_cast<std::int64_t>(2 * limits.polls_per_second) + 1;
  return limits;
}

std::vector<std::string> scheduler_problems(const Settings& settings) {
  std::vector<std::string> problems;
  for (const std::string& name : settings.destinations()) {
    const std::string hours = "destinations." + name + ".upload_hours";
    if (UploadHours::parse(settings.list(hours))) continue;
    problems.push_back(hours + " must be hours of the day as \"22:00-06:00\".");
  }
  return problems;
}

std::unique_ptr<Scheduler> make_destination_scheduler(Env& env, const Settings& settings,
                                                      const Destination& destination) {
  const std::string prefix = "destinations." + destination.name + ".";
  SchedulerOptions options;
  options.uploads = static_cast<std::size_t>(settings.integer("staging.uploads"));
  options.upload_bytes_per_second =
      static_cast<std::uint64_t>(settings.integer(prefix + "upload_bytes_per_second"));
  options.hours =
      UploadHours::parse(settings.list(prefix + "upload_hours")).value_or(UploadHours());
  options.failures_to_open = std::max<std::size_t>(options.uploads, 2);
  options.backoff = {settings.duration("retry.first_backoff_ms"),
                     settings.duration("retry.longest_backoff_ms")};
  auto scheduler =
      make_scheduler(env, destination.name, destination.service.limits(), std::move(options));
  show_scheduler(env, destination.name, *scheduler);
  return scheduler;
}

std::unique_ptr<Preflight> make_destination_preflight(const Settings& settings,
                                                      const std::string& name) {
  dicom::PreflightRules rules;
  // The embedded data store takes what HealthImaging takes.
  const std::string kind = settings.text("destinations." + name + ".kind");
  rules.only_importable_syntaxes = kind == "embedded" || kind == "aws";
  rules.most_bytes =
      static_cast<std::uint64_t>(settings.integer("destinations." + name + ".bytes_per_job"));
  return std::make_unique<DicomPreflight>(rules);
}

Result<std::unique_ptr<UploadSessions>> open_destination_uploads(Env& env, const Settings& settings,
                                                                 const std::string& name) {
  return open_upload_sessions(env, FileSystem::Path(settings.text("data_dir")) / "uploads" / name);
}

PreflightMode preflight_mode(const Settings& settings, const std::string& name) {
  const std::string word = settings.text("destinations." + name + ".preflight");
  return word == "quarantine" ? PreflightMode::quarantine
         : word == "warn"     ? PreflightMode::warn
                              : PreflightMode::off;
}

Result<std::unique_ptr<ConfiguredDestination>> make_destination(Env& env, const Settings& settings,
                                                                const std::string& name,
                                                                datastore::DataStore& data_store,
                                                                const datastore::AccessKey& key,
                                                                Ledger& ledger) {
  const auto setting = [&](const char* last) { return "destinations." + name + "." + last; };
  if (settings.text(setting("kind")) == "aws") {
    TRY_ASSIGN(auto uploads, open_destination_uploads(env, settings, name));
    return make_aws_destination(env, settings, name, std::move(uploads));
  }
  if (settings.text(setting("kind")) == "google") {
    TRY_ASSIGN(auto uploads, open_destination_uploads(env, settings, name));
    return make_google_destination(env, settings, name, std::move(uploads), &ledger);
  }
  const std::string bucket = settings.text(setting("bucket"));
  const std::string region = settings.text("datastore.region");
  auto made = std::make_unique<ConfiguredDestination>();
  TRY_ASSIGN(made->datastore_id,
             data_store.provision(bucket, settings.text(setting("datastore_name"))));
  made->transport = http::make_loopback(data_store.handler());
  made->credentials = make_static_credentials({key.access_key_id, key.secret_access_key, "", {}});

  S3Options s3;
  s3.endpoint = kLoopbackEndpoint;
  s3.region = region;
  s3.bucket = bucket;
  made->store = make_s3_store(env, *made->transport, *made->credentials, s3);

  HealthImagingOptions imaging;
  imaging.endpoint = kLoopbackEndpoint;
  imaging.region = region;
  imaging.datastore_id = made->datastore_id;
  imaging.bucket = bucket;
  imaging.data_access_role_arn = settings.text(setting("data_access_role_arn"));
  imaging.limits = import_limits(settings, name);
  made->service =
      make_healthimaging_import(env, *made->transport, *made->credentials, *made->store, imaging);
  HealthImagingMetadataOptions metadata;
  metadata.endpoint = kLoopbackEndpoint;
  metadata.region = region;
  metadata.datastore_id = made->datastore_id;
  metadata.limits.updates_per_second = settings.number(setting("updates_per_second"));
  made->metadata = make_healthimaging_metadata(env, *made->transport, *made->credentials, metadata);
  made->destination = std::make_unique<Destination>(
      Destination{name, settings.text(setting("object_prefix")), *made->store, *made->service});
  return made;
}

}  // namespace isthmus::app
