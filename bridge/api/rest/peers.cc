// Who sends, and where instances go.
#include <algorithm>

#include "api/rest/json.h"
#include "ledger/sender_rows.h"

namespace isthmus::api::rest {
namespace {

constexpr std::size_t kCountedBatches = 10'000;  // of each state; more are as many

json sender_json(const Sender& sender, std::string_view standing) {
  json addresses = json::array();
  for (const AddressRange& range : sender.addresses) addresses.push_back(range.text());
  json body{{"name", sender.name},
            {"standing", standing},
            {"calling_ae_titles", sender.calling_ae_titles},
            {"called_ae_titles", sender.called_ae_titles},
            {"addresses", std::move(addresses)}};
  if (sender.destinations) body["destinations"] = *sender.destinations;
  if (sender.report_to) body["report_to"] = sender.report_to->text();
  return body;
}

http::Response senders(const RestParts& parts) {
  const auto words = parts.desk.words();
  if (!words.ok()) return problem(words.error());
  const auto refused = parts.ledger.sender_rows().refused();
  if (!refused.ok()) return problem(refused.error());
  json body{{"items", json::array()}, {"refused", json::array()}};
  for (const Sender& sender : parts.configured_senders) {
    body["items"].push_back(sender_json(sender, "configured"));
  }
  for (const SenderDesk::Word& word : *words) {
    body["items"].push_back(sender_json(word.sender, word.blocked ? "blocked" : "admitted"));
  }
  for (const RefusedSender& one : *refused) {
    body["refused"].push_back({{"calling_ae_title", one.calling_ae_title},
                               {"called_ae_title", one.called_ae_title},
                               {"address", one.peer_address},
                               {"reason", one.reason},
                               {"times", one.times},
                               {"first_at", to_rfc3339(one.first_at)},
                               {"last_at", to_rfc3339(one.last_at)}});
  }
  return json_answer(200, body);
}

double seconds_of(Milliseconds time) {
  return static_cast<double>(time.count()) / 1000.0;
}

json scheduler_json(const SchedulerState& state, std::int64_t jobs_in_flight, WallTime now) {
  json body{{"bucket_circuit", state.bucket_circuit},
            {"import_circuit", state.import_circuit},
            {"until_bucket_probe_s", seconds_of(state.until_bucket_probe)},
            {"until_import_probe_s", seconds_of(state.until_import_probe)},
            {"start_tokens", state.start_tokens},
            {"open_job_slots", std::max<std::int64_t>(state.job_slots - jobs_in_flight, 0)},
            {"starts_per_second", state.starts_per_second},
            {"allowed_starts_per_second", state.allowed_starts_per_second},
            {"job_slots", state.job_slots},
            {"allowed_job_slots", state.allowed_job_slots},
            {"uploads", state.uploads},
            {"allowed_uploads", state.allowed_uploads},
            {"upload_bytes_per_second", state.upload_bytes_per_second},
            {"until_hours_open_s", state.until_hours_open.count() / 1000},
            {"start_interval_s", seconds_of(state.start_interval)}};
  if (state.until_hours_open.count() > 0) {
    body["hours_open_at"] = to_rfc3339(now + state.until_hours_open);
  }
  return body;
}

// Batches whose import was not started yet, and since when the oldest of them is there.
Result<json> queue_json(Ledger& ledger, const std::string& destination, WallTime now) {
  std::int64_t batches = 0, stat_batches = 0;
  WallTime oldest = now, oldest_stat = now;
  for (const BatchState state : {BatchState::open, BatchState::sealed, BatchState::staged}) {
    TRY_ASSIGN(const auto waiting, ledger.batches(destination, state, kCountedBatches));
    for (const Batch& batch : waiting) {
      ++batches;
      oldest = std::min(oldest, batch.opened_at);
      if (batch.lane != Lane::stat) continue;
      ++stat_batches;
      oldest_stat = std::min(oldest_stat, batch.opened_at);
    }
  }
  return json{{"batches", batches},
              {"oldest_age_s", (now - oldest).count() / 1000},
              {"stat_batches", stat_batches},
              {"stat_oldest_age_s", (now - oldest_stat).count() / 1000}};
}

// "out" while a circuit is not closed, "asks_for_person" when something waits for one, else "ok".
std::string health_of(const DestinationFace& face, bool asks) {
  if (face.scheduler != nullptr) {
    const SchedulerState state = face.scheduler->state();
    if (state.bucket_circuit != "closed" || state.import_circuit != "closed") return "out";
  }
  return asks ? "asks_for_person" : "ok";
}

http::Response destinations(const RestParts& parts) {
  const auto counts = parts.ledger.counts();
  if (!counts.ok()) return problem(counts.error());
  const WallTime now = parts.env.clock.wall_now();
  json body{{"items", json::array()}};
  for (const DestinationFace& face : parts.destinations) {
    json item{{"name", face.name},
              {"kind", face.kind},
              {"paused", parts.pause_board.is_paused(face.name)},
              {"states", json::array()}};
    bool asks = false;
    std::int64_t oldest_age_s = 0;
    for (const StateCount& count : *counts) {
      if (count.destination != face.name) continue;
      json state{{"subject", count.subject},
                 {"state", count.state},
                 {"count", count.count},
                 {"asks_for_person", count.asks_for_person}};
      if (count.oldest_since) {
        state["oldest_age_s"] =
            std::max<std::int64_t>(0, (now - *count.oldest_since).count()) / 1000;
      }
      if (count.subject == "delivery" && state.contains("oldest_age_s")) {
        oldest_age_s = std::max(oldest_age_s, state["oldest_age_s"].get<std::int64_t>());
      }
      asks = asks || (count.asks_for_person && count.count > 0);
      item["states"].push_back(std::move(state));
    }
    const auto in_flight = parts.ledger.jobs_in_flight(face.name);
    if (!in_flight.ok()) return problem(in_flight.error());
    item["jobs_in_flight"] = *in_flight;
    item["oldest_age_s"] = oldest_age_s;
    item["health"] = health_of(face, asks);
    auto queue = queue_json(parts.ledger, face.name, now);
    if (!queue.ok()) return problem(queue.error());
    item["queue"] = std::move(*queue);
    if (face.scheduler != nullptr) {
      item["scheduler"] = scheduler_json(face.scheduler->state(), *in_flight, now);
    }
    body["items"].push_back(std::move(item));
  }
  return json_answer(200, body);
}

// The table itself: which calls there are, and what each needs.
http::Response routes(const GuardedRouter& router) {
  json body{{"items", json::array()}};
  for (const GuardedRouter::Entry& route : router.table()) {
    json item{{"method", route.method}, {"path", route.path_template}, {"scope", nullptr}};
    if (route.scope) item["scope"] = to_string(*route.scope);
    body["items"].push_back(std::move(item));
  }
  return json_answer(200, body);
}

}  // namespace

void add_peer_routes(GuardedRouter& router, const RestParts& parts) {
  router.add("GET", "/v1/routes", Scope::read,
             [&router](const Call&) { return http::answer_with(routes(router)); });
  router.add("GET", "/v1/senders", Scope::read,
             [parts](const Call&) { return http::answer_with(senders(parts)); });
  router.add("GET", "/v1/destinations", Scope::read,
             [parts](const Call&) { return http::answer_with(destinations(parts)); });
}

}  // namespace isthmus::api::rest
