#include "app/command_line.h"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/control_files.h"
#include "http/client.h"

namespace isthmus::app {

using nlohmann::ordered_json;

void say(const std::string& line) {
  fmt::print("{}\n", line);
}
void complain(const std::string& line) {
  fmt::print(stderr, "isthmus: {}\n", line);
}

int failed(const Error& error) {
  complain(describe(error));
  return kCannot;
}

std::optional<Settings> settings_or_complain(const Invocation& invocation) {
  ParsedSettings parsed = load_settings(invocation.env, invocation.config);
  for (const std::string& problem : parsed.problems) complain(problem);
  if (!parsed.problems.empty()) return std::nullopt;
  return std::move(parsed.settings);
}

Result<std::unique_ptr<Ledger>> open_ledger(const Invocation& invocation, const Settings& settings,
                                            bool read_only) {
  LedgerOptions options;
  options.directory = ledger_directory(settings);
  options.destinations = settings.destinations();
  options.read_only = read_only;
  return open_sqlite_ledger(invocation.env, options);
}

std::string age_text(Milliseconds age) {
  const auto seconds = age.count() / 1000;
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 7200) return fmt::format("{} min", seconds / 60);
  if (seconds < 172800) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} d", seconds / 86400);
}

namespace {

Result<std::string> exchange_with_daemon(Env& env, const Settings& settings,
                                         const std::string& method, const std::string& path,
                                         const std::string& body) {
  TRY_ASSIGN(const std::string token, read_control_token(env, settings));
  const auto client = http::make_client(env, {});
  http::Request request;
  request.method = method;
  const auto url = control_url(env, settings);
  if (!url) {
    return permanent_error("control.refused", "Nobody knows the daemon's port: set http.port.");
  }
  request.url = *url + path;
  request.headers = {{"Authorization", "Bearer " + token}, {"Content-Type", "application/json"}};
  if (method != "GET") request.body = source_of(body);
  request.timeout = Milliseconds(30'000);
  TRY_ASSIGN(const http::Response response, client->send(std::move(request)));
  std::string text;
  if (response.body) {
    TRY_ASSIGN(text, read_all(*response.body, MiB));
  }
  const auto json = ordered_json::parse(text, nullptr, false);
  if (response.status / 100 == 2 && json.is_object()) return text;
  if (json.is_object() && json.contains("code") && json.contains("detail")) {
    return permanent_error(json["code"].get<std::string>(), json["detail"].get<std::string>());
  }
  return permanent_error("control.refused",
                         fmt::format("The daemon answered {} to the order; is http.port the one "
                                     "it listens on?",
                                     response.status));
}

}  // namespace

Result<std::string> call_daemon(Env& env, const Settings& settings, const std::string& path,
                                const std::string& body) {
  return exchange_with_daemon(env, settings, "POST", path, body);
}

Result<std::string> read_from_daemon(Env& env, const Settings& settings, const std::string& path) {
  return exchange_with_daemon(env, settings, "GET", path, "");
}

Result<std::int64_t> ask_daemon(Env& env, const Settings& settings, const std::string& path,
                                const std::string& key, const std::string& value) {
  return moved_by(call_daemon(env, settings, path, ordered_json{{key, value}}.dump()));
}

Result<std::int64_t> moved_by(const Result<std::string>& answer) {
  if (!answer.ok()) return answer.error();
  return ordered_json::parse(*answer).value("moved", std::int64_t{0});
}

}  // namespace isthmus::app
