#include "app/destinations.h"

#include <array>
#include <nlohmann/json.hpp>

#include "app/aws_destination.h"
#include "app/config.h"
#include "app/google_destination.h"
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

Result<std::unique_ptr<ConfiguredDestination>> make_destination(Env& env, const Settings& settings,
                                                                const std::string& name,
                                                                datastore::DataStore& data_store,
                                                                const datastore::AccessKey& key,
                                                                Ledger& ledger) {
  const auto setting = [&](const char* last) { return "destinations." + name + "." + last; };
  if (settings.text(setting("kind")) == "aws") return make_aws_destination(env, settings, name);
  if (settings.text(setting("kind")) == "google") {
    return make_google_destination(env, settings, name, ledger);
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
  imaging.limits.files_per_job = settings.integer(setting("files_per_job"));
  imaging.limits.bytes_per_job =
      static_cast<std::uint64_t>(settings.integer(setting("bytes_per_job")));
  imaging.limits.jobs_at_once = settings.integer(setting("jobs_at_once"));
  imaging.limits.starts_per_second = settings.number(setting("starts_per_second"));
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
