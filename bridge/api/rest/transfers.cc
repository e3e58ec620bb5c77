// Batches, import jobs, what asks for a person, and the stream of events.
#include <limits>

#include "api/rest/json.h"

namespace isthmus::api::rest {
namespace {

constexpr std::size_t kAsksMost = 1000;
constexpr std::size_t kEventsMost = 500;
// How soon a browser comes back for more (HTML, server-sent events, "retry").
constexpr int kRetry_ms = 1000;

http::Response batches(const RestParts& parts, const http::Head& head) {
  const Query query(head);
  const PageAsked asked = page_asked(query);
  std::optional<BatchState> state;
  if (const auto word = query.text("state")) {
    state = batch_state_from(*word);
    if (!state) return problem(permanent_error("api.bad_query", "state is one of a batch."));
  }
  if (const auto bad = query.problem({"state", "destination", "cursor", "limit"})) {
    return problem(*bad);
  }
  return page_answer(parts.overview.batches(query.text("destination").value_or(""), state,
                                            asked.before, asked.limit),
                     batch_json);
}

http::Response import_jobs(const RestParts& parts, const http::Head& head) {
  const Query query(head);
  const PageAsked asked = page_asked(query);
  std::optional<ImportJobState> state;
  if (const auto word = query.text("state")) {
    state = import_job_state_from(*word);
    if (!state) return problem(permanent_error("api.bad_query", "state is one of an import job."));
  }
  if (const auto bad = query.problem({"state", "destination", "cursor", "limit"})) {
    return problem(*bad);
  }
  return page_answer(parts.overview.import_jobs(query.text("destination").value_or(""), state,
                                                asked.before, asked.limit),
                     [&](const ImportJob& job) { return import_job_json(job, parts); });
}

http::Response batch(const RestParts& parts, const std::string& text) {
  const auto id = BatchId::parse(text);
  if (!id) return problem(permanent_error("ledger.not_found", "There is no such batch."));
  const auto view = parts.overview.batch(*id);
  return view.ok() ? json_answer(200, batch_json(*view)) : problem(view.error());
}

http::Response import_job(const RestParts& parts, const std::string& text) {
  const auto id = ImportJobId::parse(text);
  if (!id) return problem(permanent_error("ledger.not_found", "There is no such import job."));
  const auto job = parts.overview.import_job(*id);
  return job.ok() ? json_answer(200, import_job_json(*job, parts)) : problem(job.error());
}

http::Response quarantine(const RestParts& parts) {
  const auto asks = parts.ledger.asks(kAsksMost);
  if (!asks.ok()) return problem(asks.error());
  json body{{"items", json::array()}};
  for (const Ask& ask : *asks) {
    body["items"].push_back({{"subject", ask.subject},
                             {"id", ask.subject_id},
                             {"destination", ask.destination},
                             {"state", ask.state},
                             {"since", to_rfc3339(ask.since)},
                             {"reason", {{"code", ask.reason_code}, {"message", ask.reason}}}});
  }
  return json_answer(200, body);
}

// What happened since an event, as server-sent events. The answer ends with what there is; whoever
// listens comes back after a second with Last-Event-ID, as every EventSource does by itself. So no
// listener holds a thread, and none misses an event: they are read from history.
http::Response events(const RestParts& parts, const http::Head& head) {
  const Query query(head);
  const auto most = std::numeric_limits<std::int64_t>::max();
  std::int64_t after = query.integer("after", -1, 0, most);
  if (const auto bad = query.problem({"after"})) return problem(*bad);
  if (const auto last = head.headers.find("Last-Event-ID")) {
    http::Head as_query;
    as_query.target = "/?after=" + std::string(*last);
    const Query given(as_query);
    after = given.integer("after", -1, 0, most);
    if (given.problem({"after"})) after = -1;
  }
  std::string text = "retry: " + std::to_string(kRetry_ms) + "\n\n";
  if (after < 0) {
    const auto newest = parts.overview.newest_event();
    if (!newest.ok()) return problem(newest.error());
    text += "id: " + std::to_string(*newest) + "\nevent: begin\ndata: {}\n\n";
  } else {
    const auto happened = parts.overview.events(after, kEventsMost);
    if (!happened.ok()) return problem(happened.error());
    for (const Event& event : *happened) {
      text += "id: " + std::to_string(event.seq) + "\nevent: " + event.entry.subject +
              "\ndata: " + history_json(event.entry).dump() + "\n\n";
    }
  }
  return http::text_response(200, "text/event-stream", std::move(text));
}

}  // namespace

void add_transfer_routes(GuardedRouter& router, const RestParts& parts) {
  router.add("GET", "/v1/batches", Scope::read,
             [parts](const Call& call) { return http::answer_with(batches(parts, call.head)); });
  router.add("GET", "/v1/batches/{id}", Scope::read, [parts](const Call& call) {
    return http::answer_with(batch(parts, call.path.at("id")));
  });
  router.add("GET", "/v1/import-jobs", Scope::read, [parts](const Call& call) {
    return http::answer_with(import_jobs(parts, call.head));
  });
  router.add("GET", "/v1/import-jobs/{id}", Scope::read, [parts](const Call& call) {
    return http::answer_with(import_job(parts, call.path.at("id")));
  });
  router.add("GET", "/v1/quarantine", Scope::read,
             [parts](const Call&) { return http::answer_with(quarantine(parts)); });
  router.add("GET", "/v1/events", Scope::read,
             [parts](const Call& call) { return http::answer_with(events(parts, call.head)); });
}

}  // namespace isthmus::api::rest
