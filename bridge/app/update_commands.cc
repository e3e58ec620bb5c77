// isthmus updates: metadata updates as the ledger has them, and trying one again. No values: they
// are patient data, and the HTTP routes know who may read them.
#include "app/update_commands.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/command_line.h"
#include "ledger/updates.h"

namespace isthmus::app {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kListed = 10'000;

ordered_json update_json(const MetadataUpdateRow& row) {
  ordered_json json{
      {"id", row.id.text()},
      {"kind", to_string(row.kind)},
      {"state", to_string(row.state)},
      {"state_since", to_rfc3339(row.state_since)},
      {"study_instance_uid", row.study_instance_uid.text()},
      {"destination", row.destination},
      {"requested_by", row.requested_by},
      {"requested_at", to_rfc3339(row.requested_at)},
      {"attempts", row.attempts},
      {"next_attempt_at", row.next_attempt_at ? to_rfc3339(*row.next_attempt_at) : ""},
      {"error_code", row.error_code},
      {"error", row.error}};
  if (row.order) json["parent"] = row.order->text();
  if (row.reverts) json["reverts"] = row.reverts->text();
  return json;
}

std::string update_text(const MetadataUpdateRow& row, WallTime now) {
  std::string text = fmt::format("{:<9} {}  {} at {}, by {} {} ago", to_string(row.state),
                                 row.id.text(), row.study_instance_uid.text(), row.destination,
                                 row.requested_by, age_text(now - row.requested_at));
  if (!row.error_code.empty()) {
    text += fmt::format("\n          {}: {}", row.error_code, row.error);
  }
  return text;
}

Result<MetadataUpdateId> id_of(const std::string& text) {
  if (auto id = MetadataUpdateId::parse(text)) return std::move(*id);
  return permanent_error("metadata.not_found", "This is not the id of an update.");
}

ordered_json details_json(const MetadataUpdateDetails& details) {
  ordered_json json = update_json(details.row);
  json["attributes"] = ordered_json::array();
  for (const AttributeChange& one : details.change.attributes) {
    json["attributes"].push_back(
        {{"action", to_string(one.action)}, {"level", to_string(one.level)}, {"key", one.key}});
  }
  json["image_sets"] = ordered_json::array();
  for (const MetadataStep& step : details.steps) {
    json["image_sets"].push_back({{"image_set_id", step.image_set_id},
                                  {"state", to_string(step.state)},
                                  {"version_before", step.seen_version},
                                  {"version_after", step.version},
                                  {"error_code", step.error_code}});
  }
  return json;
}

}  // namespace

int show_updates(const Invocation& invocation, bool json) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  const auto ledger = open_ledger(invocation, *settings, true);
  if (!ledger.ok()) return failed(ledger.error());
  const auto rows = (*ledger)->metadata_updates()->list({}, kListed);
  if (!rows.ok()) return failed(rows.error());
  const WallTime now = invocation.env.clock.wall_now();
  for (const MetadataUpdateRow& row : *rows) {
    say(json ? update_json(row).dump() : update_text(row, now));
  }
  if (!json && rows->empty()) say("nobody ordered an update of metadata");
  return kWell;
}

int show_update(const Invocation& invocation, const std::string& id) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  const auto update = id_of(id);
  if (!update.ok()) return failed(update.error());
  const auto ledger = open_ledger(invocation, *settings, true);
  if (!ledger.ok()) return failed(ledger.error());
  const auto details = (*ledger)->metadata_updates()->details(*update);
  if (!details.ok()) return failed(details.error());
  const auto story = (*ledger)->metadata_updates()->update_history(*update, kListed);
  if (!story.ok()) return failed(story.error());
  ordered_json json = details_json(*details);
  json["history"] = ordered_json::array();
  for (const HistoryEntry& entry : *story) {
    json["history"].push_back({{"at", to_rfc3339(entry.at)},
                               {"event", entry.event},
                               {"from", entry.from_state},
                               {"to", entry.to_state},
                               {"why", entry.why}});
  }
  say(json.dump(2));
  return kWell;
}

int retry_update(const Invocation& invocation, const std::string& id) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  const auto update = id_of(id);
  if (!update.ok()) return failed(update.error());
  const auto ledger = open_ledger(invocation, *settings, false);
  if (ledger.ok()) {
    const auto done = (*ledger)->metadata_updates()->order_retry(*update);
    (*ledger)->stop();
    if (!done.ok()) return failed(done.error());
  } else if (ledger.error().code == "ledger.locked") {
    const auto done = call_daemon(invocation.env, *settings,
                                  "/v1/metadata-updates/" + update->text() + "/retry", "{}");
    if (!done.ok()) return failed(done.error());
  } else {
    return failed(ledger.error());
  }
  say("it is tried again");
  return kWell;
}

}  // namespace isthmus::app
