// The bridge inside Orthanc: what the entry points hold. One for each OrthancPluginInitialize.
//
// Threads: everything but the constructor and stop() from any thread. Nothing here throws on
// purpose, and nothing ends the process: after a fatal error admission is closed, senders hear
// 0xA700, Orthanc lives on.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "app/bridge.h"
#include "base/metrics.h"
#include "plugin/commitment.h"
#include "plugin/feed.h"
#include "plugin/followup.h"
#include "plugin/import_jobs.h"
#include "plugin/intake_ahead.h"
#include "plugin/notifier.h"
#include "plugin/sdk.h"
#include "plugin/users.h"

namespace isthmus::plugin {

class Plugin {
 public:
  explicit Plugin(OrthancPluginContext* context);
  ~Plugin();

  enum class Opened { yes, stays_out, failed };
  // Reads the section "Isthmus" and opens the bridge. Problems of the configuration go to Orthanc's
  // log, one line each. stays_out: there is no such section.
  Opened open();
  // Synchronous, safe twice, safe before open().
  void stop();

  // One atomic read: Orthanc holds a lock of its own around the C-STORE filter
  // (OrthancCPlugin.h, OrthancPluginIncomingCStoreInstanceFilter), so no I/O and no Orthanc calls.
  bool takes_instances() const;

  // Orthanc is about to store it, in this thread: our part may begin. Orthanc holds its global lock
  // here (FilterIncomingInstance, OrthancPlugins.cpp 1.10.1): no more than a copy of the bytes.
  void arriving(const OrthancPluginDicomInstance* instance);

  // The durable receiver: when it returns true, the instance would survive a power cut on our side.
  // False is no loss: Orthanc keeps the instance (it ignores what the callback says), and the
  // repair fetches it.
  bool stored(const OrthancPluginDicomInstance* instance, const char* instance_id);

  // Orthanc has started, and answers its REST API; it is about to stop. Neither waits.
  void orthanc_started();
  void orthanc_stops();

  // A storage commitment request that Orthanc received; nothing before open().
  std::unique_ptr<CommitmentHandler> commitment(const std::string& calling_ae_title);

  OrthancPluginErrorCode serve(OrthancPluginRestOutput* output, const char* url,
                               const OrthancPluginHttpRequest* request);

 private:
  void on_fatal(const Error& error);
  OrthancPluginErrorCode handle(OrthancPluginRestOutput* output, const char* url,
                                const OrthancPluginHttpRequest* request);
  // Of our own two routes beside the handlers'. "api.forbidden" without the scope read.
  Result<std::string> own_answer(std::string_view url, const OrthancPluginHttpRequest& request,
                                 const api::Caller& caller);
  // 403 for "api.forbidden", 404 for "ledger.not_found", 503 for other errors.
  OrthancPluginErrorCode send_json(OrthancPluginRestOutput* output,
                                   const Result<std::string>& body);
  void make_feed(const app::Settings& settings);
  void make_followup(const app::Settings& settings);
  void make_notifier(const app::Settings& settings);
  void make_users(const app::Settings& settings, bool are_checked);
  void make_jobs(const app::Settings& settings);
  // What /isthmus/orthanc shows: how far the repair is, what asks for a person.
  Result<std::string> status_json() const;
  ByteSpan file_of(const OrthancPluginDicomInstance* instance) const;
  Origin origin_of(const OrthancPluginDicomInstance* instance) const;

  OrthancPluginContext* const context_;
  SdkLog log_;
  const std::unique_ptr<Metrics> metrics_ = make_metrics();
  Env env_;
  std::atomic<bool> failed_{false};
  // Handlers run here: Orthanc's HTTP threads have a stack of about 100 KB (civetweb), and ours ask
  // the embedded data store on their own.
  WorkerPool handlers_{env_, "orthanc-http", /*threads=*/8, /*queue_limit=*/64};
  std::unique_ptr<app::Bridge> bridge_;
  // The bridge once it may be used by any thread; it stays where it is until the destructor. open()
  // writes it and then reads failed_, on_fatal() writes that and then reads it: in one order for
  // all threads, or neither would see the other.
  std::atomic<app::Bridge*> in_use_{nullptr};
  std::optional<app::BridgeParts> parts_;
  CommitmentLevels levels_;
  Milliseconds commitment_wait_{0};
  std::atomic<bool> stopping_{false};
  SdkArchive archive_;
  SdkJobBoard job_board_;
  std::unique_ptr<Feed> feed_;
  std::unique_ptr<Followup> followup_;
  std::unique_ptr<http::Transport> notify_transport_;
  std::unique_ptr<Notifier> notifier_;
  std::unique_ptr<ImportJobs> jobs_;
  std::unique_ptr<IntakeAhead> ahead_;
  std::optional<Users> users_;
};

}  // namespace isthmus::plugin
