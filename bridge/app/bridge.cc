#include "app/bridge.h"

#include <algorithm>
#include <atomic>

#include "api/gateway.h"
#include "api/metadata.h"
#include "api/rest.h"
#include "api/senders.h"
#include "api/stow.h"
#include "app/access.h"
#include "app/certificates.h"
#include "app/commitment.h"
#include "app/config.h"
#include "app/configured_senders.h"
#include "app/control_files.h"
#include "app/destinations.h"
#include "app/metadata.h"
#include "app/stat_lane.h"
#include "base/thread.h"
#include "dimse/receiver.h"
#include "http/server.h"
#include "model/layout.h"
#include "pipeline/pause.h"
#include "pipeline/runner.h"
#include "senders/desk.h"
#include "senders/journal.h"
#include "tls/certificates.h"

namespace isthmus::app {
namespace {

constexpr Milliseconds kHousekeepingTick{100};
constexpr int kTicksPerAdmissionRefresh = 5;

datastore::DataStoreOptions datastore_options(const Settings& settings,
                                              const FileSystem::Path& program_directory,
                                              const datastore::AccessKey& key) {
  datastore::DataStoreOptions options;
  options.directory = datastore_directory(settings);
  const std::string worker = settings.text("datastore.worker_program");
  options.worker_program =
      worker.empty() ? program_directory / "isthmus-import-worker" : FileSystem::Path(worker);
  options.access_keys = {key};
  for (const std::string& name : settings.entries("datastore_keys")) {
    const std::string prefix = "datastore_keys." + name + ".";
    options.access_keys.push_back(
        {settings.text(prefix + "access_key_id"), settings.text(prefix + "secret_access_key"),
         settings.text(prefix + "data_store"), settings.list(prefix + "buckets")});
  }
  options.region = settings.text("datastore.region");
  options.virtual_hosts = settings.list("datastore.virtual_hosts");
  options.google_metadata_server = settings.flag("datastore.google_metadata_server");
  options.google_project = settings.text("datastore.google_project");
  options.import_workers = static_cast<std::size_t>(settings.integer("datastore.import_workers"));
  options.file_timeout = settings.duration("datastore.file_timeout_s");
  options.worker_memory_bytes =
      static_cast<std::uint64_t>(settings.integer("datastore.worker_memory_bytes"));
  options.frame_cache_bytes =
      static_cast<std::uint64_t>(settings.integer("datastore.frame_cache_bytes"));
  options.max_files_per_job = settings.integer("datastore.max_files_per_job");
  options.max_bytes_per_job =
      static_cast<std::uint64_t>(settings.integer("datastore.max_bytes_per_job"));
  options.max_google_store_bytes =
      static_cast<std::uint64_t>(settings.integer("datastore.max_google_store_bytes"));
  options.max_concurrent_jobs = settings.integer("datastore.max_concurrent_jobs");
  options.max_concurrent_changes = settings.integer("datastore.max_concurrent_changes");
  options.max_frames_per_copy = settings.integer("datastore.max_frames_per_copy");
  options.max_update_bytes =
      static_cast<std::uint64_t>(settings.integer("datastore.max_update_bytes"));
  options.max_metadata_bytes =
      static_cast<std::uint64_t>(settings.integer("datastore.max_metadata_bytes"));
  options.max_tags = static_cast<std::size_t>(settings.integer("datastore.max_tags"));
  options.primary_uid_updates = settings.flag("datastore.primary_uid_updates");
  options.archive_after = settings.duration("datastore.archive_after_s");
  options.upload_life = settings.duration("datastore.upload_life_s");
  options.stores_at_once =
      static_cast<std::size_t>(std::max<std::int64_t>(settings.integer("http.threads") - 1, 1));
  options.clock_skew = settings.duration("datastore.clock_skew_s");
  options.event_log = settings.flag("datastore.event_log");
  options.throttled = settings.flag("datastore.throttled");
  options.start_jobs_per_second = settings.number("datastore.start_jobs_per_second");
  return options;
}

SegmentOptions segment_options(const Settings& settings) {
  const auto bytes = [&](const char* name) {
    return static_cast<std::uint64_t>(settings.integer(name));
  };
  SegmentOptions options;
  options.segment_bytes = bytes("spool.segment_bytes");
  options.max_instance_bytes = bytes("spool.segment_max_bytes");
  options.buffer_bytes = bytes("spool.buffer_bytes");
  options.ahead = static_cast<std::size_t>(settings.integer("spool.segments_ahead"));
  options.reserve_bytes = bytes("spool.reserve_bytes");
  options.rows_within = settings.duration("spool.rows_within_ms");
  options.compact_after = settings.duration("spool.compact_after_s");
  options.remove_after = settings.duration("spool.remove_after_s");
  return options;
}

DimseOptions dimse_options(const Settings& settings) {
  DimseOptions options;
  options.address = settings.text("dimse.address");
  options.plain = settings.flag("dimse.plain");
  options.port = static_cast<std::uint16_t>(settings.integer("dimse.port"));
  options.tls_port = static_cast<std::uint16_t>(settings.integer("dimse.tls.port"));
  options.max_associations = static_cast<std::size_t>(settings.integer("dimse.max_associations"));
  options.max_connections = static_cast<std::size_t>(settings.integer("dimse.max_connections"));
  options.max_pdu_bytes = static_cast<std::uint32_t>(settings.integer("dimse.max_pdu_bytes"));
  options.artim_timeout = settings.duration("dimse.artim_timeout_s");
  options.idle_timeout = settings.duration("dimse.idle_timeout_s");
  options.pdu_timeout = settings.duration("dimse.pdu_timeout_s");
  options.message_timeout = settings.duration("dimse.message_timeout_s");
  options.association_timeout = settings.duration("dimse.association_timeout_s");
  options.max_instance_bytes =
      static_cast<std::uint64_t>(settings.integer("dimse.max_instance_bytes"));
  options.tcp_quick_ack = settings.flag("dimse.tcp_quick_ack");
  options.accept_unknown_sop_classes = settings.flag("dimse.accept_unknown_sop_classes");
  options.extra_sop_classes = settings.list("dimse.extra_sop_classes");
  return options;
}

http::ServerOptions server_options(const Settings& settings, const std::string& section) {
  http::ServerOptions options;
  options.address = settings.text(section + ".address");
  options.port = static_cast<std::uint16_t>(settings.integer(section + ".port"));
  options.connections = static_cast<std::size_t>(settings.integer("http.connections"));
  options.threads = static_cast<std::size_t>(settings.integer("http.threads"));
  return options;
}

api::StowOptions stow_options(const Settings& settings) {
  const auto number = [&settings](const char* name) {
    return static_cast<std::uint64_t>(settings.integer(name));
  };
  api::StowOptions options;
  options.max_body_bytes = number("stow.max_body_bytes");
  options.max_instance_bytes = number("stow.max_instance_bytes");
  options.max_metadata_bytes = number("stow.max_metadata_bytes");
  options.scratch_directory = spool_directory(settings) / "stow";
  options.max_parts = number("stow.max_parts");
  options.requests = number("stow.requests");
  options.request_timeout = settings.duration("stow.request_timeout_s");
  options.retrieve_url = settings.text("stow.retrieve_url");
  options.accept_unknown_sop_classes = settings.flag("dimse.accept_unknown_sop_classes");
  options.extra_sop_classes = settings.list("dimse.extra_sop_classes");
  return options;
}

class OpenBridge : public Bridge {
 public:
  OpenBridge(Env& env, const Settings& settings)
      : env_(env),
        settings_(settings),
        senders_(configured_senders(settings).policy),
        runner_(env) {}
  ~OpenBridge() override { stop(); }

