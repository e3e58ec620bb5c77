#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "api/guarded_router.h"
#include "api/problem.h"
#include "api/query.h"
#include "api/token_book.h"

namespace isthmus::api {
namespace {

using nlohmann::json;

constexpr std::uint64_t kBodyBytes = 64 * KiB;
constexpr std::int64_t kLongestLife_s = 10LL * 366 * 86400;
constexpr std::size_t kAuditDefault = 100;
constexpr std::size_t kAuditMost = 1000;

json token_json(const TokenRow& row) {
  json body{{"id", row.id},
            {"name", row.name},
            {"scopes", row.scopes},
            {"created_at", to_rfc3339(row.created_at)}};
  if (row.expires_at) body["expires_at"] = to_rfc3339(*row.expires_at);
  if (row.revoked_at) body["revoked_at"] = to_rfc3339(*row.revoked_at);
  return body;
}

http::Response list(TokenBook& book) {
  const auto rows = book.list();
  if (!rows.ok()) return problem(rows.error());
  json items = json::array();
  for (const TokenRow& row : *rows) items.push_back(token_json(row));
  return json_answer(200, {{"items", std::move(items)}});
}

Error bad_token(const char* why) {
  return permanent_error("api.bad_request", why);
}

http::Response add(TokenBook& book, const std::string& text) {
  const json body = json::parse(text, nullptr, false);
  if (!body.is_object() || !body.contains("name") || !body["name"].is_string() ||
      !body.contains("scopes") || !body["scopes"].is_array()) {
    return problem(bad_token("A token has a name and a list of scopes."));
  }
  std::string words;
  for (const json& scope : body["scopes"]) {
    if (!scope.is_string()) return problem(bad_token("A scope is a text."));
    words += scope.get<std::string>() + " ";
  }
  const auto scopes = Scopes::parse(words);
  if (!scopes.ok()) return problem(scopes.error());
  std::optional<Milliseconds> lifetime;
  if (body.contains("expires_in_s") && !body["expires_in_s"].is_null()) {
    const json& seconds = body["expires_in_s"];
    if (!seconds.is_number_integer() || seconds.get<std::int64_t>() <= 0 ||
        seconds.get<std::int64_t>() > kLongestLife_s) {
      return problem(bad_token("expires_in_s is a number of seconds, ten years at most."));
    }
    lifetime = Milliseconds(1000 * seconds.get<std::int64_t>());
  }
  const auto issued = book.issue(body["name"].get<std::string>(), *scopes, lifetime);
  if (!issued.ok()) return problem(issued.error());
  json answer = token_json(issued->row);
  answer["token"] = issued->token;
  return json_answer(201, answer);
}

http::Response revoke(TokenBook& book, const std::string& id_or_name) {
  const auto revoked = book.revoke(id_or_name);
  if (!revoked.ok()) return problem(revoked.error());
  return json_answer(200, json{{"revoked", true}});
}

http::Response audit(AccessRows& rows, const http::Head& head) {
  const Query query(head);
  const auto before = query.integer("before", 0, 0, INT64_MAX);
  const auto limit = query.integer("limit", kAuditDefault, 1, kAuditMost);
  if (const auto bad = query.problem({"before", "limit"})) return problem(*bad);
  const auto entries = rows.audit(before, static_cast<std::size_t>(limit));
  if (!entries.ok()) return problem(entries.error());
  json items = json::array();
  for (const AuditEntry& entry : *entries) {
    items.push_back({{"seq", entry.seq},
                     {"at", to_rfc3339(entry.at)},
                     {"call_id", entry.call_id},
                     {"caller", entry.caller},
                     {"authentication", entry.authentication},
                     {"address", entry.address},
                     {"action", entry.action},
                     {"subject", entry.subject},
                     {"status", entry.status}});
  }
  json answer{{"items", std::move(items)}};
  if (entries->size() == static_cast<std::size_t>(limit)) {
    answer["next_before"] = entries->back().seq;
  }
  return json_answer(200, answer);
}

}  // namespace

void add_token_routes(GuardedRouter& router, TokenBook& book, AccessRows& rows) {
  router.add("GET", "/v1/tokens", Scope::admin,
             [&book](const Call&) { return http::answer_with(list(book)); });
  router.add("POST", "/v1/tokens", Scope::admin, [&book](const Call&) {
    return http::gather(kBodyBytes, [&book](const std::string& body) { return add(book, body); });
  });
  router.add("POST", "/v1/tokens/{id}/revoke", Scope::admin, [&book](const Call& call) {
    return http::gather(kBodyBytes, [&book, id = call.path.at("id")](const std::string&) {
      return revoke(book, id);
    });
  });
  router.add("GET", "/v1/audit", Scope::admin,
             [&rows](const Call& call) { return http::answer_with(audit(rows, call.head)); });
}

}  // namespace isthmus::api
