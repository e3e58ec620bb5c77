// Batches, import jobs, and what asks for a person.
#include "api/rest/json.h"

namespace isthmus::api::rest {
namespace {

constexpr std::size_t kAsksMost = 1000;

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
}

}  // namespace isthmus::api::rest