  Result<void> open(const FileSystem::Path& program_directory) {
    TRY(open_certificates());
    TRY(open_stores(program_directory));
    TRY(read_pauses());
    add_steps();
    TRY(listen());
    return {};
  }

  BridgeAddresses addresses() const override {
    BridgeAddresses addresses;
    if (dimse_) addresses.dimse_port = dimse_->port();
    if (dimse_) addresses.dimse_tls_port = dimse_->tls_port();
    if (gateway_server_) addresses.http_port = gateway_server_->port();
    if (datastore_server_) addresses.datastore_port = datastore_server_->port();
    addresses.datastore_access_key_file =
        (datastore_directory(settings_) / "access_key.json").string();
    return addresses;
  }

  BridgeParts parts() override {
    return {*ledger_, *spool_, *admission_, senders_, *gateway_, control_token_};
  }

  void fail() override {
    if (admission_) admission_->close(AdmissionState::failed);
  }

  void stop() override {
    if (admission_) admission_->close(AdmissionState::stopping);
    if (dimse_) dimse_->stop();
    if (gateway_server_) gateway_server_->stop();
    if (control_server_) control_server_->stop();
    if (datastore_server_) datastore_server_->stop();
    stopping_.store(true);
    housekeeping_wakeup_.notify();
    housekeeping_.join();
    report_desk_.stop();
    runner_.stop();
    if (data_store_) data_store_->stop();
    if (spool_) ignore(spool_->catch_up(), "the next start makes the rows that are missing");
    if (journal_) ignore(journal_->flush(), "whoever wants to send comes again");
    overview_.reset();
    if (ledger_) ledger_->stop();
  }

