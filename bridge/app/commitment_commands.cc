// isthmus commitments: what was asked, how it stands, and telling once more.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/command_line.h"
#include "ledger/commitments.h"

namespace isthmus::app {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kListed = 10'000;

std::string optional_time(const std::optional<WallTime>& time) {
  return time ? to_rfc3339(*time) : "";
}

// Pending, although what it waits for should have come; or told to nobody yet.
bool is_overdue(const Commitment& one, WallTime now) {
  if (one.state == CommitmentState::pending) return now > one.answer_until;
  return one.state == CommitmentState::answered && one.attempts > 0;
}

ordered_json commitment_json(const Commitment& one, WallTime now) {
  return {{"transaction_uid", one.transaction_uid.text()},
          {"id", one.id.text()},
          {"calling_ae_title", one.calling_ae_title},
          {"called_ae_title", one.called_ae_title},
          {"state", to_string(one.state)},
          {"state_since", to_rfc3339(one.state_since)},
          {"requested_at", to_rfc3339(one.requested_at)},
          {"age_s", (now - one.requested_at).count() / 1000},
          {"references", one.references},
          {"failed", one.failed},
          {"level", one.level ? std::string(to_string(*one.level)) : "by destination"},
          {"duplicate", one.duplicate},
          {"overdue", is_overdue(one, now)},
          {"attempts", one.attempts},
          {"next_attempt_at", optional_time(one.next_attempt_at)},
          {"answer_until", to_rfc3339(one.answer_until)},
          {"report_until", optional_time(one.report_until)},
          {"error_code", one.error_code},
          {"error", one.error}};
}

std::string commitment_text(const Commitment& one, WallTime now) {
  std::string text =
      fmt::format("{:<10}{:<18}{:>7} instances, {} failed  {}  asked {} ago", to_string(one.state),
                  one.calling_ae_title, one.references, one.failed, one.transaction_uid.text(),
                  age_text(now - one.requested_at));
  if (is_overdue(one, now)) text += "  overdue";
  if (one.attempts > 0 && !is_final(one.state)) {
    text += fmt::format("\n          {} attempts, next {}: {} {}", one.attempts,
                        one.next_attempt_at ? to_rfc3339(*one.next_attempt_at) : "never",
                        one.error_code, one.error);
  }
  return text;
}

}  // namespace

int show_commitments(const Invocation& invocation, bool json) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  const auto ledger = open_ledger(invocation, *settings, true);
  if (!ledger.ok()) return failed(ledger.error());
  const auto all = (*ledger)->commitments().list("", kListed);
  if (!all.ok()) return failed(all.error());
  const WallTime now = invocation.env.clock.wall_now();
  for (const Commitment& one : *all) {
    say(json ? commitment_json(one, now).dump() : commitment_text(one, now));
  }
  if (!json && all->empty()) say("nobody asked for storage commitment");
  return kWell;
}

int resend_commitment(const Invocation& invocation, const std::string& transaction_uid) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  Result<std::int64_t> moved = std::int64_t{0};
  const auto ledger = open_ledger(invocation, *settings, false);
  if (ledger.ok()) {
    moved = (*ledger)->commitments().order_resend(transaction_uid);
    (*ledger)->stop();
  } else if (ledger.error().code == "ledger.locked") {
    moved =
        ask_daemon(invocation.env, *settings, "/control/resend", "transaction", transaction_uid);
  } else {
    return failed(ledger.error());
  }
  if (!moved.ok()) return failed(moved.error());
  say(fmt::format("{} to be told again", *moved));
  return *moved > 0 ? kWell : kWrong;
}

}  // namespace isthmus::app
