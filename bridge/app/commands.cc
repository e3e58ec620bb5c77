#include "app/commands.h"

#include <fmt/format.h>

#include <unistd.h>
#include <algorithm>
#include <atomic>

#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/bridge.h"
#include "app/certificates.h"
#include "app/command_line.h"
#include "app/destination_status.h"
#include "app/intake_status.h"
#include "base/failpoint.h"
#include "ledger/commitments.h"
#include "ledger/ledger.h"
#include "ledger/updates.h"

namespace isthmus::app {
namespace {

using nlohmann::ordered_json;

constexpr int kFatalExit = 70;
constexpr std::size_t kListed = 1000;
constexpr Milliseconds kDrainLook{500};

// Set once by report_fatal; the serving thread looks at it when the signal arrives.
std::atomic<bool> fatal_seen{false};

ordered_json status_json(const std::vector<StateCount>& counts, const std::vector<Ask>& asks,
                         WallTime now) {
  ordered_json body{{"at", to_rfc3339(now)},
                    {"states", ordered_json::array()},
                    {"asks_for_person", ordered_json::array()}};
  for (const StateCount& count : counts) {
    ordered_json row{{"subject", count.subject},
                     {"destination", count.destination},
                     {"state", count.state},
                     {"count", count.count}};
    if (count.oldest_since) {
      row["oldest_since"] = to_rfc3339(*count.oldest_since);
      row["oldest_age_s"] = (now - *count.oldest_since).count() / 1000;
    }
    row["asks_for_person"] = count.asks_for_person;
    body["states"].push_back(std::move(row));
  }
  for (const Ask& ask : asks) {
    body["asks_for_person"].push_back({{"subject", ask.subject},
                                       {"id", ask.subject_id},
                                       {"destination", ask.destination},
                                       {"state", ask.state},
                                       {"reason_code", ask.reason_code},
                                       {"reason", ask.reason},
                                       {"since", to_rfc3339(ask.since)}});
  }
  return body;
}

void print_status(const std::vector<StateCount>& counts, const std::vector<Ask>& asks,
                  WallTime now) {
  say(fmt::format("{:<12}{:<14}{:<13}{:>9}  {}", "what", "destination", "state", "count",
                  "oldest"));
  for (const StateCount& count : counts) {
    if (count.count == 0) continue;
    say(fmt::format("{:<12}{:<14}{:<13}{:>9}  {}{}", count.subject, count.destination, count.state,
                    count.count, count.oldest_since ? age_text(now - *count.oldest_since) : "",
                    count.asks_for_person ? "  asks for a person" : ""));
  }
  if (asks.empty()) {
    say("nothing asks for a person");
    return;
  }
  say("");
  say("asks for a person:");
  for (const Ask& ask : asks) {
    say(fmt::format("  {} {} at {}: {} since {}: {} {}", ask.subject, ask.subject_id,
                    ask.destination, ask.state, to_rfc3339(ask.since), ask.reason_code,
                    ask.reason));
  }
  say("look: isthmus history ID   try again: isthmus retry ID (or all)   "
      "give up: isthmus discard ID --reason TEXT");
  say("commitments: isthmus commitments   tell again: isthmus commitments resend TRANSACTION");
}

int status_once(Ledger& ledger, Env& env, const Settings& settings, const StatusOptions& options) {
  const auto counts = ledger.counts();
  if (!counts.ok()) return failed(counts.error());
  const auto asks = ledger.asks(kListed);
  if (!asks.ok()) return failed(asks.error());
  const WallTime now = env.clock.wall_now();
  const auto intake = ask_intake(env, settings);
  const auto certificates = certificate_status(env, settings);
  const ordered_json destinations = ask_destinations(env, settings);
  if (options.json) {
    ordered_json body = status_json(*counts, *asks, now);
    body["intake"] = intake ? *intake : ordered_json();
    body["destinations"] = destinations;
    body["certificates"] = ordered_json::array();
    for (const auto& one : certificates) {
      body["certificates"].push_back(ordered_json::parse(certificate_json(one, now)));
    }
    say(body.dump(options.watch ? -1 : 2));
  } else {
    say(intake_text(intake));
    for (const std::string& line : destination_lines(destinations)) say(line);
    print_status(*counts, *asks, now);
    for (const auto& one : certificates) {
      for (const std::string& line : certificate_lines(one, now)) say(line);
    }
  }
  std::fflush(stdout);
  return kWell;
}

// "8 received, 8 staged, 8 imported, 0 rejected, 0 unaccounted", and what is in quarantine if any.
std::string counts_text(const StudySummary& study) {
  std::string text =
      fmt::format("{} received, {} staged, {} imported, {} rejected, {} unaccounted",
                  study.received, study.staged, study.imported, study.rejected, study.unaccounted);
  if (study.quarantined > 0) text += fmt::format(", {} quarantined", study.quarantined);
  if (study.discarded > 0) text += fmt::format(", {} discarded", study.discarded);
  return text;
}

std::string study_text(const StudySummary& study) {
  return fmt::format("study {} at {}\n  {}\n  import jobs {}\n  image sets  {}",
                     study.study_instance_uid.text(), study.destination, counts_text(study),
                     fmt::join(study.import_job_ids, " "), fmt::join(study.image_set_ids, " "));
}

ordered_json study_json(const StudySummary& study) {
  return {{"study_instance_uid", study.study_instance_uid.text()},
          {"destination", study.destination},
          {"received", study.received},
          {"staged", study.staged},
          {"imported", study.imported},
          {"rejected", study.rejected},
          {"quarantined", study.quarantined},
          {"discarded", study.discarded},
          {"unaccounted", study.unaccounted},
          {"import_jobs", study.import_job_ids},
          {"image_sets", study.image_set_ids}};
}

// The story of an update by its id, and of all updates of a study by its UID.
Result<void> add_update_history(Ledger& ledger, const std::string& uid_or_id,
                                std::vector<HistoryEntry>& entries) {
  MetadataUpdates* updates = ledger.metadata_updates();
  if (updates == nullptr) return {};
  std::vector<MetadataUpdateId> ids;
  if (const auto id = MetadataUpdateId::parse(uid_or_id)) ids.push_back(*id);
  if (Uid::parse(uid_or_id)) {
    TRY_ASSIGN(const auto rows, updates->list({uid_or_id, {}, {}, {}}, kListed));
    for (const MetadataUpdateRow& row : rows) ids.push_back(row.id);
  }
  for (const MetadataUpdateId& id : ids) {
    TRY_ASSIGN(const auto story, updates->update_history(id, kListed));
    entries.insert(entries.end(), story.begin(), story.end());
  }
  return {};
}

void print_drain(const ordered_json& status) {
  if (status.value("done", false)) return say("all is done: the daemon can be stopped");
  say(fmt::format("no new instances are taken; {} bytes are being received",
                  status.value("receiving_bytes", std::int64_t{0})));
  for (const auto& one : status["on_way"]) {
    say(fmt::format("  {:<16}{:<14}{:<13}{:>9}{}", one.value("subject", ""),
                    one.value("destination", ""), one.value("state", ""),
                    one.value("count", std::int64_t{0}),
                    one.value("paused", false) ? "  (its destination is paused)" : ""));
  }
}

sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

bool arm_from_text(const std::string& text) {
  if (text.empty()) return true;
  const auto colon = text.find(':');
  const auto point = failpoint_from(text.substr(0, colon));
  if (!point) {
    complain("no failpoint is named " + text.substr(0, colon));
    return false;
  }
  arm_failpoint(*point, colon == std::string::npos ? 1 : std::atoi(text.c_str() + colon + 1));
  return true;
}

void announce(const BridgeAddresses& addresses, const Settings& settings) {
  // One line that scripts wait for and read the ports from.
  const ordered_json line{{"event", "listening"},
                          {"dimse_port", addresses.dimse_port},
                          {"dimse_tls_port", addresses.dimse_tls_port},
                          {"http_port", addresses.http_port},
                          {"datastore_port", addresses.datastore_port},
                          {"datastore_access_key_file", addresses.datastore_access_key_file},
                          {"data_dir", settings.text("data_dir")}};
  say(line.dump());
  std::fflush(stdout);
}

}  // namespace

void report_fatal(const Error& error) {
  complain("fatal: " + describe(error));
  if (!fatal_seen.exchange(true)) ::kill(::getpid(), SIGTERM);
}

int serve(const Invocation& invocation, const std::string& failpoint) {
  const auto settings = settings_or_complain(invocation);
  if (!settings || !arm_from_text(failpoint)) return kCannot;
  // Blocked before any thread starts, so that only this one takes them; a peer that went away is an
  // error of its write, never a signal.
  const sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  invocation.env.log.info("bridge.starting",
                          {{"version", version()}, {"open_files", raise_open_file_limit()}});
  auto bridge = open_bridge(invocation.env, *settings, invocation.program_directory);
  if (!bridge.ok()) return failed(bridge.error());
  announce((*bridge)->addresses(), *settings);
  invocation.env.log.info("bridge.started", {});
  int signal = 0;
  sigwait(&signals, &signal);
  if (fatal_seen.load()) (*bridge)->fail();
  invocation.env.log.info("bridge.stopping", {{"signal", signal}});
  (*bridge)->stop();
  invocation.env.log.info("bridge.stopped", {});
  return fatal_seen.load() ? kFatalExit : kWell;
}

int show_status(const Invocation& invocation, const StatusOptions& options) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  const auto ledger = open_ledger(invocation, *settings, true);
  if (!ledger.ok()) return failed(ledger.error());
  for (;;) {
    const int outcome = status_once(**ledger, invocation.env, *settings, options);
    if (outcome != kWell || !options.watch) return outcome;
    invocation.env.clock.sleep_for(Milliseconds(2000));
    if (!options.json) fmt::print("\n");
  }
}

