#include "app/aws_destination.h"

#include <algorithm>

#include "auth/aws.h"
#include "auth/aws_endpoint.h"
#include "base/command.h"
#include "http/client.h"
#include "imports/healthimaging.h"
#include "storage/s3.h"

namespace isthmus::app {
namespace {

// One destination's settings by the last part of their names.
class Entry {
 public:
  Entry(const Settings& settings, const std::string& name)
      : settings_(settings), prefix_("destinations." + name + ".") {}

  std::string name_of(const char* last) const { return prefix_ + last; }
  std::string text(const char* last) const { return settings_.text(prefix_ + last); }
  std::int64_t integer(const char* last) const { return settings_.integer(prefix_ + last); }
  std::vector<std::string> list(const char* last) const { return settings_.list(prefix_ + last); }
  double number(const char* last) const { return settings_.number(prefix_ + last); }

  AwsEndpointChoice endpoint(const char* custom) const {
    return {text("region"), text(custom), settings_.flag(prefix_ + "fips"),
            settings_.flag(prefix_ + "dual_stack")};
  }

 private:
  const Settings& settings_;
  const std::string prefix_;
};

bool is_datastore_id(const std::string& text) {
  return text.size() == 32 && std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
         });
}

// "name=value"; nothing when it is not that.
std::optional<std::pair<std::string, std::string>> tag_of(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos) return std::nullopt;
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

void find_problems(const Entry& entry, std::vector<std::string>& problems) {
  // Signatures name it whatever the endpoint.
  if (entry.text("region").empty()) {
    problems.push_back(entry.name_of("region") + " must be set for kind aws.");
    return;
  }
  if (!is_datastore_id(entry.text("datastore_id"))) {
    problems.push_back(entry.name_of("datastore_id") +
                       " must be the id of a HealthImaging data store: 32 of a-z and 0-9.");
  }
  const auto tags = entry.list("object_tags");
  // "Object tagging", Amazon S3 User Guide: ten tags for an object.
  if (tags.size() > 10 || std::ranges::any_of(tags, [](const auto& tag) { return !tag_of(tag); })) {
    problems.push_back(entry.name_of("object_tags") + " must be at most ten, each name=value.");
  }
  for (const auto& [service, custom] :
       {std::pair("medical-imaging", "endpoint"), std::pair("s3", "s3_endpoint")}) {
    const auto endpoint = aws_endpoint(service, entry.endpoint(custom));
    if (!endpoint.ok()) {
      problems.push_back(entry.name_of(custom) + ": " + endpoint.error().message);
    } else if (!http::parse_url(*endpoint).ok()) {
      problems.push_back(entry.name_of(custom) + " must be a URL, https://host[:port].");
    }
  }
}

S3Encryption encryption_of(const Entry& entry) {
  const std::string word = entry.text("server_side_encryption");
  return word == "kms" ? S3Encryption::kms : word == "s3" ? S3Encryption::s3 : S3Encryption::bucket;
}

// What objects are like.
void describe_objects(const Entry& entry, S3Options& s3) {
  s3.encryption = encryption_of(entry);
  s3.kms_key_id = entry.text("kms_key_id");
  s3.expected_bucket_owner = entry.text("expected_bucket_owner");
  s3.storage_class = entry.text("storage_class");
  for (const std::string& text : entry.list("object_tags")) {
    if (auto tag = tag_of(text)) s3.object_tags.push_back(std::move(*tag));
  }
  // What is paced as a whole goes up as a whole (pipeline/paced_source.h).
  if (entry.integer("upload_bytes_per_second") > 0) s3.multipart_threshold_bytes = 16 * MiB;
}

std::unique_ptr<CredentialsSource> credentials_of(Env& env, http::Transport& transport,
                                                  http::Transport& local, const Entry& entry) {
  AwsCredentialOptions options;
  options.local_transport = &local;
  options.variable = environment_variable;
  options.run = [](const std::vector<std::string>& words) { return run_command(words); };
  options.profile = entry.text("profile");
  options.region = entry.text("region");
  options.role_arn = entry.text("role_arn");
  options.external_id = entry.text("external_id");
  options.sts_endpoint = entry.text("sts_endpoint");
  return make_aws_credentials(env, transport, std::move(options));
}

