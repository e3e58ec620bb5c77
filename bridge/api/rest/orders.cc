// What people order: try again, discard, and let a destination rest.
#include "api/gateway.h"
#include "api/rest/json.h"

namespace isthmus::api::rest {
namespace {

constexpr std::uint64_t kBodyBytes = 64 * KiB;

http::Response retry(const RestParts& parts, const std::string& uid_or_id) {
  const auto moved = parts.ledger.order_retry(uid_or_id);
  if (!moved.ok()) return problem(moved.error());
  return json_answer(200, json{{"moved", *moved}});
}

// The ledger first: what is said here holds after a restart.
http::Response pause(const RestParts& parts, const std::string& name, bool paused) {
  if (find_destination(parts, name) == nullptr) {
    return problem(permanent_error("ledger.not_found", "There is no such destination."));
  }
  AccessRows& rows = parts.ledger.access_rows();
  const auto kept = paused ? rows.pause_destination(name) : rows.resume_destination(name);
  if (!kept.ok()) return problem(kept.error());
  if (paused) {
    parts.pause_board.pause(name);
  } else {
    parts.pause_board.resume(name);
  }
  parts.env.log.info(paused ? "destination.paused" : "destination.resumed",
                     {{"destination", name}});
  return json_answer(200, json{{"name", name}, {"paused", paused}});
}

}  // namespace

void add_order_routes(GuardedRouter& router, const RestParts& parts) {
  const auto add_retry = [&](const char* path, const char* parameter) {
    router.add("POST", path, Scope::operate, [parts, parameter](const Call& call) {
      // "all" is a name of many rows; by this path one is meant.
      const std::string what = call.path.at(parameter);
      return http::gather(kBodyBytes, [parts, what](const std::string&) {
        if (what == "all") {
          return problem(
              permanent_error("ledger.not_found", "Nothing is known by this UID or id."));
        }
        return retry(parts, what);
      });
    });
  };
  add_retry("/v1/studies/{study}/retry", "study");
  add_retry("/v1/batches/{id}/retry", "id");
  add_retry("/v1/deliveries/{id}/retry", "id");
  const auto add_discard = [&](const char* path, const char* parameter) {
    router.add("POST", path, Scope::operate, [parts, parameter](const Call& call) {
      return http::gather(kBodyBytes, [parts, what = call.path.at(parameter),
                                       caller = call.caller.name](const std::string& body) {
        return discard(parts.ledger, what, json::parse(body, nullptr, false), caller);
      });
    });
  };
  add_discard("/v1/studies/{study}/discard", "study");
  add_discard("/v1/deliveries/{id}/discard", "id");
  const auto add_switch = [&](const char* path, bool paused) {
    router.add("POST", path, Scope::operate, [parts, paused](const Call& call) {
      return http::gather(kBodyBytes,
                          [parts, paused, name = call.path.at("name")](const std::string&) {
                            return pause(parts, name, paused);
                          });
    });
  };
  add_switch("/v1/destinations/{name}/pause", true);
  add_switch("/v1/destinations/{name}/resume", false);
}

}  // namespace isthmus::api::rest