 private:
  Result<void> open_stores(const FileSystem::Path& program_directory) {
    TRY_ASSIGN(const datastore::AccessKey key, datastore_access_key(env_, settings_));
    datastore::DataStoreOptions options = datastore_options(settings_, program_directory, key);
    if (settings_.flag("datastore.oidc")) {
      identity_provider_ = IdentityProvider::open(env_, settings_, false);
      options.identity_provider = &identity_provider_->verifier();
      options.identity_scope = settings_.text("api.oidc.scope_prefix") + "datastore";
    }
    TRY_ASSIGN(data_store_, datastore::open_data_store(env_, std::move(options)));
    LedgerOptions ledger;
    ledger.directory = ledger_directory(settings_);
    ledger.destinations = settings_.destinations();
    for (const std::string& name : ledger.destinations) {
      if (settings_.text("destinations." + name + ".on_conflict") == "quarantine") {
        ledger.quarantine_conflicts_at.push_back(name);
      }
    }
    TRY_ASSIGN(ledger_, open_sqlite_ledger(env_, ledger));
    overview_ = open_sqlite_overview(ledger_directory(settings_));
    TRY(open_senders());
    TRY(env_.files.create_directories(spool_directory(settings_)));
    AdmissionOptions admission;
    admission.directory = spool_directory(settings_);
    admission.reserve_bytes = static_cast<std::uint64_t>(settings_.integer("spool.reserve_bytes"));
    admission.resume_bytes = static_cast<std::uint64_t>(settings_.integer("spool.resume_bytes"));
    admission.refuse_bytes = static_cast<std::uint64_t>(settings_.integer("spool.refuse_bytes"));
    admission.warn_bytes = static_cast<std::uint64_t>(settings_.integer("spool.warn_bytes"));
    admission_ = std::make_unique<Admission>(env_, admission);
    admission_->refresh();
    TRY(open_spool());
    for (const std::string& name : settings_.destinations()) {
      TRY_ASSIGN(auto destination,
                 make_destination(env_, settings_, name, *data_store_, key, *ledger_));
      destination->scheduler =
          make_destination_scheduler(env_, settings_, *destination->destination);
      destination->preflight = make_destination_preflight(settings_, name);
      destinations_.push_back(std::move(destination));
    }
    data_store_->start();
    return {};
  }

  Result<void> open_spool() {
    const FileSystem::Path directory = spool_directory(settings_);
    if (settings_.text("spool.kind") == "files") {
      TRY(refuse_segments(directory));
      TRY_ASSIGN(spool_, open_file_spool(env_, directory, *ledger_, *admission_));
    } else {
      TRY_ASSIGN(spool_, open_segment_spool(env_, directory, *ledger_, *admission_,
                                            segment_options(settings_)));
    }
    TRY(spool_->recover());
    return {};
  }

