// The HealthImaging client.
#include "imports/healthimaging.h"
#include "imports/healthimaging/answers.h"
#include "imports/healthimaging/calls.h"
#include "imports/healthimaging/output.h"

namespace isthmus {

namespace {

namespace wire_hi = wire::healthimaging;

constexpr int kJobsPerPage = 50;  // the model's maximum

class HealthImagingImport : public ImportService {
 public:
  HealthImagingImport(Env& env, http::Transport& transport, CredentialsSource& credentials,
                      ObjectStore& output, HealthImagingOptions options)
      : env_(env),
        output_(output),
        options_(std::move(options)),
        calls_(env, transport, credentials, {options_.endpoint, options_.region, options_.retry},
               healthimaging::error_of, "import.unavailable") {}

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

  // Whatever cannot be read was not the service's: a proxy's page, an answer cut short.
  template <typename Answer, typename Asked>
  Result<Answer> ask(const Asked& asked) {
    return calls_.ask<Answer>(asked);
  }

  Env& env_;
  ObjectStore& output_;
  const HealthImagingOptions options_;
  healthimaging::Calls calls_;
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