// Operations on image sets have a host of their own (contracts/healthimaging/README.md section 2).
// A custom endpoint is taken by its word for them, too.
std::string runtime_endpoint(const Entry& entry, std::string endpoint) {
  constexpr std::string_view kScheme = "://";
  const std::size_t at = endpoint.find(kScheme);
  if (!entry.text("endpoint").empty() || at == std::string::npos) return endpoint;
  return endpoint.insert(at + kScheme.size(), "runtime-");
}

}  // namespace

std::vector<std::string> destination_problems(const Settings& settings) {
  std::vector<std::string> problems;
  for (const std::string& name : settings.destinations()) {
    const Entry entry(settings, name);
    if (entry.text("kind") == "aws") find_problems(entry, problems);
  }
  return problems;
}

Result<AwsEndpoints> aws_endpoints(const Settings& settings, const std::string& name) {
  const Entry entry(settings, name);
  AwsEndpoints endpoints;
  TRY_ASSIGN(endpoints.s3, aws_endpoint("s3", entry.endpoint("s3_endpoint")));
  TRY_ASSIGN(endpoints.imaging, aws_endpoint("medical-imaging", entry.endpoint("endpoint")));
  endpoints.sts = entry.text("sts_endpoint");
  if (endpoints.sts.empty()) {
    endpoints.sts = environment_variable("AWS_ENDPOINT_URL_STS").value_or("");
  }
  if (endpoints.sts.empty()) {
    TRY_ASSIGN(endpoints.sts, aws_endpoint("sts", {.region = entry.text("region")}));
  }
  return endpoints;
}

Result<std::unique_ptr<ConfiguredDestination>> make_aws_destination(
    Env& env, const Settings& settings, const std::string& name,
    std::unique_ptr<UploadSessions> uploads) {
  const Entry entry(settings, name);
  auto made = std::make_unique<ConfiguredDestination>();
  made->datastore_id = entry.text("datastore_id");
  made->transport =
      http::make_client(env, {.ca_file = entry.text("ca_file"), .proxy_url = entry.text("proxy")});
  made->local_transport = http::make_client(env, {});
  made->credentials = credentials_of(env, *made->transport, *made->local_transport, entry);

  S3Options s3;
  TRY_ASSIGN(s3.endpoint, aws_endpoint("s3", entry.endpoint("s3_endpoint")));
  s3.region = entry.text("region");
  s3.bucket = entry.text("bucket");
  describe_objects(entry, s3);
  made->sessions = std::move(uploads);
  s3.sessions = made->sessions.get();
  // Buckets with dots have no certificate as hosts, and private endpoints seldom have bucket hosts.
  s3.path_style = !entry.text("s3_endpoint").empty() || s3.bucket.find('.') != std::string::npos;
  made->store = make_s3_store(env, *made->transport, *made->credentials, s3);

  HealthImagingOptions imaging;
  TRY_ASSIGN(imaging.endpoint, aws_endpoint("medical-imaging", entry.endpoint("endpoint")));
  imaging.region = entry.text("region");
  imaging.datastore_id = made->datastore_id;
  imaging.bucket = s3.bucket;
  imaging.data_access_role_arn = entry.text("data_access_role_arn");
  imaging.input_owner_account_id = entry.text("input_owner_account_id");
  imaging.limits = import_limits(settings, name);
  made->service =
      make_healthimaging_import(env, *made->transport, *made->credentials, *made->store, imaging);
  HealthImagingMetadataOptions metadata;
  metadata.endpoint = runtime_endpoint(entry, imaging.endpoint);
  metadata.region = imaging.region;
  metadata.datastore_id = made->datastore_id;
  metadata.limits.updates_per_second = entry.number("updates_per_second");
  made->metadata = make_healthimaging_metadata(env, *made->transport, *made->credentials, metadata);
  made->destination = std::make_unique<Destination>(
      Destination{name, entry.text("object_prefix"), *made->store, *made->service});
  return made;
}

}  // namespace isthmus::app
