#include "api/gateway.h"

#include <nlohmann/json.hpp>

#include "api/problem.h"
#include "ledger/commitments.h"

namespace isthmus::api {
namespace {

using http::Response;
using nlohmann::json;

constexpr std::uint64_t kOrderBytes = 64 * KiB;

Response health(const Admission& admission) {
  if (admission.state() == AdmissionState::failed) {
    return http::text_response(503, "text/plain", "failed\n");
  }
  return http::text_response(200, "text/plain", "ok\n");
}

Response readiness(Ledger& ledger, const Admission& admission) {
  json body{{"admission", to_string(admission.state())},
            {"free_bytes", admission.free_bytes()},
            {"available_bytes", admission.available_bytes()},
            {"in_flight_bytes", admission.in_flight_bytes()},
            {"time_to_full_s", nullptr}};
  if (const auto left = admission.time_to_full()) body["time_to_full_s"] = left->count() / 1000;
  const auto counts = ledger.counts();
  body["ledger"] = counts.ok() ? "ok" : counts.error().code;
  body["ready"] = counts.ok() && admission.takes_associations();
  return json_answer(body["ready"].get<bool>() ? 200 : 503, body);
}

// A control call: the text under `key`, and what it orders; the answer says how many rows it moved.
Response carry_out(const std::string& body, const char* key, const char* what,
                   const std::function<Result<std::int64_t>(const std::string&)>& order) {
  const json request = json::parse(body, nullptr, false);
  if (!request.is_object() || !request.contains(key) || !request[key].is_string()) {
    return problem(400, permanent_error("api.bad_request", std::string("The body must be {\"") +
                                                               key + "\": \"<" + what + ">\"}."));
  }
  const auto moved = order(request[key].get<std::string>());
  if (!moved.ok()) return problem(moved.error());
  return json_answer(200, json{{"moved", *moved}});
}

Response reload_certificates(const GatewayOptions& options) {
  if (!options.reload_certificates) return json_answer(200, json{{"changed", false}});
  const auto changed = options.reload_certificates();
  if (!changed.ok()) return problem(409, changed.error());
  return json_answer(200, json{{"changed", *changed}});
}

// Every state has a count and an oldest age, none missing: zero is a value.
void refresh_state_gauges(Env& env, Ledger& ledger) {
  const auto counts = ledger.counts();
  env.metrics.gauge("ledger_readable", "1 when the ledger answers.").set(counts.ok());
  if (!counts.ok()) return;
  double asking = 0;
  for (const StateCount& count : *counts) {
    const MetricLabels labels{
        {"subject", count.subject}, {"destination", count.destination}, {"state", count.state}};
    env.metrics.gauge("state_count", "Rows in a state.", labels)
        .set(static_cast<double>(count.count));
    const auto age =
        count.oldest_since ? env.clock.wall_now() - *count.oldest_since : Milliseconds(0);
    env.metrics.gauge("state_oldest_age_seconds", "Longest time a row has been in a state.", labels)
        .set(static_cast<double>(age.count()) / 1000.0);
    if (count.asks_for_person) asking += static_cast<double>(count.count);
  }
  env.metrics.gauge("asks_for_person_count", "Rows that wait for a person.").set(asking);
}

http::Response discard_what(Ledger& ledger, const std::string& body, const std::string& caller) {
  const json order = json::parse(body, nullptr, false);
  if (!order.is_object() || !order.contains("what") || !order["what"].is_string()) {
    return problem(permanent_error(
        "api.bad_request", R"(The body must be {"what": "<uid or id>", "reason": "<why>"}.)"));
  }
  return discard(ledger, order["what"].get<std::string>(), order, caller);
}

}  // namespace

http::Response discard(Ledger& ledger, const std::string& uid_or_id, const json& order,
                       const std::string& caller) {
  if (!order.is_object() || !order.contains("reason") || !order["reason"].is_string() ||
      order["reason"].get<std::string>().empty()) {
    return problem(permanent_error("api.bad_request",
                                   R"(The body must have a "reason": what is discarded is kept )"
                                   "with it."));
  }
  const auto moved = ledger.order_discard(
      uid_or_id, order["reason"].get<std::string>() + " (ordered by " + caller + ")");
  if (!moved.ok()) return problem(moved.error());
  return json_answer(200, json{{"moved", *moved}});
}

void add_gateway_routes(GuardedRouter& router, Env& env, Ledger& ledger, Admission& admission,
                        GatewayOptions options) {
  env.metrics.on_collect([&env, &ledger] { refresh_state_gauges(env, ledger); });
  router.add_open("/healthz", [&admission] { return health(admission); });
  router.add_open("/readyz", [&ledger, &admission] { return readiness(ledger, admission); });
  router.add("GET", "/metrics", Scope::read, [&env](const Call&) {
    return http::answer_with(
        http::text_response(200, "text/plain; version=0.0.4", env.metrics.text()));
  });
  const auto add_order = [&router](const char* path, const char* key, const char* what,
                                   std::function<Result<std::int64_t>(const std::string&)> order) {
    router.add("POST", path, Scope::operate, [=](const Call&) {
      return http::gather(
          kOrderBytes, [=](const std::string& body) { return carry_out(body, key, what, order); });
    });
  };
  add_order("/control/retry", "what", "uid, id or all",
            [&ledger](const std::string& what) { return ledger.order_retry(what); });
  add_order("/control/resend", "transaction", "Transaction UID",
            [&ledger](const std::string& uid) { return ledger.commitments().order_resend(uid); });
  router.add("POST", "/control/discard", Scope::operate, [&ledger](const Call& call) {
    return http::gather(kOrderBytes, [&ledger, caller = call.caller.name](const std::string& body) {
      return discard_what(ledger, body, caller);
    });
  });
  router.add("POST", "/control/reload", Scope::admin, [options](const Call&) {
    return http::gather(kOrderBytes,
                        [options](const std::string&) { return reload_certificates(options); });
  });
}

}  // namespace isthmus::api
