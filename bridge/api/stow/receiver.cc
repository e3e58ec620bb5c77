#include <mutex>

#include "api/problem.h"
#include "api/stow.h"
#include "api/stow/commit_ahead.h"
#include "api/stow/exchange.h"
#include "api/stow/scratch.h"
#include "base/log_limit.h"

namespace isthmus::api {
namespace {

using namespace stow;

constexpr const char* kRetryAfterSeconds = "30";

int status_for(const Error& error) {
  return error.code.starts_with("sender.") ? 403 : api::status_of(error);
}

class Receiver : public StowReceiver {
 public:
  Receiver(Env& env, Spool& spool, Admission& admission, Senders& senders, StowOptions options)
      : core_{env, spool, admission, senders, options,
              SenderShares(env, senders, options.requests, options.counts),
              env.metrics.gauge("stow_requests_open", "Store requests being worked on."),
              env.metrics.histogram("stow_request_seconds",
                                    "From the head of a Store request to its answer."),
              // A commit that finds no thread is its request's own work.
              WorkerPool(env, "stow", kCommitThreads, kCommitThreads)} {}

  Result<void> recover() override {
    return Scratch::sweep(core_.env, core_.options.scratch_directory);
  }

  void add_routes(GuardedRouter& router) override {
    const auto action = [this](const Call& call) {
      const auto study = call.path.find("study");
      return open(call, study == call.path.end() ? std::string() : study->second);
    };
    router.add("POST", "/dicom-web/studies", Scope::store, action);
    router.add("POST", "/dicom-web/studies/{study}", Scope::store, action);
  }

 private:
  std::unique_ptr<http::Exchange> open(const Call& call, const std::string& study) {
    auto admitted = admit(call, study);
    if (admitted.ok()) return std::move(admitted).value();
    return http::answer_with(refuse(admitted.error()));
  }

  // From the cheapest question to the one that takes a place.
  Result<std::unique_ptr<http::Exchange>> admit(const Call& call, const std::string& study) {
    const http::Head& head = call.head;
    Asking asking;
    SenderRequest asked;
    asked.peer_address = head.peer_address;
    asked.has_called_ae_title = false;
    asked.calling_ae_title = call.caller.name;
    SenderDecision decision = core_.senders.admit(asked);
    if (!decision.admitted()) {
      core_.senders.refused(asked, decision.refusal, "STOW-RS");
      return permanent_error("sender." + std::string(to_string(decision.refusal)),
                             "This caller may not store here: an operator admits it.");
    }
    TRY_ASSIGN(asking.plan, plan_of(head, study));
    if (head.content_length.value_or(0) > core_.options.max_body_bytes) {
      return permanent_error("api.too_large", "The body is larger than allowed here.");
    }
    TRY(core_.admission.check());
    if (!core_.admission.takes_associations()) {
      return transient_error("spool.full", "The spool's disk is nearly full: send it later.");
    }
    auto share = core_.shares.open(decision.sender, asked);
    if (share.refusal != ShareRefusal::none) {
      return transient_error("stow.too_many_requests",
                             "As many requests as there may be are being worked on.");
    }
    asking.sender = std::move(decision.sender);
    asking.origin.receiver = "stow";
    asking.origin.calling_ae_title = asked.calling_ae_title;
    asking.origin.peer_address = head.peer_address;
    asking.origin.association_id = make_id_text(core_.env);
    return std::unique_ptr<http::Exchange>(
        std::make_unique<StowExchange>(core_, std::move(asking), std::move(share.place)));
  }

  http::Response refuse(const Error& error) {
    const int status = status_for(error);
    log_refusal(status, error);
    core_.env.metrics
        .counter("stow_requests_total", "Store requests answered, by status",
                 {{"status", std::to_string(status)}})
        .add();
    http::Response response = problem(status, error);
    if (status == 503) response.headers.set("Retry-After", kRetryAfterSeconds);
    // RFC 9110 section 15.5.16: it may have been the coding.
    if (status == 415) response.headers.set("Accept-Encoding", "gzip");
    return response;
  }

  // Whoever is refused again and again does not fill the disk with lines.
  void log_refusal(int status, const Error& error) {
    std::optional<std::uint64_t> omitted;
    {
      const std::lock_guard lock(log_mutex_);
      omitted = log_limit_.admit(core_.env.clock.steady_now());
    }
    if (!omitted) return;
    core_.env.log.warn(
        "stow.refused",
        {{"status", status}, {"error", describe(error)}, {"omitted_before", *omitted}});
  }

  Core core_;
  std::mutex log_mutex_;
  LogLimit log_limit_;
};

}  // namespace

std::unique_ptr<StowReceiver> make_stow_receiver(Env& env, Spool& spool, Admission& admission,
                                                 Senders& senders, StowOptions options) {
  return std::make_unique<Receiver>(env, spool, admission, senders, std::move(options));
}

}  // namespace isthmus::api
