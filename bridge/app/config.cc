#include "app/config.h"

namespace isthmus::app {
namespace {

constexpr std::string_view kDefaultFile = "/etc/isthmus/isthmus.json";
constexpr std::uint64_t kFileLimitBytes = 4 * MiB;

Result<std::string> read_text(Env& env, const std::string& path) {
  TRY_ASSIGN(auto file, env.files.open(path, FileSystem::Mode::read_only));
  TRY_ASSIGN(const std::uint64_t size, file->size());
  const auto source = source_of_file(std::move(file), 0, size);
  return read_all(*source, kFileLimitBytes);
}

ConfigSources sources_of(Env& env) {
  ConfigSources sources;
  sources.environment = environment_variable;
  sources.read_file = [&env](const std::string& path) { return read_text(env, path); };
  return sources;
}

FileSystem::Path named_or_below(const Settings& settings, std::string_view setting,
                                const char* folder) {
  const std::string named = settings.text(setting);
  return named.empty() ? FileSystem::Path(settings.text("data_dir")) / folder
                       : FileSystem::Path(named);
}

}  // namespace

std::string_view version() {
  return ISTHMUS_VERSION;
}

ParsedSettings load_settings(Env& env, const ConfigArguments& arguments) {
  ConfigSources sources = sources_of(env);
  sources.overrides = arguments.overrides;
  std::string path = arguments.file;
  if (path.empty()) path = environment_variable("ISTHMUS_CONFIG").value_or("");
  const bool named = !path.empty();
  if (!named) path = kDefaultFile;
  auto text = read_text(env, path);
  if (text.ok()) sources.file_text = std::move(text).value();
  ParsedSettings parsed = parse_settings(sources);
  if (!text.ok() && (named || text.error().code != "disk.not_found")) {
    parsed.problems.insert(
        parsed.problems.begin(),
        "The configuration file " + path + " cannot be read (" + text.error().message + ").");
  }
  return parsed;
}

ParsedSettings load_settings_of_host(Env& env, std::string json) {
  ConfigSources sources = sources_of(env);
  sources.file_text = std::move(json);
  return parse_settings(sources);
}

FileSystem::Path spool_directory(const Settings& settings) {
  return named_or_below(settings, "spool.directory", "spool");
}
FileSystem::Path ledger_directory(const Settings& settings) {
  return named_or_below(settings, "ledger.directory", "ledger");
}
FileSystem::Path datastore_directory(const Settings& settings) {
  return named_or_below(settings, "datastore.directory", "datastore");
}

LogLevel log_level(const Settings& settings) {
  const std::string word = settings.text("log.level");
  if (word == "debug") return LogLevel::debug;
  if (word == "warn") return LogLevel::warn;
  if (word == "error") return LogLevel::error;
  return LogLevel::info;
}

}  // namespace isthmus::app
