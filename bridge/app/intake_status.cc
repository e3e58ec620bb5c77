#include "app/intake_status.h"

#include <fmt/format.h>

#include "app/control_files.h"
#include "http/client.h"

namespace isthmus::app {
namespace {

constexpr Milliseconds kPatience{2'000};

std::string duration_text(std::int64_t seconds) {
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 7200) return fmt::format("{} min", seconds / 60);
  if (seconds < 172800) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} d", seconds / 86400);
}

const char* explanation(const std::string& admission) {
  if (admission == "tight") return ": space runs short";
  if (admission == "refusing") return ": new associations are rejected for now, open ones go on";
  if (admission == "full") return ": senders hear 0xA700";
  if (admission == "draining") return ": senders hear 0xA700 until isthmus drain --end";
  return "";
}

}  // namespace

std::optional<nlohmann::ordered_json> ask_intake(Env& env, const Settings& settings) {
  if (!settings.flag("http.listen")) return std::nullopt;
  const auto url = control_url(env, settings);
  if (!url) return std::nullopt;
  http::Request request;
  request.method = "GET";
  request.url = *url + "/readyz";
  request.timeout = kPatience;
  const auto response = http::make_client(env, {})->send(std::move(request));
  if (!response.ok() || !response->body) return std::nullopt;
  const auto body = read_all(*response->body, 64 * KiB);
  if (!body.ok()) return std::nullopt;
  auto json = nlohmann::ordered_json::parse(*body, nullptr, false);
  if (!json.is_object() || !json.contains("admission")) return std::nullopt;
  return json;
}

std::string intake_text(const std::optional<nlohmann::ordered_json>& intake) {
  if (!intake) return "intake unknown: no daemon answers on http.port";
  const std::string admission = intake->value("admission", std::string("unknown"));
  std::string text =
      fmt::format("intake {}{}, {:.1f} GB available", admission, explanation(admission),
                  static_cast<double>(intake->value("available_bytes", std::uint64_t{0})) / 1e9);
  const auto left = intake->find("time_to_full_s");
  if (admission != "full" && left != intake->end() && left->is_number_integer()) {
    text +=
        fmt::format(", full in {} at the present rate", duration_text(left->get<std::int64_t>()));
  }
  return text;
}

}  // namespace isthmus::app
