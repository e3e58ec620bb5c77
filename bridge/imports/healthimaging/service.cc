// The HealthImaging client.
#include <fmt/format.h>

#include "imports/healthimaging.h"
#include "imports/healthimaging/answers.h"
#include "imports/healthimaging/output.h"
#include "wire/healthimaging.h"
#include "wire/sigv4.h"

namespace isthmus {

namespace {

namespace wire_hi = wire::healthimaging;

constexpr std::uint64_t kMaxAnswerBytes = 8 * MiB;
constexpr int kJobsPerPage = 50;  // the model's maximum
// SigV4 carries the body's digest in this header for S3 only; here it is our own note to sign().
constexpr std::string_view kPayloadHash = "x-amz-content-sha256";

class HealthImagingImport : public ImportService {
 public:
  HealthImagingImport(Env& env, http::Transport& transport, CredentialsSource& credentials,
                      ObjectStore& output, HealthImagingOptions options)
      : env_(env),
        credentials_(credentials),
        output_(output),
        options_(std::move(options)),
        http_(env, transport, options_.retry,
              [this](http::Request& request) { return sign(request); }) {}

  ImportLimits limits() const override { return options_.limits; }

  Result<RemoteJob> start(const ImportIntent& intent) override {
    wire_hi::StartDICOMImportJobRequest request;
    request.datastore_id = options_.datastore_id;
    request.job_name = intent.job_name;
    request.data_access_role_arn = options_.data_access_role_arn;
    request.client_token = intent.client_token;
    request.input_s3_uri = uri_of(intent.input_prefix);
    request.output_s3_uri = uri_of(intent.output_prefix);
    if (!options_.input_owner_account_id.empty()) {
      request.input_owner_account_id = options_.input_owner_account_id;
    }
    if (!options_.import_configuration.empty()) {
      auto configuration = wire_hi::parse_import_configuration(options_.import_configuration);
      if (!configuration.ok()) {
        return permanent_error("import.invalid", configuration.error().message);
      }
      request.import_configuration = std::move(*configuration);
    }
    TRY_ASSIGN(const auto answer, ask<wire_hi::StartDICOMImportJobResponse>(request));
    return RemoteJob{answer.job_id, ""};
  }

  Result<std::optional<RemoteJob>> find(const ImportIntent& intent) override {
    wire_hi::ListDICOMImportJobsRequest page;
    page.datastore_id = options_.datastore_id;
    page.max_results = kJobsPerPage;
    for (;;) {  // jobs of every state: it may have ended before we asked
      TRY_ASSIGN(const auto answer, ask<wire_hi::ListDICOMImportJobsResponse>(page));
      for (const wire_hi::DICOMImportJobSummary& job : answer.summaries) {
        if (job.job_name == intent.job_name) {
          return std::optional(RemoteJob{job.job_id, ""});
        }
      }
      if (answer.next_token.value_or("").empty()) return std::optional<RemoteJob>();
      if (answer.next_token == page.next_token) {
        return transient_error("import.unavailable", "The list of jobs does not come to its end.");
      }
      page.next_token = answer.next_token;
    }
  }

  Result<RemoteStatus> status(const RemoteJob& job) override {
    TRY_ASSIGN(const auto answer,
               ask<wire_hi::GetDICOMImportJobResponse>(
                   wire_hi::GetDICOMImportJobRequest{options_.datastore_id, job.id}));
    const wire_hi::DICOMImportJobProperties& properties = answer.properties;
    RemoteStatus status;
    if (properties.job_status == "COMPLETED") status.state = RemoteState::succeeded;
    if (properties.job_status == "FAILED") status.state = RemoteState::failed;
    status.message = healthimaging::cut(properties.message.value_or(""), 500);
    const auto uri = wire_hi::parse_s3_uri(properties.output_s3_uri);
    if (uri && uri->bucket == options_.bucket) {
      status.output_prefix = uri->key;
      if (!uri->key.empty() && !uri->key.ends_with('/')) status.output_prefix += '/';
    } else if (status.state == RemoteState::succeeded) {
      return permanent_error("import.output_unreadable",
                             "The job's output is not in the bucket that was asked for.");
    }
    return status;
  }

  Result<std::vector<Outcome>> outcomes(const RemoteJob& job,
                                        std::span<const Expected> expected) override {
    std::string folder = job.output_prefix;
    if (folder.empty()) {
      TRY_ASSIGN(const RemoteStatus now, status(job));
      folder = now.output_prefix;
    }
    return healthimaging::read_outcomes(
        env_, output_, {options_.bucket, folder, options_.datastore_id, job.id}, expected);
  }

 private:
  std::string uri_of(const std::string& prefix) const {
    return wire_hi::print(wire_hi::S3Uri{options_.bucket, prefix});
  }

  Result<void> sign(http::Request& request) {
    TRY_ASSIGN(const Credentials who, credentials_.credentials());
    const std::string payload_hash(request.headers.get(kPayloadHash));
    return wire::sigv4::sign(request, {who.access_key_id, who.secret_access_key, who.session_token},
                             options_.region, wire_hi::kSigningName, env_.clock.wall_now(),
                             payload_hash);
  }

  // One operation: its request out, its answer in.
  template <typename Answer, typename Asked>
  Result<Answer> ask(const Asked& asked) {
    wire_hi::Call call = wire_hi::to_call(asked);
    std::string_view endpoint = options_.endpoint;
    while (endpoint.ends_with('/')) endpoint.remove_suffix(1);
    http::Request request;
    request.method = call.method;
    request.url = fmt::format("{}{}", endpoint, call.target);
    request.headers.set(kPayloadHash, sha256(call.body).hex());
    if (!call.body.empty()) {
      request.headers.set("Content-Type", "application/json");
      request.body = source_of(std::move(call.body));
    }
    TRY_ASSIGN(http::Response response, http_.send(std::move(request)));
    if (response.status < 200 || response.status >= 300) {
      return healthimaging::error_of(response, env_.clock.wall_now());
    }
    std::string text;
    if (response.body) {
      TRY_ASSIGN(text, read_all(*response.body, kMaxAnswerBytes));
    }
    Result<Answer> answer = wire_hi::parse_response<Answer>(text);
    // Whatever answered was not the service: a proxy's page, an answer cut short.
    if (!answer.ok()) return transient_error("import.unavailable", answer.error().message);
    return answer;
  }

  Env& env_;
  CredentialsSource& credentials_;
  ObjectStore& output_;
  const HealthImagingOptions options_;
  http::RetryingTransport http_;
};

}  // namespace

std::unique_ptr<ImportService> make_healthimaging_import(Env& env, http::Transport& transport,
                                                         CredentialsSource& credentials,
                                                         ObjectStore& output,
                                                         HealthImagingOptions options) {
  return std::make_unique<HealthImagingImport>(env, transport, credentials, output,
                                               std::move(options));
}

}  // namespace isthmus