  // Segments of earlier days would be left alone with their promises.
  Result<void> refuse_segments(const FileSystem::Path& directory) {
    TRY_ASSIGN(const bool found, env_.files.exists(directory / layout::kSegmentFolder));
    if (!found) return {};
    return permanent_error("spool.segments_left",
                           "spool.kind is files, and the spool has segments: let it be segments "
                           "with spool.segment_max_bytes 0, which takes new instances to files.");
  }

  Result<void> open_senders() {
    journal_ = std::make_unique<SenderJournal>(env_, ledger_->sender_rows());
    senders_.on_refused(
        [this](const SenderRequest& request, SenderRefusal refusal, std::string_view asked) {
          journal_->note(request, refusal, asked);
        });
    env_.metrics.on_collect([this] { journal_->measure(); });
    desk_ = std::make_unique<SenderDesk>(env_, ledger_->sender_rows(), &senders_,
                                         configured_senders(settings_).policy,
                                         settings_.destinations());
    return desk_->load();
  }

  Result<void> read_pauses() {
    TRY_ASSIGN(const auto paused, ledger_->access_rows().paused_destinations());
    for (const std::string& name : paused) {
      pause_board_.pause(name);
      env_.log.warn("destination.paused", {{"destination", name}});
    }
    return {};
  }

  void add_steps() {
    const Backoff backoff{settings_.duration("retry.first_backoff_ms"),
                          settings_.duration("retry.longest_backoff_ms")};
    StagerOptions stager{static_cast<std::size_t>(settings_.integer("staging.uploads")),
                         settings_.integer("staging.attempts"), backoff};
    SubmitterOptions submitter{settings_.integer("import.attempts"), backoff};
    WatcherOptions watcher{settings_.duration("import.first_poll_ms"),
                           settings_.duration("import.longest_poll_ms"),
                           settings_.integer("import.attempts"), backoff};
    const ReconcilerOptions reconciler{settings_.integer("import.account_attempts"),
                                       settings_.duration("import.output_patience_s"), backoff};
    const auto lane_of = stat_lane_rule(settings_, senders_);
    std::vector<Destination*> all;
    for (const auto& made : destinations_) {
      Destination& destination = *made->destination;
      Scheduler* scheduler = made->scheduler.get();
      stager.scheduler = submitter.scheduler = watcher.scheduler = scheduler;
      stager.preflight = made->preflight.get();
      stager.preflight_mode = preflight_mode(settings_, destination.name);
      runner_.add(make_batcher(env_, *ledger_, destination,
                               {settings_.duration("batch.quiet_s"),
                                settings_.duration("batch.max_age_s"), scheduler, lane_of}));
      runner_.add(make_pausable(make_stager(env_, *ledger_, *spool_, destination, stager),
                                pause_board_, made->destination->name));
      runner_.add(make_pausable(make_submitter(env_, *ledger_, destination, submitter),
                                pause_board_, made->destination->name));
      runner_.add(make_watcher(env_, *ledger_, destination, watcher));
      runner_.add(make_reconciler(env_, *ledger_, destination, reconciler));
      all.push_back(&destination);
    }
    metadata_services_ =
        add_metadata_steps(env_, settings_, runner_, *ledger_, pause_board_, destinations_);
    runner_.add(make_sweeper(
        env_, *ledger_, *spool_, all,
        {settings_.duration("spool.retention_s"), settings_.duration("staging.object_retention_s"),
         settings_.duration("sweeper.interval_s")}));
    if (settings_.flag("commitment.enabled")) {
      report_line_ = add_commitment_steps(
          env_, settings_, runner_, ledger_->commitments(), *spool_, *requesters_, report_desk_,
          connect_by_tcp(env_, report_desk_, client_certificates_.get()));
    }
    ledger_->on_change([this] { changed_.store(true, std::memory_order_relaxed); });
    runner_.start();
    housekeeping_ = Thread(env_, "housekeeping", [this] { keep_house(); });
  }

