#include "app/spool_commands.h"

#include <fmt/format.h>

#include <cstdio>

#include "app/command_line.h"
#include "spool/verify.h"

namespace isthmus::app {
namespace {

// Both, or complaints.
struct Opened {
  Settings settings;
  std::unique_ptr<Ledger> ledger;
};
std::optional<Opened> open(const Invocation& invocation) {
  auto settings = settings_or_complain(invocation);
  if (!settings) return std::nullopt;
  auto ledger = open_ledger(invocation, *settings, true);
  if (!ledger.ok()) {
    failed(ledger.error());
    return std::nullopt;
  }
  return Opened{std::move(*settings), std::move(ledger).value()};
}

Result<void> copy(ByteSource& from, const std::function<Result<void>(ByteSpan)>& to) {
  Bytes piece(256 * KiB);
  for (;;) {
    TRY_ASSIGN(const std::size_t got, from.read(piece));
    if (got == 0) return {};
    TRY(to(ByteSpan(piece).first(got)));
  }
}

Result<void> copy_to(Env& env, ByteSource& from, const std::string& path) {
  if (path.empty()) {
    return copy(from, [](ByteSpan bytes) -> Result<void> {
      if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size()) return {};
      return permanent_error("disk.io", "Standard output takes no more.");
    });
  }
  TRY_ASSIGN(const auto file, env.files.open(path, FileSystem::Mode::create_new));
  TRY(copy(from, [&](ByteSpan bytes) { return file->append(bytes); }));
  return file->sync();
}

}  // namespace

int verify_spool_bytes(const Invocation& invocation) {
  const auto opened = open(invocation);
  if (!opened) return kCannot;
  const auto report = verify_spool(
      invocation.env, spool_directory(opened->settings), *opened->ledger,
      [](const SpoolFinding& finding) {
        say(fmt::format("{}  {}: {}", finding.instance.text(), finding.code, finding.message));
      });
  if (!report.ok()) return failed(report.error());
  say(fmt::format("{} instances, {} bytes, {} findings, {} being freed", report->instances,
                  report->bytes, report->findings, report->going));
  return report->findings == 0 ? kWell : kWrong;
}

int export_instance(const Invocation& invocation, const std::string& uid_or_id,
                    const std::string& path) {
  const auto opened = open(invocation);
  if (!opened) return kCannot;
  const auto views = opened->ledger->instances(uid_or_id, 2);
  if (!views.ok()) return failed(views.error());
  if (views->size() != 1) {
    complain(views->empty() ? "nothing is known by that UID or id"
                            : "several instances have that UID: name one by its id (history)");
    return kWrong;
  }
  auto bytes = open_spooled(invocation.env, spool_directory(opened->settings),
                            views->front().instance.spool_ref);
  if (!bytes.ok()) return failed(bytes.error());
  const auto copied = copy_to(invocation.env, **bytes, path);
  return copied.ok() ? kWell : failed(copied.error());
}

}  // namespace isthmus::app
