#include "app/token_commands.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "api/token_book.h"
#include "app/command_line.h"

namespace isthmus::app {
namespace {

using nlohmann::ordered_json;

// Without the daemon the command does what a call would: the audit log has it, before and after.
template <typename Act>
Result<std::string> in_ledger(const Invocation& invocation, Ledger& ledger, std::string action,
                              std::string subject, Act act) {
  AccessRows& rows = ledger.access_rows();
  AuditEntry entry;
  entry.at = invocation.env.clock.wall_now();
  entry.call_id = make_id_text(invocation.env);
  entry.caller = "command line";
  entry.authentication = to_string(api::Authentication::local);
  entry.action = std::move(action);
  entry.subject = std::move(subject);
  TRY(rows.append(entry));
  api::TokenBook book(invocation.env, rows);
  TRY(book.load());
  Result<std::string> done = act(book);
  entry.status = done.ok() ? 200 : 409;
  entry.at = invocation.env.clock.wall_now();
  TRY(rows.append(entry));
  return done;
}

Result<std::string> issue(api::TokenBook& book, const TokenWishes& wishes) {
  TRY_ASSIGN(const api::Scopes scopes,
             api::Scopes::parse(fmt::format("{}", fmt::join(wishes.scopes, " "))));
  std::optional<Milliseconds> lifetime;
  if (wishes.expires_in_days > 0) lifetime = std::chrono::hours(24 * wishes.expires_in_days);
  TRY_ASSIGN(const api::TokenBook::Issued issued, book.issue(wishes.name, scopes, lifetime));
  ordered_json body{{"id", issued.row.id},
                    {"name", issued.row.name},
                    {"scopes", issued.row.scopes},
                    {"token", issued.token}};
  if (issued.row.expires_at) body["expires_at"] = to_rfc3339(*issued.row.expires_at);
  return body.dump();
}

std::string request_text(const TokenWishes& wishes) {
  ordered_json body{{"name", wishes.name}, {"scopes", wishes.scopes}};
  if (wishes.expires_in_days > 0) body["expires_in_s"] = wishes.expires_in_days * 86400;
  return body.dump();
}

template <typename Act>
Result<std::string> carry_out(const Invocation& invocation, const Settings& settings,
                              const std::string& path, const std::string& body,
                              const std::string& action, const std::string& subject, Act act) {
  const auto ledger = open_ledger(invocation, settings, false);
  if (ledger.ok()) {
    auto done = in_ledger(invocation, **ledger, action, subject, act);
    (*ledger)->stop();
    return done;
  }
  if (ledger.error().code != "ledger.locked") return ledger.error();
  return call_daemon(invocation.env, settings, path, body);
}

std::string standing_of(const TokenRow& row, WallTime now) {
  if (row.revoked_at) return "revoked " + to_rfc3339(*row.revoked_at);
  if (row.expires_at && *row.expires_at <= now) return "expired " + to_rfc3339(*row.expires_at);
  return row.expires_at ? "until " + to_rfc3339(*row.expires_at) : "in force";
}

}  // namespace

int add_token(const Invocation& invocation, const TokenWishes& wishes, bool json) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  const auto done =
      carry_out(invocation, *settings, "/v1/tokens", request_text(wishes), "isthmus token add", "",
                [&](api::TokenBook& book) { return issue(book, wishes); });
  if (!done.ok()) return failed(done.error());
  if (json) {
    say(*done);
    return kWell;
  }
  const auto body = ordered_json::parse(*done, nullptr, false);
  if (!body.is_object() || !body.contains("token")) {
    return failed(permanent_error("control.refused", "The daemon's answer makes no sense."));
  }
  say(body["token"].get<std::string>());
  complain("This is the only time that the token is shown.");
  return kWell;
}

int revoke_token(const Invocation& invocation, const std::string& id_or_name) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  const auto done = carry_out(
      invocation, *settings, "/v1/tokens/" + http::percent_encode(id_or_name, false) + "/revoke",
      "{}", "isthmus token revoke", id_or_name, [&](api::TokenBook& book) -> Result<std::string> {
        TRY(book.revoke(id_or_name));
        return std::string();
      });
  if (!done.ok()) {
    complain(describe(done.error()));
    return kWrong;
  }
  say(id_or_name + " is revoked");
  return kWell;
}

int list_tokens(const Invocation& invocation, bool json) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  const auto ledger = open_ledger(invocation, *settings, true);
  if (!ledger.ok()) return failed(ledger.error());
  const auto rows = (*ledger)->access_rows().tokens();
  if (!rows.ok()) return failed(rows.error());
  const WallTime now = invocation.env.clock.wall_now();
  for (const TokenRow& row : *rows) {
    if (json) {
      say(ordered_json{{"id", row.id},
                       {"name", row.name},
                       {"scopes", row.scopes},
                       {"standing", standing_of(row, now)},
                       {"created_at", to_rfc3339(row.created_at)}}
              .dump());
    } else {
      say(fmt::format("{}  {:<20} {:<40} {}", row.id, row.name, row.scopes, standing_of(row, now)));
    }
  }
  if (rows->empty() && !json) say("there are no tokens");
  return kWell;
}

}  // namespace isthmus::app
