#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "auth/google.h"
#include "auth/google/provider.h"

namespace isthmus {
namespace {

using google::AccessToken;
using nlohmann::json;

// Callers that fail together do not each wait for a server that is not there.
constexpr Milliseconds kFailurePause{5'000};
// A token that does not say how long it is good.
constexpr Milliseconds kLookAgain{5 * 60'000};
constexpr const char* kWellKnown = "application_default_credentials.json";

class GoogleCredentials : public TokenSource {
 public:
  GoogleCredentials(Env& env, http::Transport& transport, GoogleCredentialOptions options)
      : env_(env), options_(std::move(options)), means_{env, transport, options_} {}

  Result<std::string> token() override {
    std::unique_lock lock(mutex_);
    for (;;) {
      const SteadyTime now = env_.clock.steady_now();
      if (now < ask_again_) {
        if (known_) return known_->value;
        if (failure_) return *failure_;
      }
      if (!renewing_) break;
      if (is_good()) return known_->value;
      renewed_.wait(lock);
    }
    renewing_ = true;
    lock.unlock();
    auto found = find();
    lock.lock();
    renewing_ = false;
    renewed_.notify_all();
    return found.ok() ? keep(std::move(*found)) : keep_failure(std::move(found).error());
  }

  void refused(const std::string& token) override {
    const std::lock_guard lock(mutex_);
    if (!known_ || known_->value != token) return;
    known_.reset();
    ask_again_ = SteadyTime{};
  }

 private:
  struct Found {
    AccessToken token;
    std::string source;
  };

  Result<Found> find() {
    TRY_ASSIGN(const std::optional<std::string> file, google::find_credentials_file(means_));
    if (file) {
      TRY_ASSIGN(const json document, google::read_credentials(means_, *file));
      TRY_ASSIGN(AccessToken token, google::from_document(means_, document));
      return Found{std::move(token), google::text_in(document, "type")};
    }
    if (means_.variable("NO_GCE_CHECK") == "true") {
      return transient_error("auth.no_credentials",
                             "No Google credentials: name a file by GOOGLE_APPLICATION_CREDENTIALS "
                             "or in the destination's settings.");
    }
    TRY_ASSIGN(AccessToken token, google::from_metadata_server(means_));
    return Found{std::move(token), "metadata_server"};
  }

  bool is_good() const {
    return known_ && (!known_->expires_at || *known_->expires_at > env_.clock.wall_now());
  }

  std::string keep(Found found) {
    Milliseconds good_for = kLookAgain;
    if (found.token.expires_at) {
      const Milliseconds left = *found.token.expires_at - env_.clock.wall_now();
      const bool is_short = left < options_.refresh_before * 4;
      good_for = std::max(is_short ? left * 3 / 4 : left - options_.refresh_before, kFailurePause);
    }
    if (!known_ || known_->value != found.token.value) {
      env_.log.info("credentials.renewed",
                    {{"source", found.source},
                     {"expires_at",
                      found.token.expires_at ? to_rfc3339(*found.token.expires_at) : "not told"}});
      count("renewed");
    }
    ask_again_ = env_.clock.steady_now() + good_for;
    failure_.reset();
    known_ = std::move(found.token);
    return known_->value;
  }

  Result<std::string> keep_failure(Error error) {
    env_.log.warn("credentials.not_renewed", {{"error", describe(error)}});
    count("failed");
    ask_again_ = env_.clock.steady_now() + kFailurePause;
    if (is_good()) return known_->value;
    known_.reset();
    failure_ = std::move(error);
    return *failure_;
  }

  void count(const char* result) {
    env_.metrics
        .counter("credentials_renewals_total", "Renewals of cloud credentials, by result",
                 {{"result", result}})
        .add();
  }

  Env& env_;
  const GoogleCredentialOptions options_;
  google::Means means_;
  std::mutex mutex_;
  std::condition_variable renewed_;
  bool renewing_ = false;
  std::optional<AccessToken> known_;
  std::optional<Error> failure_;
  SteadyTime ask_again_{};
};

std::vector<std::string> delegates_of(const json& document) {
  std::vector<std::string> delegates;
  const auto found = document.find("delegates");
  if (found == document.end() || !found->is_array()) return delegates;
  for (const json& one : *found) {
    if (one.is_string()) delegates.push_back(one.get<std::string>());
  }
  return delegates;
}

}  // namespace

namespace google {

Result<std::optional<std::string>> find_credentials_file(const Means& means) {
  if (!means.options.credentials_file.empty()) return std::optional(means.options.credentials_file);
  if (auto named = means.variable("GOOGLE_APPLICATION_CREDENTIALS")) return named;
  FileSystem::Path folder;
  if (const auto configured = means.variable("CLOUDSDK_CONFIG")) {
    folder = *configured;
  } else if (const auto home = means.variable("HOME")) {
    folder = FileSystem::Path(*home) / ".config" / "gcloud";
  } else {
    return std::optional<std::string>();
  }
  const FileSystem::Path file = folder / kWellKnown;
  TRY_ASSIGN(const bool there, means.env.files.exists(file));
  return there ? std::optional(file.string()) : std::nullopt;
}

Result<json> read_credentials(const Means& means, const std::string& file) {
  const auto text = read_file(means.env, file);
  if (!text.ok()) {
    return no_credentials("the credentials file", "it cannot be read: " + file + ".");
  }
  json document = json::parse(*text, nullptr, false);
  if (document.is_object()) return document;
  return no_credentials("the credentials file", "it is not a JSON object: " + file + ".");
}

Result<AccessToken> from_document(Means& means, const json& document, int depth) {
  const std::string type = text_in(document, "type");
  if (type == "service_account") return from_service_account(means, document);
  if (type == "external_account") return from_external_account(means, document);
  if (type == "authorized_user") return from_authorized_user(means, document);
  if (type == "impersonated_service_account" && depth == 0) {
    const auto source = document.find("source_credentials");
    if (source == document.end() || !source->is_object()) {
      return no_credentials("the credentials file", "source_credentials are missing in it.");
    }
    TRY_ASSIGN(const AccessToken who, from_document(means, *source, depth + 1));
    return impersonate(means, text_in(document, "service_account_impersonation_url"), who,
                       delegates_of(document), 3600);
  }
  return no_credentials("the credentials file",
                        "its type must be service_account, external_account, authorized_user or "
                        "impersonated_service_account.");
}

}  // namespace google

std::unique_ptr<TokenSource> make_google_credentials(Env& env, http::Transport& transport,
                                                     GoogleCredentialOptions options) {
  return std::make_unique<GoogleCredentials>(env, transport, std::move(options));
}

}  // namespace isthmus
