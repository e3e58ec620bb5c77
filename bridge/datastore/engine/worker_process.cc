#include "datastore/engine/worker_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

extern char** environ;

namespace isthmus::datastore {
namespace {

std::int64_t monotonic_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

// Standard input and output are one socket, standard error nowhere, and nothing else is inherited:
// a worker that held a client's connection would keep it open.
int spawn(pid_t& pid, const std::string& program, const std::vector<std::string>& arguments,
          int child_socket) {
  std::vector<char*> argv;
  argv.push_back(const_cast<char*>(program.c_str()));
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, child_socket, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, child_socket, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const int failure =
      posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return failure;
}

}  // namespace

Result<std::unique_ptr<WorkerProcess>> WorkerProcess::start(
    const FileSystem::Path& program, const std::vector<std::string>& arguments) {
  std::array<int, 2> sockets{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0) {
    return transient_error("datastore.worker_start", "No socket for an import worker.");
  }
  pid_t pid = -1;
  const int failure = spawn(pid, program.string(), arguments, sockets[1]);
  close(sockets[1]);
  if (failure != 0) {
    close(sockets[0]);
    return transient_error(
        "datastore.worker_start",
        std::string("The import worker cannot be started: ") + std::strerror(failure) + ".");
  }
  return std::unique_ptr<WorkerProcess>(new WorkerProcess(pid, sockets[0]));
}

WorkerProcess::~WorkerProcess() {
  if (pid_ > 0) reap(true);
  close(socket_);
}

std::optional<int> WorkerProcess::reap(bool kill_first) {
  if (kill_first) kill(pid_, SIGKILL);
  int status = 0;
  pid_t ended = 0;
  do {
    ended = waitpid(pid_, &status, 0);
  } while (ended < 0 && errno == EINTR);
  pid_ = -1;
  if (ended < 0) return std::nullopt;
  return status;
}

// It closed its end: it is ending by itself, or has only closed it and must be made to.
Error WorkerProcess::died() {
  bool by_itself = false;
  for (int i = 0; i < 100 && !by_itself; ++i) {
    siginfo_t state{};
    by_itself = waitid(P_PID, static_cast<id_t>(pid_), &state, WEXITED | WNOHANG | WNOWAIT) != 0 ||
                state.si_pid != 0;
    if (!by_itself) poll(nullptr, 0, 10);
  }
  const std::optional<int> status = reap(!by_itself);
  std::string how = "unknown";
  if (status && WIFSIGNALED(*status)) how = "signal " + std::to_string(WTERMSIG(*status));
  if (status && WIFEXITED(*status)) how = "exit code " + std::to_string(WEXITSTATUS(*status));
  const bool killed = by_itself && status && WIFSIGNALED(*status) &&
                      (WTERMSIG(*status) == SIGKILL || WTERMSIG(*status) == SIGTERM);
  return transient_error(killed ? "datastore.worker_killed" : "datastore.worker_died",
                         "The process that examined the file died: " + how + ".");
}

Result<std::string> WorkerProcess::ask(std::string_view line, Milliseconds timeout,
                                       std::uint64_t answer_limit) {
  ASSERT(pid_ > 0);
  const std::int64_t deadline = monotonic_ms() + timeout.count();
  std::string request(line);
  request += '\n';
  std::size_t sent = 0, searched = 0;
  std::array<char, 64 * KiB> buffer{};
  while (true) {
    if (const std::size_t end = received_.find('\n', searched); end != std::string::npos) {
      std::string answer = received_.substr(0, end);
      received_.erase(0, end + 1);
      return answer;
    }
    searched = received_.size();
    if (received_.size() > answer_limit) {
      reap(true);
      return transient_error("datastore.worker_babble", "The answer about the file is too long.");
    }
    const std::int64_t left = deadline - monotonic_ms();
    pollfd waiting{socket_, static_cast<short>(sent < request.size() ? POLLIN | POLLOUT : POLLIN),
                   0};
    const int ready = left <= 0 ? 0 : poll(&waiting, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      reap(true);
      return transient_error("datastore.worker_timeout", "Examining the file took too long.");
    }
    if ((waiting.revents & POLLOUT) != 0 && sent < request.size()) {
      const ssize_t written =
          send(socket_, request.data() + sent, request.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (written < 0 && errno != EAGAIN && errno != EINTR) return died();
      if (written > 0) sent += static_cast<std::size_t>(written);
    }
    if ((waiting.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
      const ssize_t count = recv(socket_, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) return died();
      if (count > 0) received_.append(buffer.data(), static_cast<std::size_t>(count));
    }
  }
}

}  // namespace isthmus::datastore
