#include "app/google_destination.h"

#include <algorithm>
#include <array>

#include "auth/google.h"
#include "base/command.h"
#include "http/client.h"
#include "imports/google.h"
#include "imports/google_metadata.h"
#include "imports/unsupported_metadata.h"
#include "storage/gcs.h"

namespace isthmus::app {
namespace {

constexpr const char* kStorage = "https://storage.googleapis.com";
constexpr const char* kHealthcare = "https://healthcare.googleapis.com";
constexpr std::array kStorageClasses{"", "STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"};

// One destination's settings by the last part of their names.
class Entry {
 public:
  Entry(const Settings& settings, const std::string& name)
      : settings_(settings), name_(name), prefix_("destinations." + name + ".") {}

  std::string name_of(const char* last) const { return prefix_ + last; }
  std::string text(const char* last) const { return settings_.text(prefix_ + last); }
  std::string text_or(const char* last, const char* otherwise) const {
    const std::string said = text(last);
    return said.empty() ? otherwise : said;
  }
  std::int64_t integer(const char* last) const { return settings_.integer(prefix_ + last); }
  double number(const char* last) const { return settings_.number(prefix_ + last); }
  bool flag(const char* last) const { return settings_.flag(prefix_ + last); }
  ImportLimits limits() const { return import_limits(settings_, name_); }

