// What the gateway needs of this machine.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <optional>

#include "app/doctor.h"

namespace isthmus::app {
namespace {

constexpr int kSyncs = 40;
constexpr std::size_t kSyncedBytes = 4096;
// A spinning disk syncs some tens of times a second; below that every answer is late.
constexpr double kSlowSyncs = 20;

// The folder, or the nearest above it that is there: what the daemon makes it in, as its own user.
FileSystem::Path nearest_existing(Env& env, const FileSystem::Path& folder) {
  FileSystem::Path nearest = folder;
  while (nearest.has_relative_path()) {
    const auto there = env.files.exists(nearest);
    if (!there.ok() || *there) break;
    nearest = nearest.parent_path();
  }
  return nearest;
}

Result<double> syncs_per_second(Env& env, const FileSystem::Path& folder) {
  const FileSystem::Path path = folder / "doctor.part";
  ignore(env.files.remove(path), "left by a doctor that was killed");
  TRY_ASSIGN(const auto file, env.files.open(path, FileSystem::Mode::create_new));
  const Bytes block(kSyncedBytes);
  const SteadyTime begun = env.clock.steady_now();
  Result<void> written;
  for (int i = 0; i < kSyncs && written.ok(); ++i) {
    written = file->append(block);
    if (written.ok()) written = file->sync();
  }
  const auto took = std::max<Milliseconds::rep>((env.clock.steady_now() - begun).count(), 1);
  ignore(env.files.remove(path), "its name says whose it is");
  TRY(written);
  return kSyncs * 1000.0 / static_cast<double>(took);
}

void examine_disk(Env& env, const char* check, const FileSystem::Path& wanted,
                  std::uint64_t wanted_bytes, Findings& findings) {
  const FileSystem::Path folder = nearest_existing(env, wanted);
  const auto rate = syncs_per_second(env, folder);
  if (!rate.ok()) {
    findings.push_back({check, folder.string(), Verdict::bad,
                        fmt::format("{}; make the folder, or let the gateway's user write there",
                                    rate.error().message)});
    return;
  }
  const auto space = env.files.space(folder);
  const std::uint64_t free_bytes = space.ok() ? space->free_bytes : 0;
  const std::string found = fmt::format("{:.0f} syncs/s of 4 KiB, {:.1f} GiB free", *rate,
                                        static_cast<double>(free_bytes) / GiB);
  if (free_bytes < wanted_bytes) {
    findings.push_back({check, folder.string(), Verdict::bad,
                        found + "; less than spool.reserve_bytes: nothing would be taken"});
  } else if (*rate < kSlowSyncs) {
    findings.push_back({check, folder.string(), Verdict::warn,
                        found + "; each group of answers waits for a sync: use a faster disk"});
  } else {
    findings.push_back({check, folder.string(), Verdict::well, found});
  }
}

// A socket that is closed at the end.
class Socket {
 public:
  explicit Socket(int family) : descriptor_(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  ~Socket() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int get() const { return descriptor_; }

 private:
  const int descriptor_;
};

struct PortToTake {
  const char* check;
  bool enabled;
  const char* address;
  const char* port;
};

struct Where {
  sockaddr_storage address{};
  socklen_t size = 0;
};

std::optional<Where> where_of(const std::string& address, std::uint16_t port) {
  Where where;
  auto* four = reinterpret_cast<sockaddr_in*>(&where.address);
  auto* six = reinterpret_cast<sockaddr_in6*>(&where.address);
  if (::inet_pton(AF_INET, address.c_str(), &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    where.size = sizeof *four;
  } else if (::inet_pton(AF_INET6, address.c_str(), &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    where.size = sizeof *six;
  } else {
    return std::nullopt;
  }
  return where;
}

void examine_port(const Settings& settings, const PortToTake& wish, Findings& findings) {
  if (!wish.enabled) return;
  const std::string address = settings.text(wish.address);
  const auto port = static_cast<std::uint16_t>(settings.integer(wish.port));
  const std::string subject = fmt::format("{}:{}", address, port);
  const auto where = where_of(address, port);
  if (!where) {
    findings.push_back({wish.check, subject, Verdict::bad,
                        fmt::format("no numeric address; correct {}", wish.address)});
    return;
  }
  const Socket socket(where->address.ss_family);
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const auto* at = reinterpret_cast<const sockaddr*>(&where->address);
  if (::bind(socket.get(), at, where->size) == 0 && ::listen(socket.get(), 1) == 0) {
    findings.push_back({wish.check, subject, Verdict::well, "can be listened on"});
    return;
  }
  const int why = errno;
  std::string text = std::strerror(why);
  if (why == EADDRINUSE) {
    text = fmt::format("somebody listens there: well if that is our daemon, else choose another {}",
                       wish.port);
  }
  if (why == EACCES) {
    text += fmt::format("; set {} to 1024 or more, or give the capability", wish.port);
  }
  if (why == EADDRNOTAVAIL) text += fmt::format("; correct {}", wish.address);
  findings.push_back({wish.check, subject, why == EADDRINUSE ? Verdict::warn : Verdict::bad, text});
}

}  // namespace

void examine_machine(Env& env, const Settings& settings, Findings& findings) {
  examine_disk(env, "disk.spool", spool_directory(settings),
               static_cast<std::uint64_t>(settings.integer("spool.reserve_bytes")), findings);
  examine_disk(env, "disk.ledger", ledger_directory(settings), 0, findings);
  const bool dimse = settings.flag("dimse.enabled");
  for (const PortToTake& wish :
       {PortToTake{"port.dimse", dimse && settings.flag("dimse.plain"), "dimse.address",
                   "dimse.port"},
        PortToTake{"port.dimse_tls", dimse && settings.flag("dimse.tls.enabled"), "dimse.address",
                   "dimse.tls.port"},
        PortToTake{"port.http", settings.flag("http.listen"), "http.address", "http.port"},
        PortToTake{"port.datastore", settings.flag("datastore.listen"), "datastore.address",
                   "datastore.port"}}) {
    examine_port(settings, wish, findings);
  }
}

}  // namespace isthmus::app