int show_history(const Invocation& invocation, const std::string& uid_or_id, bool json) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  const auto ledger = open_ledger(invocation, *settings, true);
  if (!ledger.ok()) return failed(ledger.error());
  auto entries = (*ledger)->history(uid_or_id, 100'000);
  if (!entries.ok()) return failed(entries.error());
  const auto asked = (*ledger)->commitments().commitment_history(uid_or_id, 100'000);
  if (!asked.ok()) return failed(asked.error());
  entries->insert(entries->end(), asked->begin(), asked->end());
  if (auto told = add_update_history(**ledger, uid_or_id, *entries); !told.ok()) {
    return failed(told.error());
  }
  std::ranges::stable_sort(*entries, {}, &HistoryEntry::at);
  for (const HistoryEntry& entry : *entries) {
    if (json) {
      say(ordered_json{{"at", to_rfc3339(entry.at)},
                       {"subject", entry.subject},
                       {"id", entry.subject_id},
                       {"event", entry.event},
                       {"from", entry.from_state},
                       {"to", entry.to_state},
                       {"why", entry.why}}
              .dump());
    } else {
      say(fmt::format("{}  {:<10} {}  {:<20} {}{}{}{}", to_rfc3339(entry.at), entry.subject,
                      entry.subject_id, entry.event, entry.from_state,
                      entry.from_state.empty() ? "" : " → ", entry.to_state,
                      entry.why.empty() ? "" : "  (" + entry.why + ")"));
    }
  }
  if (!entries->empty()) return kWell;
  complain("nothing is known by that UID or id");
  return kWrong;
}

int show_studies(const Invocation& invocation, bool json) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  const auto ledger = open_ledger(invocation, *settings, true);
  if (!ledger.ok()) return failed(ledger.error());
  const auto studies = (*ledger)->studies(kListed);
  if (!studies.ok()) return failed(studies.error());
  StudySummary total;
  for (const StudySummary& study : *studies) {
    say(json ? study_json(study).dump() : study_text(study));
    total.received += study.received;
    total.staged += study.staged;
    total.imported += study.imported;
    total.rejected += study.rejected;
    total.quarantined += study.quarantined;
    total.discarded += study.discarded;
    total.unaccounted += study.unaccounted;
  }
  if (!json) say(counts_text(total));
  return kWell;
}