  Result<void> listen() {
    TRY_ASSIGN(control_token_, control_token(env_, settings_));
    TRY_ASSIGN(access_, Access::open(env_, settings_, ledger_->access_rows(), control_token_));
    gateway_ = std::make_unique<api::GuardedRouter>(
        env_, access_->authenticator(), ledger_->access_rows(), guarded_router_options(settings_));
    api::add_gateway_routes(*gateway_, env_, *ledger_, *admission_,
                            {[this] { return reload_certificates(); }});
    api::add_sender_routes(*gateway_, *desk_);
    api::add_metadata_routes(*gateway_, *ledger_->metadata_updates(), metadata_services_);
    if (settings_.flag("stow.enabled")) {
      api::StowOptions stow = stow_options(settings_);
      stow.counts = &sender_counts_;
      stow_ = api::make_stow_receiver(env_, *spool_, *admission_, senders_, stow);
      TRY(stow_->recover());
      stow_->add_routes(*gateway_);
    }
    api::add_rest_routes(*gateway_, {env_, *ledger_, *overview_, *desk_, pause_board_,
                                     configured_senders(settings_).policy.senders, faces(),
                                     *admission_, [this] { return spool_->catch_up(); }});
    if (settings_.flag("commitment.enabled")) {
      api::add_commitment_routes(*gateway_, env_, ledger_->commitments(),
                                 web_commitment_options(settings_));
    }
    api::add_token_routes(*gateway_, access_->tokens(), ledger_->access_rows());
    if (settings_.flag("http.listen")) TRY(listen_to_callers());
    if (settings_.flag("datastore.listen")) {
      http::ServerOptions options = server_options(settings_, "datastore");
      options.body_bytes = std::max(
          options.body_bytes,
          static_cast<std::uint64_t>(settings_.integer("datastore.max_google_store_bytes")));
      TRY_ASSIGN(datastore_server_, http::listen(env_, data_store_->handler(), options));
    }
    if (settings_.flag("dimse.enabled")) {
      if (senders_.mode() == SenderMode::open) {
        env_.log.warn("senders.open", {{"setting", "dimse.admission"}});
      }
      DimseOptions options = dimse_options(settings_);
      options.counts = &sender_counts_;
      if (settings_.flag("commitment.enabled")) {
        commitment_ = std::make_unique<CommitmentMeans>(ledger_->commitments(), *requesters_,
                                                        report_desk_, commitment_limits(settings_));
        options.commitment = commitment_.get();
      }
      options.tls = server_certificates_.get();
      TRY_ASSIGN(dimse_, open_dimse_receiver(env_, *spool_, *admission_, senders_, options));
    }
    return {};
  }

  std::vector<api::DestinationFace> faces() const {
    std::vector<api::DestinationFace> faces = destination_faces(settings_);
    for (api::DestinationFace& face : faces) {
      const auto made = std::ranges::find(destinations_, face.name,
                                          [](const auto& one) { return one->destination->name; });
      if (made != destinations_.end()) face.scheduler = (*made)->scheduler.get();
    }
    return faces;
  }

  Result<void> listen_to_callers() {
    http::ServerOptions options = server_options(settings_, "http");
    if (stow_ != nullptr) {
      options.body_bytes = std::max(options.body_bytes, stow_options(settings_).max_body_bytes);
    }
    options.certificates = http_certificates_.get();
    TRY_ASSIGN(gateway_server_, http::listen(env_, *gateway_, options));
    if (http_certificates_ == nullptr) {
      return keep_control_port(env_, settings_, gateway_server_->port());
    }
    // The command line need not trust our certificate to reach us on the same host.
    options.address = "127.0.0.1";
    options.port = 0;
    options.certificates = nullptr;
    TRY_ASSIGN(control_server_, http::listen(env_, *gateway_, options));
    return keep_control_port(env_, settings_, control_server_->port());
  }

  // One set for the port that we listen on, one for the connections that we open: the same files,
  // checked by the rules of the side that we are on.
  Result<void> open_certificates() {
    if (settings_.flag("http.tls.enabled")) {
      TRY_ASSIGN(http_certificates_,
                 tls::Certificates::open(env_, "http", http_tls_options(settings_)));
    }
    if (!settings_.flag("dimse.tls.enabled")) return {};
    TRY_ASSIGN(
        server_certificates_,
        tls::Certificates::open(env_, "dimse", dimse_tls_options(settings_, tls::Role::server)));
    TRY_ASSIGN(client_certificates_,
               tls::Certificates::open(env_, "dimse_reports",
                                       dimse_tls_options(settings_, tls::Role::client),
                                       server_certificates_.get()));
    return {};
  }

