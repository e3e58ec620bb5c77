// Draining: no new instances are taken, what is under way goes to its end, and it is said when that
// is reached. What asks for a person keeps nobody waiting: it would wait for ever.
#include "api/rest/json.h"

namespace isthmus::api::rest {
namespace {

constexpr std::uint64_t kBodyBytes = 4 * KiB;

// Commitments wait for instances that may never come, days long; they go on after a restart.
bool is_on_way(const StateCount& count) {
  return count.count > 0 && count.oldest_since && !count.asks_for_person &&
         count.subject != "commitment";
}

Result<json> on_way(const RestParts& parts) {
  TRY_ASSIGN(const auto counts, parts.ledger.counts());
  json items = json::array();
  for (const StateCount& count : counts) {
    if (!is_on_way(count)) continue;
    items.push_back({{"subject", count.subject},
                     {"destination", count.destination},
                     {"state", count.state},
                     {"count", count.count},
                     {"paused", parts.pause_board.is_paused(count.destination)}});
  }
  return items;
}

// In this order: a row follows its answer, so what is not received any more is in the ledger then.
Result<http::Response> status(const RestParts& parts) {
  const bool draining = parts.admission.is_draining();
  const std::int64_t receiving = parts.admission.in_flight_bytes();
  if (draining && receiving == 0) TRY(parts.catch_up());
  TRY_ASSIGN(json items, on_way(parts));
  const bool done = draining && receiving == 0 && items.empty();
  return json_answer(200, json{{"draining", draining},
                               {"done", done},
                               {"receiving_bytes", receiving},
                               {"on_way", std::move(items)}});
}

http::Response answer(Result<http::Response> response) {
  return response.ok() ? std::move(response).value() : problem(response.error());
}

http::Response order(const RestParts& parts, const std::string& body) {
  const json wanted = json::parse(body, nullptr, false);
  if (!wanted.is_object() || !wanted.contains("draining") || !wanted["draining"].is_boolean()) {
    return problem(
        permanent_error("api.bad_request", R"(The body must be {"draining": true} or false.)"));
  }
  parts.admission.drain(wanted["draining"].get<bool>());
  return answer(status(parts));
}

}  // namespace

void add_drain_routes(GuardedRouter& router, const RestParts& parts) {
  router.add("GET", "/v1/drain", Scope::read,
             [parts](const Call&) { return http::answer_with(answer(status(parts))); });
  router.add("POST", "/v1/drain", Scope::operate, [parts](const Call&) {
    return http::gather(kBodyBytes,
                        [parts](const std::string& body) { return order(parts, body); });
  });
}

}  // namespace isthmus::api::rest