int order_retry(const Invocation& invocation, const std::string& what) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  Result<std::int64_t> moved = std::int64_t{0};
  const auto ledger = open_ledger(invocation, *settings, false);
  if (ledger.ok()) {
    moved = (*ledger)->order_retry(what);
    (*ledger)->stop();
  } else if (ledger.error().code == "ledger.locked") {
    moved = ask_daemon(invocation.env, *settings, "/control/retry", "what", what);
  } else {
    return failed(ledger.error());
  }
  if (!moved.ok()) return failed(moved.error());
  say(fmt::format("{} to be tried again", *moved));
  return *moved > 0 ? kWell : kWrong;
}

int order_discard(const Invocation& invocation, const std::string& what,
                  const std::string& reason) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  Result<std::int64_t> moved = std::int64_t{0};
  const auto ledger = open_ledger(invocation, *settings, false);
  if (ledger.ok()) {
    moved = (*ledger)->order_discard(what, reason + " (ordered at the command line)");
    (*ledger)->stop();
  } else if (ledger.error().code == "ledger.locked") {
    moved = moved_by(call_daemon(invocation.env, *settings, "/control/discard",
                                 ordered_json{{"what", what}, {"reason", reason}}.dump()));
  } else {
    return failed(ledger.error());
  }
  if (!moved.ok()) return failed(moved.error());
  say(fmt::format("{} discarded", *moved));
  return *moved > 0 ? kWell : kWrong;
}

