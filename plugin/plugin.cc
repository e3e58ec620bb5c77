#include "plugin/plugin.h"

#include <dlfcn.h>

#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>

#include "app/access.h"
#include "app/commitment.h"
#include "app/config.h"
#include "http/client.h"
#include "plugin/configuration.h"
#include "plugin/intake.h"
#include "plugin/panel.h"
#include "plugin/routes.h"

namespace isthmus::plugin {
namespace {

constexpr std::string_view kStatusPath = "/isthmus/orthanc";
// Of orthanc.metadata_first: after state, image set id and import job id.
constexpr std::int64_t kProtectionOffset = 3;
constexpr std::string_view kStudyPath = "/isthmus/orthanc/study";

std::string parameter(const OrthancPluginHttpRequest& request, std::string_view name) {
  for (std::uint32_t i = 0; i < request.getCount; ++i) {
    if (request.getKeys[i] == name) return request.getValues[i];
  }
  return {};
}

// Beside this library stands the program that the data store examines files in.
FileSystem::Path own_directory() {
  Dl_info found{};
  const void* inside = reinterpret_cast<const void*>(&own_directory);
  if (dladdr(inside, &found) == 0 || found.dli_fname == nullptr) return "/usr/lib/isthmus";
  std::error_code error;
  const auto absolute = std::filesystem::absolute(found.dli_fname, error);
  return error ? FileSystem::Path("/usr/lib/isthmus") : absolute.parent_path();
}

// AE titles are padded with spaces (PS3.5 section 6.2).
std::string trimmed(const char* text) {
  if (text == nullptr) return {};
  std::string_view view(text);
  while (!view.empty() && view.front() == ' ') view.remove_prefix(1);
  while (!view.empty() && view.back() == ' ') view.remove_suffix(1);
  return std::string(view);
}

}  // namespace

Plugin::Plugin(OrthancPluginContext* context)
    : context_(context),
      log_(context),
      env_{system_clock(), posix_files(), system_entropy(),
           log_,           *metrics_,     [this](const Error& error) { on_fatal(error); }},
      archive_(context),
      job_board_(context) {}

Plugin::~Plugin() {
  stop();
}

Plugin::Opened Plugin::open() {
  const std::string whole = take_text(context_, OrthancPluginGetConfiguration(context_));
  const auto parsed = read_configuration(env_, whole);
  if (!parsed) {
    env_.log.warn("plugin.stays_out", {{"missing_section", "Isthmus"}});
    return Opened::stays_out;
  }
  for (const std::string& problem : parsed->problems) {
    OrthancPluginLogError(context_, ("isthmus configuration, \"Isthmus\": " + problem).c_str());
  }
  if (!parsed->problems.empty()) return Opened::failed;
  log_.set_level(app::log_level(parsed->settings));
  env_.log.info("bridge.starting", {{"version", app::version()}});
  auto bridge = app::open_bridge(env_, parsed->settings, own_directory());
  if (!bridge.ok()) {
    OrthancPluginLogError(context_, ("isthmus cannot start: " + describe(bridge.error())).c_str());
    return Opened::failed;
  }
  bridge_ = std::move(bridge).value();
  parts_.emplace(bridge_->parts());
  levels_ = app::commitment_levels(parsed->settings);
  commitment_wait_ = parsed->settings.duration("orthanc.commitment_wait_s");
  make_feed(parsed->settings);
  make_followup(parsed->settings);
  make_notifier(parsed->settings);
  make_jobs(parsed->settings);
  make_users(parsed->settings, asks_for_passwords(whole));
  ahead_ = std::make_unique<IntakeAhead>(env_, parts_->spool, parts_->senders, AheadOptions{});
  in_use_.store(bridge_.get());
  if (failed_.load()) bridge_->fail();  // a thread of it was quicker than we
  const app::BridgeAddresses addresses = bridge_->addresses();
  env_.log.info("bridge.started",
                {{"http_port", addresses.http_port}, {"datastore_port", addresses.datastore_port}});
  return Opened::yes;
}

void Plugin::make_feed(const app::Settings& settings) {
  FeedOptions options;
  options.poll = settings.duration("orthanc.poll_interval_s");
  const std::string existing = settings.text("orthanc.import_existing");
  if (existing == "all") options.existing = Existing::all;
  if (existing == "since") options.existing = Existing::since;
  options.since = settings.text("orthanc.import_existing_since");
  options.existing_per_second = settings.number("orthanc.import_existing_per_second");
  const auto take = [this](const Origin& origin, ByteSpan file) {
    return take_file(parts_->spool, parts_->senders, origin, file);
  };
  feed_ = std::make_unique<Feed>(env_, archive_, parts_->ledger.receiver_rows(), take, options);
}

void Plugin::make_followup(const app::Settings& settings) {
  FollowupOptions options;
  options.first_metadata = settings.integer("orthanc.metadata_first");
  if (settings.flag("orthanc.protect_on_way")) {
    options.protection_metadata = options.first_metadata + kProtectionOffset;
    options.protects_existing = settings.text("orthanc.import_existing") == "all";
  }
  options.delete_imported = settings.text("orthanc.after_import") == "delete";
  options.retention = settings.duration("orthanc.delete_after_s");
  followup_ = std::make_unique<Followup>(env_, archive_, parts_->ledger, options);
}

void Plugin::make_notifier(const app::Settings& settings) {
  NotifierOptions options;
  options.url = settings.text("orthanc.notify_url");
  options.bearer_token = settings.text("orthanc.notify_token");
  if (options.url.empty()) return;
  notify_transport_ =
      http::make_client(env_, {.ca_file = settings.text("orthanc.notify_ca"), .proxy_url = {}});
  notifier_ = std::make_unique<Notifier>(env_, archive_, parts_->ledger, *notify_transport_,
                                         std::move(options));
}

void Plugin::make_users(const app::Settings& settings, bool are_checked) {
  std::map<std::string, api::Scopes, std::less<>> named;
  for (const std::string& entry : settings.entries("orthanc_users")) {
    const std::string prefix = "orthanc_users." + entry + ".";
    const std::string name = settings.text(prefix + "name");
    named.emplace(name.empty() ? entry : name, app::scopes_of(settings, prefix + "scopes"));
  }
  if (!named.empty() && !are_checked) {
    env_.log.warn("orthanc.users_unchecked", {{"missing", "AuthenticationEnabled"}});
  }
  users_.emplace(std::move(named), app::scopes_of(settings, "orthanc.scopes"), are_checked);
}

void Plugin::make_jobs(const app::Settings& settings) {
  ImportJobsOptions options;
  options.destinations = settings.destinations();
  options.at_once = static_cast<int>(settings.integer("orthanc.jobs"));
  options.poll = settings.duration("orthanc.poll_interval_s");
  jobs_ = std::make_unique<ImportJobs>(env_, job_board_, parts_->ledger, std::move(options));
}

void Plugin::orthanc_started() {
  if (feed_) feed_->start();
  if (followup_) followup_->start();
  if (notifier_) notifier_->start();
  if (jobs_) jobs_->start();
}

void Plugin::orthanc_stops() {
  stopping_.store(true);
  if (feed_) feed_->begin_to_stop();
  if (followup_) followup_->begin_to_stop();
  if (notifier_) notifier_->begin_to_stop();
  if (jobs_) jobs_->begin_to_stop();
}

std::unique_ptr<CommitmentHandler> Plugin::commitment(const std::string& calling_ae_title) {
  if (in_use_.load(std::memory_order_acquire) == nullptr) return nullptr;
  ignore(parts_->spool.catch_up(), "what has no row yet is waited for");
  const auto sender = parts_->senders.find_by_ae_title(calling_ae_title);
  return std::make_unique<CommitmentHandler>(CommitmentHandler::Means{
      env_, parts_->ledger, levels_, sender ? sender->commitment_level : std::nullopt,
      commitment_wait_, stopping_});
}

Result<std::string> Plugin::status_json() const {
  constexpr std::size_t kShown = 1'000;
  const FeedStatus feed = feed_->status();
  nlohmann::ordered_json body{{"admission", to_string(parts_->admission.state())},
                              {"feed", {{"position", feed.position}, {"last", feed.last}}},
                              {"import_existing",
                               {{"state", feed.walk},
                                {"studies", feed.walk_studies},
                                {"studies_in_all", feed.walk_studies_in_all},
                                {"instances", feed.walk_instances}}},
                              {"untaken", nlohmann::ordered_json::array()}};
  TRY_ASSIGN(const auto untaken, parts_->ledger.receiver_rows().untaken(kShown));
  for (const UntakenInstance& one : untaken) {
    body["untaken"].push_back({{"archive_id", one.archive_id},
                               {"code", one.code},
                               {"message", one.message},
                               {"since", to_rfc3339(one.since)}});
  }
  const app::BridgeAddresses addresses = bridge_->addresses();
  body["http_port"] = addresses.http_port;
  body["datastore_port"] = addresses.datastore_port;
  body["datastore_access_key_file"] = addresses.datastore_access_key_file;
  return body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

void Plugin::stop() {
  orthanc_stops();
  if (feed_) feed_->stop();
  if (followup_) followup_->stop();
  if (notifier_) notifier_->stop();
  if (jobs_) jobs_->stop();
  handlers_.stop();
  if (ahead_) {
    ahead_->stop();
    ignore(parts_->spool.catch_up(), "what was withdrawn is noted; a start may find it else");
  }
  if (bridge_) bridge_->stop();
}

bool Plugin::takes_instances() const {
  const app::Bridge* bridge = in_use_.load(std::memory_order_acquire);
  return bridge != nullptr && parts_->admission.check().ok();
}

Origin Plugin::origin_of(const OrthancPluginDicomInstance* instance) const {
  const auto metadata = [&](const char* name) -> std::string {
    if (OrthancPluginHasInstanceMetadata(context_, instance, name) != 1) return {};
    return trimmed(OrthancPluginGetInstanceMetadata(context_, instance, name));
  };
  Origin origin;
  origin.receiver = "orthanc";
  origin.calling_ae_title = trimmed(OrthancPluginGetInstanceRemoteAet(context_, instance));
  origin.called_ae_title = metadata("CalledAET");
  origin.peer_address = metadata("RemoteIP");
  return origin;
}

// Empty when Orthanc has none to show.
ByteSpan Plugin::file_of(const OrthancPluginDicomInstance* instance) const {
  const std::int64_t size = OrthancPluginGetInstanceSize(context_, instance);
  const void* data = OrthancPluginGetInstanceData(context_, instance);
  if (size <= 0 || data == nullptr) return {};
  return {static_cast<const std::byte*>(data), static_cast<std::size_t>(size)};
}

void Plugin::arriving(const OrthancPluginDicomInstance* instance) {
  if (in_use_.load(std::memory_order_acquire) == nullptr) return;
  // What this thread began before is not this one, although it may lie in the same place.
  ahead_->forget();
  if (!takes_instances()) return;
  ahead_->begin(file_of(instance), trimmed(OrthancPluginGetInstanceRemoteAet(context_, instance)));
}

bool Plugin::stored(const OrthancPluginDicomInstance* instance, const char* instance_id) {
  if (in_use_.load(std::memory_order_acquire) == nullptr) return false;
  const ByteSpan file = file_of(instance);
  if (file.empty()) return false;
  const Origin origin = origin_of(instance);
  auto begun = ahead_->conclude(file, origin);
  const auto receipt =
      begun ? *std::move(begun) : take_file(parts_->spool, parts_->senders, origin, file);
  if (!receipt.ok()) {
    env_.log.warn("orthanc.not_taken", {{"archive_id", instance_id},
                                        {"code", receipt.error().code},
                                        {"fate", to_string(receipt.error().fate)}});
    feed_->missed(instance_id);
    return false;
  }
  feed_->taken(instance_id);
  env_.log.debug("orthanc.taken", {{"archive_id", instance_id}, {"instance", receipt->id.text()}});
  return true;
}

OrthancPluginErrorCode Plugin::send_json(OrthancPluginRestOutput* output,
                                         const Result<std::string>& body) {
  if (body.ok()) {
    OrthancPluginAnswerBuffer(context_, output, body->data(),
                              static_cast<std::uint32_t>(body->size()), "application/json");
    return OrthancPluginErrorCode_Success;
  }
  constexpr std::uint16_t kForbidden = 403, kNotFound = 404, kUnavailable = 503;
  const std::string& code = body.error().code;
  const std::string& message = body.error().message;
  const std::uint16_t status = code == "api.forbidden"      ? kForbidden
                               : code == "ledger.not_found" ? kNotFound
                                                            : kUnavailable;
  OrthancPluginSendHttpStatus(context_, output, status, message.data(),
                              static_cast<std::uint32_t>(message.size()));
  return OrthancPluginErrorCode_Success;
}

OrthancPluginErrorCode Plugin::serve(OrthancPluginRestOutput* output, const char* url,
                                     const OrthancPluginHttpRequest* request) {
  if (in_use_.load(std::memory_order_acquire) == nullptr) {
    return OrthancPluginErrorCode_UnknownResource;
  }
  std::mutex mutex;
  std::condition_variable ended;
  std::optional<OrthancPluginErrorCode> code;
  const bool taken = handlers_.submit([&] {
    auto found = OrthancPluginErrorCode_InternalError;
    try {
      found = handle(output, url, request);
    } catch (...) {  // as at any callback: Orthanc answers 500
    }
    const std::lock_guard lock(mutex);
    code = found;
    ended.notify_one();  // with the lock held: what is waited on lives until then
  });
  if (!taken) return OrthancPluginErrorCode_InternalError;
  std::unique_lock lock(mutex);
  ended.wait(lock, [&] { return code.has_value(); });
  return *code;
}

OrthancPluginErrorCode Plugin::handle(OrthancPluginRestOutput* output, const char* url,
                                      const OrthancPluginHttpRequest* request) {
  const api::Caller caller = users_->of(header_of(*request, "Authorization"));
  if (request->method == OrthancPluginHttpMethod_Get &&
      (std::string_view(url) == kStatusPath || std::string_view(url) == kStudyPath)) {
    return send_json(output, own_answer(url, *request, caller));
  }
  const Spokesman spokesman{parts_->control_token, caller.scopes.text() + ";" + caller.name};
  return plugin::serve(context_, parts_->gateway, spokesman, output, url, request);
}

Result<std::string> Plugin::own_answer(std::string_view url,
                                       const OrthancPluginHttpRequest& request,
                                       const api::Caller& caller) {
  if (!caller.scopes.has(api::Scope::read)) {
    return permanent_error("api.forbidden", "This needs the scope read.");
  }
  if (url == kStatusPath) return status_json();
  return study_panel_json(parts_->ledger, parameter(request, "uid"));
}

void Plugin::on_fatal(const Error& error) {
  OrthancPluginLogError(context_, ("isthmus fatal, admission is closed: " + describe(error) +
                                   " Senders hear 0xA700 until Orthanc is started again.")
                                      .c_str());
  failed_.store(true);
  if (app::Bridge* bridge = in_use_.load()) bridge->fail();
}

}  // namespace isthmus::plugin
