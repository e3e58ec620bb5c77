#include "app/control_files.h"

#include <fmt/format.h>

#include <array>

#include "base/digest.h"

namespace isthmus::app {
namespace {

constexpr const char* kTokenFile = "control.token";
constexpr const char* kPortFile = "control.port";

FileSystem::Path directory_of(const Settings& settings) {
  return settings.text("data_dir");
}

Result<std::string> read_file(Env& env, const FileSystem::Path& path) {
  TRY_ASSIGN(auto file, env.files.open(path, FileSystem::Mode::read_only));
  TRY_ASSIGN(const std::uint64_t size, file->size());
  const auto source = source_of_file(std::move(file), 0, size);
  return read_all(*source, 1 * KiB);
}

Result<void> write_file(Env& env, const FileSystem::Path& directory, const char* name,
                        const std::string& text) {
  TRY(env.files.create_directories(directory));
  const FileSystem::Path part = directory / "control.part";
  ignore(env.files.remove(part), "left by a start that was killed");
  TRY_ASSIGN(const auto file, env.files.open(part, FileSystem::Mode::create_new));
  TRY(file->append(as_bytes(text)));
  TRY(file->sync());
  TRY(env.files.rename(part, directory / name));
  return env.files.sync_directory(directory);
}

}  // namespace

Result<std::string> read_control_token(Env& env, const Settings& settings) {
  return read_file(env, directory_of(settings) / kTokenFile);
}

Result<std::string> control_token(Env& env, const Settings& settings) {
  auto known = read_control_token(env, settings);
  if (known.ok() || known.error().code != "disk.not_found") return known;
  std::array<std::byte, 24> random{};
  env.entropy.fill(random);
  const std::string token = to_hex(random);
  TRY(write_file(env, directory_of(settings), kTokenFile, token));
  return token;
}

Result<void> keep_control_port(Env& env, const Settings& settings, std::uint16_t port) {
  return write_file(env, directory_of(settings), kPortFile, std::to_string(port));
}

std::optional<std::string> control_url(Env& env, const Settings& settings) {
  if (settings.flag("http.tls.enabled") || settings.integer("http.port") == 0) {
    const auto kept = read_file(env, directory_of(settings) / kPortFile);
    if (!kept.ok()) return std::nullopt;
    return "http://127.0.0.1:" + *kept;
  }
  const std::string address = settings.text("http.address");
  const bool v6 = address.find(':') != std::string::npos;
  return fmt::format("http://{}:{}", v6 ? "[" + address + "]" : address,
                     settings.integer("http.port"));
}

}  // namespace isthmus::app