int drain(const Invocation& invocation, const DrainOptions& options) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  auto answer = call_daemon(invocation.env, *settings, "/v1/drain",
                            ordered_json{{"draining", !options.end}}.dump());
  while (answer.ok()) {
    const ordered_json status = ordered_json::parse(*answer);
    if (options.end) {
      say("instances are taken again");
      return kWell;
    }
    const bool done = status.value("done", false);
    if (done || !options.wait) {
      print_drain(status);
      return done ? kWell : kWrong;
    }
    invocation.env.clock.sleep_for(kDrainLook);
    answer = read_from_daemon(invocation.env, *settings, "/v1/drain");
    if (answer.ok() && !ordered_json::parse(*answer).value("draining", false)) {
      return failed(permanent_error("drain.ended", "Somebody ended the drain."));
    }
  }
  return failed(answer.error());
}

int reload(const Invocation& invocation) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  const auto answer = call_daemon(invocation.env, *settings, "/control/reload", "{}");
  if (!answer.ok()) return failed(answer.error());
  say(ordered_json::parse(*answer).value("changed", false) ? "new certificates are in force"
                                                           : "the certificates have not changed");
  return kWell;
}

int check_config(const Invocation& invocation) {
  const ParsedSettings parsed = load_settings(invocation.env, invocation.config);
  for (const std::string& problem : parsed.problems) complain(problem);
  if (!parsed.problems.empty()) return kWrong;
  const auto problems = certificate_file_problems(invocation.env, parsed.settings);
  for (const std::string& problem : problems) complain(problem);
  if (!problems.empty()) return kWrong;
  say("the configuration is good");
  return kWell;
}

int print_config(const Invocation& invocation) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kWrong;
  fmt::print("{}", settings->print());
  return kWell;
}

int check_ledger(const Invocation& invocation) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  const auto ledger = open_ledger(invocation, *settings, true);
  if (!ledger.ok()) return failed(ledger.error());
  const auto findings = (*ledger)->check();
  if (!findings.ok()) return failed(findings.error());
  for (const std::string& finding : *findings) say(finding);
  if (!findings->empty()) return kWrong;
  say("the ledger is sound");
  return kWell;
}

}  // namespace isthmus::app
