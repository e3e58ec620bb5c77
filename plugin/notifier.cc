#include "plugin/notifier.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "plugin/answers.h"
#include "plugin/followup.h"

namespace isthmus::plugin {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kMark = "orthanc.notified";
constexpr const char* kReceiver = "orthanc";
constexpr const char* kMetricHelp = "Imported studies that orthanc.notify_url was told of";
constexpr std::size_t kEventsAtOnce = 2'000;
constexpr std::size_t kInstancesOfStudy = 50'000;
constexpr Milliseconds kPatience{10'000};  // with one call
constexpr Milliseconds kFirstWait{500};
constexpr int kLongestDoubling = 10;  // 4 minutes

// Somewhere: what a person discarded at one destination may be imported at another.
bool is_imported(const InstanceView& view) {
  return std::any_of(view.deliveries.begin(), view.deliveries.end(),
                     [](const Delivery& one) { return one.state == DeliveryState::imported; });
}

}  // namespace

Notifier::Notifier(Env& env, Archive& archive, Ledger& ledger, http::Transport& transport,
                   NotifierOptions options)
    : env_(env),
      archive_(archive),
      ledger_(ledger),
      transport_(transport),
      options_(std::move(options)),
      told_(env.metrics.counter("orthanc_notified_total", kMetricHelp, {{"result", "told"}})),
      refused_(
          env.metrics.counter("orthanc_notified_total", kMetricHelp, {{"result", "refused"}})) {}

void Notifier::start() {
  if (stopping_.load() || thread_.joinable() || options_.url.empty()) return;
  thread_ = Thread(env_, "orthanc-notify", [this] {
    while (!stopping_.load()) {
      const Milliseconds wait = run_once();
      if (wait > Milliseconds{0}) wakeup_.wait_for(wait);
    }
  });
}

void Notifier::begin_to_stop() {
  stopping_.store(true);
  wakeup_.notify();
}

void Notifier::stop() {
  begin_to_stop();
  thread_.join();
}

Milliseconds Notifier::run_once() {
  const auto more = announce();
  if (!more.ok()) {
    if (waits_ == 0) {
      env_.log.warn("orthanc.notify_waits",
                    {{"code", more.error().code}, {"error", more.error().message}});
    }
    waits_ = std::min(waits_ + 1, kLongestDoubling);
    return kFirstWait * (1 << (waits_ - 1));
  }
  waits_ = 0;
  return *more ? Milliseconds{0} : options_.poll;
}

Result<bool> Notifier::announce() {
  TRY_ASSIGN(const auto mark, ledger_.receiver_rows().mark(kMark));
  const std::int64_t after = mark ? std::strtoll(mark->c_str(), nullptr, 10) : 0;
  TRY_ASSIGN(const NewsPage page, ledger_.receiver_rows().news(kReceiver, after, kEventsAtOnce));
  std::map<std::string, LastNews> studies;
  for (const DeliveryNews& news : page.news) {
    if (news.state != "imported" && news.state != "discarded") continue;
    studies[news.study_instance_uid.text()] = {news.position, news.at};
  }
  for (const auto& [study, last] : studies) {
    if (stopping_.load()) return false;
    TRY(announce_study(study, last));
  }
  if (page.reached == after) return false;
  TRY(ledger_.receiver_rows().keep_mark(kMark, std::to_string(page.reached)));
  return true;
}

Result<void> Notifier::announce_study(const std::string& study, const LastNews& last) {
  TRY_ASSIGN(const auto held, ledger_.instances(study, kInstancesOfStudy));
  const std::string_view state = state_of(held);
  if (state != "imported" && state != "discarded") return {};  // what comes to rest later tells
  std::set<std::string> image_sets;
  std::size_t imported = 0;
  for (const InstanceView& view : held) {
    imported += is_imported(view) ? 1 : 0;
    for (const Delivery& delivery : view.deliveries) {
      if (!delivery.image_set_id.empty()) image_sets.insert(delivery.image_set_id);
    }
  }
  if (imported == 0) return {};  // a person discarded all of it
  TRY_ASSIGN(const std::string found, archive_.post("/tools/lookup", study));
  TRY_ASSIGN(const auto ids, looked_up_in(found, "Study"));
  const Json body{{"event", "StudyImported"},
                  {"study_instance_uid", study},
                  {"orthanc_study", ids.empty() ? Json() : Json(ids.front())},
                  {"instances", imported},
                  {"image_sets", image_sets},
                  {"at", to_rfc3339(last.at)}};
  return tell(body.dump(), study + "/" + std::to_string(last.position));
}

Result<void> Notifier::tell(const std::string& body, const std::string& key) {
  http::Request request;
  request.method = "POST";
  request.url = options_.url;
  request.headers.set("Content-Type", "application/json");
  request.headers.set("Idempotency-Key", key);
  if (!options_.bearer_token.empty()) {
    request.headers.set("Authorization", "Bearer " + options_.bearer_token);
  }
  request.body = source_of(body);
  request.timeout = kPatience;
  TRY_ASSIGN(const http::Response response, transport_.send(std::move(request)));
  if (response.status >= 200 && response.status < 300) {
    told_.add();
    return {};
  }
  // 408 and 429 are "later"; a redirect is not followed.
  const bool is_final = response.status >= 300 && response.status < 500 && response.status != 408 &&
                        response.status != 429;
  if (!is_final) {
    return transient_error("orthanc.notify_failed", "orthanc.notify_url answered status " +
                                                        std::to_string(response.status) + ".");
  }
  refused_.add();
  env_.log.error("orthanc.notify_refused", {{"status", response.status}});
  return {};
}

}  // namespace isthmus::plugin