 private:
  const Settings& settings_;
  const std::string name_;
  const std::string prefix_;
};

// "projects/p/locations/l/datasets/d/dicomStores/s", nothing of it empty.
bool is_dicom_store(std::string_view text) {
  for (const std::string_view word : {"projects/", "locations/", "datasets/", "dicomStores/"}) {
    if (!text.starts_with(word)) return false;
    text.remove_prefix(word.size());
    const std::size_t end = std::min(text.find('/'), text.size());
    if (end == 0) return false;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return text.empty();
}

void find_problems(const Entry& entry, std::vector<std::string>& problems) {
  if (!is_dicom_store(entry.text("dicom_store"))) {
    problems.push_back(entry.name_of("dicom_store") +
                       " must be projects/…/locations/…/datasets/…/dicomStores/… for kind google.");
  }
  for (const char* name : {"endpoint", "storage_endpoint", "token_endpoint", "sts_endpoint",
                           "impersonation_endpoint", "metadata_endpoint", "logging_endpoint"}) {
    const std::string url = entry.text(name);
    if (!url.empty() && !http::parse_url(url).ok()) {
      problems.push_back(entry.name_of(name) + " must be a URL, https://host[:port].");
    }
  }
  if (std::ranges::find(kStorageClasses, entry.text("import_storage_class")) ==
      kStorageClasses.end()) {
    problems.push_back(entry.name_of("import_storage_class") +
                       " must be STANDARD, NEARLINE, COLDLINE or ARCHIVE.");
  }
}

GoogleCredentialOptions credential_options(const Entry& entry, http::Transport& local) {
  GoogleCredentialOptions options;
  options.local_transport = &local;
  options.variable = environment_variable;
  options.run = [](const std::vector<std::string>& words) { return run_command(words); };
  options.credentials_file = entry.text("credentials_file");
  options.token_endpoint = entry.text("token_endpoint");
  options.sts_endpoint = entry.text("sts_endpoint");
  options.impersonation_endpoint = entry.text("impersonation_endpoint");
  options.metadata_endpoint = entry.text("metadata_endpoint");
  return options;
}

std::unique_ptr<TokenSource> tokens_of(Env& env, http::Transport& transport, http::Transport& local,
                                       const Entry& entry, const std::string& service) {
  GoogleCredentialOptions options = credential_options(entry, local);
  if (entry.flag("self_signed_tokens")) options.self_signed_audience = service + "/";
  return make_google_credentials(env, transport, std::move(options));
}

// What was staged under a key, by the instance's id in it.
InstanceLookup lookup_in(Ledger* ledger) {
  return [ledger](const ObjectKey& key) -> Result<std::optional<Instance>> {
    const auto id = layout::instance_of(key);
    if (!id || ledger == nullptr) return std::optional<Instance>();
    return ledger->instance(*id);
  };
}

// "<prefix>/": what lies beside the batches.
std::string folder_of(const Entry& entry) {
  const std::string prefix = entry.text("object_prefix");
  const bool slash = prefix.empty() || prefix.ends_with('/');
  return prefix + (slash ? "" : "/");
}

GoogleImportOptions import_options(const Entry& entry) {
  GoogleImportOptions options;
  options.endpoint = entry.text_or("endpoint", kHealthcare);
  options.dicom_store = entry.text("dicom_store");
  options.bucket = entry.text("bucket");
  options.notes_prefix = folder_of(entry) + "operations/";
  options.storage_class = entry.text("import_storage_class");
  options.logging_endpoint = entry.text("logging_endpoint");
  options.verified_instances = entry.integer("verified_instances");
  options.limits = entry.limits();
  return options;
}

Result<std::unique_ptr<MetadataService>> metadata_of(Env& env, const Settings& settings,
                                                     const std::string& name,
                                                     const ConfiguredDestination& made,
                                                     TokenSource& tokens) {
  const Entry entry(settings, name);
  if (entry.text("metadata_updates") != "replace") {
    return make_unsupported_metadata(
        "The Healthcare API has no change of metadata: set destinations.*.metadata_updates to "
        "replace, or change what is sent and have it sent again.");
  }
  GoogleReplacingOptions options;
  options.endpoint = entry.text_or("endpoint", kHealthcare);
  options.dicom_store = entry.text("dicom_store");
  options.prefix = folder_of(entry);
  options.scratch = FileSystem::Path(settings.text("data_dir")) / "replacing" / name;
  options.limits.updates_per_second = entry.number("updates_per_second");
  return make_google_replacing(env, *made.transport, tokens, *made.store, std::move(options));
}

}  // namespace

std::vector<std::string> google_destination_problems(const Settings& settings) {
  std::vector<std::string> problems;
  for (const std::string& name : settings.destinations()) {
    const Entry entry(settings, name);
    if (entry.text("kind") == "google") find_problems(entry, problems);
  }
  return problems;
}

std::string google_notes_prefix(const Settings& settings, const std::string& name) {
  return folder_of(Entry(settings, name)) + "operations/";
}

GoogleEndpoints google_endpoints(const Settings& settings, const std::string& name) {
  const Entry entry(settings, name);
  return {entry.text_or("storage_endpoint", kStorage), entry.text_or("endpoint", kHealthcare)};
}

Result<GoogleIdentity> google_identity(Env& env, const Settings& settings, const std::string& name,
                                       http::Transport& transport, http::Transport& local) {
  return read_google_identity(env, transport, credential_options(Entry(settings, name), local));
}

Result<std::unique_ptr<ConfiguredDestination>> make_google_destination(
    Env& env, const Settings& settings, const std::string& name,
    std::unique_ptr<UploadSessions> uploads, Ledger* ledger) {
  const Entry entry(settings, name);
  auto made = std::make_unique<ConfiguredDestination>();
  made->datastore_id = entry.text("dicom_store");
  made->transport =
      http::make_client(env, {.ca_file = entry.text("ca_file"), .proxy_url = entry.text("proxy")});
  made->local_transport = http::make_client(env, {});
  // A token that a key signs itself is for one service only.
  made->storage_tokens = tokens_of(env, *made->transport, *made->local_transport, entry, kStorage);
  const bool one_for_both = !entry.flag("self_signed_tokens");
  if (!one_for_both) {
    made->tokens = tokens_of(env, *made->transport, *made->local_transport, entry, kHealthcare);
  }
  made->sessions = std::move(uploads);

  GcsOptions gcs;
  gcs.endpoint = entry.text_or("storage_endpoint", kStorage);
  gcs.bucket = entry.text("bucket");
  gcs.user_project = entry.text("user_project");
  made->store =
      make_gcs_store(env, *made->transport, *made->storage_tokens, made->sessions.get(), gcs);
  TokenSource& tokens = one_for_both ? *made->storage_tokens : *made->tokens;
  GoogleImportOptions import = import_options(entry);
  if (entry.text("import_path") == "stow") {
    GoogleStowOptions stow{.endpoint = import.endpoint,
                           .dicom_store = import.dicom_store,
                           .notes_prefix = import.notes_prefix,
                           .limits = import.limits};
    made->service = make_google_stow(env, *made->transport, tokens, *made->store, lookup_in(ledger),
                                     std::move(stow));
  } else {
    made->service = make_google_import(env, *made->transport, tokens, *made->store,
                                       lookup_in(ledger), std::move(import));
  }
  if (ledger != nullptr) {
    TRY_ASSIGN(made->metadata, metadata_of(env, settings, name, *made, tokens));
  }
  made->destination = std::make_unique<Destination>(
      Destination{name, entry.text("object_prefix"), *made->store, *made->service});
  return made;
}

}  // namespace isthmus::app