  Result<bool> reload_certificates() {
    bool changed = false;
    for (auto* certificates :
         {server_certificates_.get(), client_certificates_.get(), http_certificates_.get()}) {
      if (certificates == nullptr) continue;
      TRY_ASSIGN(const bool reloaded, certificates->reload());
      changed = changed || reloaded;
    }
    return changed;
  }

  void look_at_certificates() {
    const SteadyTime now = env_.clock.steady_now();
    if (http_certificates_ != nullptr && now >= next_http_certificate_check_) {
      next_http_certificate_check_ = now + settings_.duration("http.tls.check_interval_s");
      http_certificates_->refresh();
    }
    if (server_certificates_ == nullptr || now < next_certificate_check_) return;
    next_certificate_check_ = now + settings_.duration("dimse.tls.check_interval_s");
    server_certificates_->refresh();
    client_certificates_->refresh();
  }

  // Steps are woken a few times a second at most, however many commits there are: a wakeup is only
  // a hint, and intake should not pay for it.
  void keep_house() {
    for (int tick = 0; !stopping_.load(); ++tick) {
      housekeeping_wakeup_.wait_for(kHousekeepingTick);
      if (changed_.exchange(false, std::memory_order_relaxed)) runner_.wake();
      look_at_certificates();
      if (tick % kTicksPerAdmissionRefresh != 0) continue;
      admission_->refresh();
      if (auto flushed = journal_->flush(); !flushed.ok()) {
        env_.log.debug("senders.not_remembered", {{"error", describe(flushed.error())}});
      }
    }
  }

  Env& env_;
  const Settings settings_;
  std::unique_ptr<IdentityProvider> identity_provider_;  // the data store asks it
  std::unique_ptr<datastore::DataStore> data_store_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<Overview> overview_;  // closed before the ledger
  Senders senders_;
  SenderCounts sender_counts_;
  const std::unique_ptr<Requesters> requesters_ = make_requesters(senders_);
  std::unique_ptr<SenderJournal> journal_;
  std::unique_ptr<SenderDesk> desk_;
  std::unique_ptr<Admission> admission_;
  std::unique_ptr<Spool> spool_;
  std::vector<std::unique_ptr<ConfiguredDestination>> destinations_;
  api::MetadataServices metadata_services_;
  std::unique_ptr<tls::Certificates> server_certificates_;
  std::unique_ptr<tls::Certificates> client_certificates_;
  SteadyTime next_certificate_check_{};
  std::unique_ptr<tls::Certificates> http_certificates_;
  SteadyTime next_http_certificate_check_{};
  std::unique_ptr<Access> access_;
  std::string control_token_;
  std::unique_ptr<api::GuardedRouter> gateway_;
  std::unique_ptr<api::StowReceiver> stow_;
  ReportDesk report_desk_;
  std::unique_ptr<ReportLine> report_line_;
  std::unique_ptr<CommitmentMeans> commitment_;
  PauseBoard pause_board_;
  Runner runner_;
  std::unique_ptr<http::Server> gateway_server_;
  std::unique_ptr<http::Server> control_server_;  // only beside TLS
  std::unique_ptr<http::Server> datastore_server_;
  std::unique_ptr<DimseReceiver> dimse_;
  std::atomic<bool> changed_{true};
  std::atomic<bool> stopping_{false};
  Wakeup housekeeping_wakeup_;
  Thread housekeeping_;
};

}  // namespace

Result<std::unique_ptr<Bridge>> open_bridge(Env& env, const Settings& settings,
                                            const FileSystem::Path& program_directory) {
  auto bridge = std::make_unique<OpenBridge>(env, settings);
  TRY(bridge->open(program_directory));
  return std::unique_ptr<Bridge>(std::move(bridge));
}

}  // namespace isthmus::app
