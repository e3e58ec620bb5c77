// The client of dicomStores.import.
#include <fmt/format.h>

#include "imports/google.h"
#include "imports/google/calls.h"
#include "imports/google/comparison.h"
#include "imports/google/notes.h"
#include "wire/healthcare.h"

namespace isthmus {
namespace {

namespace hc = wire::healthcare;

constexpr int kOperationsPerPage = 500;
constexpr std::string_view kImportMethod = "ImportDicomData";  // contract section 3

class GoogleImport : public ImportService {
 public:
  GoogleImport(Env& env, http::Transport& transport, TokenSource& tokens, ObjectStore& staging,
               InstanceLookup instances, GoogleImportOptions options)
      : env_(env),
        staging_(staging),
        instances_(std::move(instances)),
        options_(std::move(options)),
        calls_(env, transport, tokens, options_.endpoint, options_.retry),
        logging_(env, transport, tokens, options_.logging_endpoint, options_.retry),
        notes_(staging, options_.notes_prefix) {}

  ImportLimits limits() const override { return options_.limits; }

  Result<RemoteJob> start(const ImportIntent& intent) override {
    TRY_ASSIGN(const auto known, noted(intent));
    if (known) return *known;
    const std::string uri = fmt::format("gs://{}/{}**.dcm", options_.bucket, intent.input_prefix);
    // A repeat of its own would start another operation; who called asks first, by find().
    TRY_ASSIGN(const std::string text,
               calls_.post_once("/v1/" + options_.dicom_store + ":import",
                                hc::print_import(uri, options_.storage_class)));
    TRY_ASSIGN(const hc::Operation operation, google::understood(hc::parse_operation(text)));
    note(intent, operation.id());
    return RemoteJob{operation.id(), ""};
  }

  Result<std::optional<RemoteJob>> find(const ImportIntent& intent) override {
    TRY_ASSIGN(auto known, noted(intent));
    if (known) return known;
    TRY_ASSIGN(const std::int64_t files, files_of(intent));
    std::vector<std::string> candidates;
    TRY(each_operation([&](const hc::Operation& operation) -> Result<void> {
      if (!may_be(operation, intent, files)) return {};
      TRY_ASSIGN(const bool is_noted, notes_.is_noted(operation.id()));
      if (!is_noted) candidates.push_back(operation.id());
      return {};
    }));
    if (candidates.size() > 1) {
      env_.log.warn("import.operation_ambiguous",
                    {{"job", intent.id.text()}, {"operations", candidates.size()}});
    }
    if (candidates.size() != 1) return std::optional<RemoteJob>();
    note(intent, candidates.front());
    return std::optional(RemoteJob{candidates.front(), ""});
  }

  Result<RemoteStatus> status(const RemoteJob& job) override {
    TRY_ASSIGN(const hc::Operation operation, operation_of(job));
    RemoteStatus status;
    if (!operation.done) return status;
    // One that ended with an error may have stored some files: those are found by comparison, like
    // those of one that ended well. One that counted nothing has done nothing.
    const bool did_something = operation.success > 0 || operation.failure > 0;
    const bool failed = operation.error_code != 0 && !did_something;
    status.state = failed ? RemoteState::failed : RemoteState::succeeded;
    status.message =
        operation.error_code == 0
            ? fmt::format("{} files stored, {} refused.", operation.success, operation.failure)
            : fmt::format("code {}: {}", operation.error_code, operation.error_message);
    return status;
  }

  Result<std::vector<Outcome>> outcomes(const RemoteJob& job,
                                        std::span<const Expected> expected) override {
    TRY_ASSIGN(const hc::Operation operation, operation_of(job));
    if (!operation.done) {
      return transient_error("import.output_missing", "The operation has not ended yet.");
    }
    return google::compare({env_, calls_, options_.logging_endpoint.empty() ? nullptr : &logging_,
                            staging_, instances_, options_},
                           operation, expected);
  }

 private:
  std::string operations() const {
    return "/v1/" + options_.dicom_store.substr(0, options_.dicom_store.find("/dicomStores/")) +
           "/operations";
  }

  Result<std::optional<RemoteJob>> noted(const ImportIntent& intent) {
    TRY_ASSIGN(const auto note, notes_.of(intent));
    if (!note) return std::optional<RemoteJob>();
    if (note->input_prefix != intent.input_prefix) {
      return permanent_error("import.conflict",
                             "This import was started with another input before.");
    }
    return std::optional(RemoteJob{note->operation_id, ""});
  }

  // The ledger is told the operation next; without a note it is only found by looking closer.
  void note(const ImportIntent& intent, const std::string& operation_id) {
    const auto kept = notes_.keep(intent, operation_id);
    if (kept.ok()) return;
    env_.log.warn("import.operation_not_noted",
                  {{"job", intent.id.text()}, {"code", kept.error().code}});
  }

  Result<hc::Operation> operation_of(const RemoteJob& job) {
    TRY_ASSIGN(const std::string text,
               calls_.get(operations() + "/" + http::percent_encode(job.id, false)));
    return google::understood(hc::parse_operation(text));
  }

  Result<std::int64_t> files_of(const ImportIntent& intent) {
    std::int64_t files = 0;
    TRY(staging_.list(intent.input_prefix, [&](const StoredObject& object) {
      files += object.key.text.ends_with(".dcm") ? 1 : 0;
      return true;
    }));
    return files;
  }

  bool may_be(const hc::Operation& operation, const ImportIntent& intent,
              std::int64_t files) const {
    if (operation.api_method.find(kImportMethod) == std::string::npos) return false;
    if (operation.created_at && *operation.created_at < intent.intended_at - options_.clock_skew) {
      return false;
    }
    const std::int64_t counted = operation.counted();
    return operation.done && operation.error_code == 0 ? counted == files : counted <= files;
  }

  template <typename Each>
  Result<void> each_operation(Each each) {
    std::string page_token;
    for (;;) {
      std::string target = fmt::format("{}?pageSize={}", operations(), kOperationsPerPage);
      if (!page_token.empty()) target += "&pageToken=" + http::percent_encode(page_token, false);
      TRY_ASSIGN(const std::string text, calls_.get(target));
      TRY_ASSIGN(const hc::OperationPage page, google::understood(hc::parse_operations(text)));
      for (const hc::Operation& operation : page.operations) TRY(each(operation));
      if (page.next_page_token.empty()) return {};
      if (page.next_page_token == page_token) {
        return transient_error("import.unavailable", "The list of operations does not end.");
      }
      page_token = page.next_page_token;
    }
  }

  Env& env_;
  ObjectStore& staging_;
  const InstanceLookup instances_;
  const GoogleImportOptions options_;
  google::Calls calls_;
  google::Calls logging_;
  google::OperationNotes notes_;
};

}  // namespace

ImportLimits GoogleImportOptions::google_limits() {
  ImportLimits limits;
  limits.jobs_at_once = 5;
  limits.starts_per_second = 0.25;
  return limits;
}

std::unique_ptr<ImportService> make_google_import(Env& env, http::Transport& transport,
                                                  TokenSource& tokens, ObjectStore& staging,
                                                  InstanceLookup instances,
                                                  GoogleImportOptions options) {
  return std::make_unique<GoogleImport>(env, transport, tokens, staging, std::move(instances),
                                        std::move(options));
}

}  // namespace isthmus
