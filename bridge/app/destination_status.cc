#include "app/destination_status.h"

#include <fmt/format.h>

#include "app/command_line.h"

namespace isthmus::app {
namespace {

using nlohmann::ordered_json;

std::string age(std::int64_t seconds) {
  return age_text(Milliseconds(seconds * 1000));
}

std::string circuit_text(const char* name, const std::string& is, double until_probe_s) {
  if (is == "closed") return std::string(name) + " answers";
  if (is == "half_open") return std::string(name) + " is being tried again";
  return fmt::format("{} is out, tried again in {:.0f} s", name, until_probe_s);
}

std::string queue_text(const ordered_json& queue) {
  const auto batches = queue.value("batches", std::int64_t{0});
  if (batches == 0) return "nothing waits for its import";
  std::string text = fmt::format("{} batches wait for their import, the oldest {}", batches,
                                 age(queue.value("oldest_age_s", std::int64_t{0})));
  const auto stat = queue.value("stat_batches", std::int64_t{0});
  if (stat > 0) {
    text += fmt::format(" (stat: {}, {})", stat,
                        age(queue.value("stat_oldest_age_s", std::int64_t{0})));
  }
  return text;
}

std::string scheduler_text(const ordered_json& scheduler) {
  std::string text = fmt::format(
      "  {:.2f} starts to be had now ({:.4g}/s of {:.4g}/s), {} of {} job slots open, {}, {}",
      scheduler.value("start_tokens", 0.0), scheduler.value("starts_per_second", 0.0),
      scheduler.value("allowed_starts_per_second", 0.0),
      scheduler.value("open_job_slots", std::int64_t{0}),
      scheduler.value("allowed_job_slots", std::int64_t{0}),
      circuit_text("the bucket", scheduler.value("bucket_circuit", std::string()),
                   scheduler.value("until_bucket_probe_s", 0.0)),
      circuit_text("the import", scheduler.value("import_circuit", std::string()),
                   scheduler.value("until_import_probe_s", 0.0)));
  const std::string opens = scheduler.value("hours_open_at", std::string());
  if (!opens.empty()) text += ", uploads from " + opens;
  return text;
}

}  // namespace

ordered_json ask_destinations(Env& env, const Settings& settings) {
  const ordered_json none = ordered_json::array();
  if (!settings.flag("http.listen")) return none;
  const auto answer = read_from_daemon(env, settings, "/v1/destinations");
  if (!answer.ok()) return none;
  const auto body = ordered_json::parse(*answer, nullptr, false);
  if (!body.is_object() || !body.contains("items") || !body["items"].is_array()) return none;
  return body["items"];
}

std::vector<std::string> destination_lines(const ordered_json& items) {
  std::vector<std::string> lines;
  for (const ordered_json& one : items) {
    const bool paused = one.value("paused", false);
    lines.push_back(fmt::format("{}{}: {}", one.value("name", std::string()),
                                paused ? " (paused)" : "",
                                queue_text(one.value("queue", ordered_json::object()))));
    if (one.contains("scheduler")) lines.push_back(scheduler_text(one["scheduler"]));
  }
  return lines;
}

}  // namespace isthmus::app
