#include "base/command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

extern char** environ;

namespace isthmus {
namespace {

Error failed(const std::string& program, const std::string& why) {
  return transient_error("command.failed", "The command " + program + " " + why + ".");
}

// Only our pipe and standard error are inherited, and no signal is blocked. In a process group of
// its own, so that what it started ends with it.
int spawn(pid_t& pid, const std::vector<std::string>& words, int output) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  const int failure =
      ::posix_spawnp(&pid, argv.front(), &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return failure;
}

// Until the other end is closed; nothing when it takes too long.
bool read_output(int pipe, const CommandOptions& options, std::string& output) {
  const SteadyTime deadline = system_clock().steady_now() + options.timeout;
  std::array<char, 4096> chunk{};
  while (output.size() <= options.most_output_bytes) {
    const auto left = (deadline - system_clock().steady_now()).count();
    pollfd wait{pipe, POLLIN, 0};
    const int ready = ::poll(&wait, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    const ssize_t got = ::read(pipe, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return true;
    output.append(chunk.data(), static_cast<std::size_t>(got));
  }
  return true;
}

// A program may close its output and go on: it has what is left of its time.
bool wait_for_end(pid_t pid, SteadyTime deadline, int& status) {
  for (;;) {
    const pid_t ended = ::waitpid(pid, &status, WNOHANG);
    if (ended == pid) return true;
    if (ended < 0 && errno != EINTR) return false;
    if (system_clock().steady_now() >= deadline) break;
    system_clock().sleep_for(Milliseconds(5));
  }
  (void)::kill(-pid, SIGKILL);
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return false;
}

}  // namespace

Result<std::string> run_command(const std::vector<std::string>& words,
                                const CommandOptions& options) {
  if (words.empty()) return failed("(none)", "has no name");
  const SteadyTime deadline = system_clock().steady_now() + options.timeout;
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return failed(words.front(), "cannot have a pipe");
  pid_t pid = -1;
  const int failure = spawn(pid, words, pipe[1]);
  (void)::close(pipe[1]);
  if (failure != 0) {
    (void)::close(pipe[0]);
    return failed(words.front(), std::string("cannot be started: ") + std::strerror(failure));
  }
  std::string output;
  const bool in_time = read_output(pipe[0], options, output);
  (void)::close(pipe[0]);
  const bool too_long = output.size() > options.most_output_bytes;
  int status = 0;
  const bool ended =
      wait_for_end(pid, in_time && !too_long ? deadline : system_clock().steady_now(), status);
  if (too_long) {
    return permanent_error("command.too_long",
                           "The command " + words.front() + " printed more than " +
                               std::to_string(options.most_output_bytes) + " bytes.");
  }
  if (!in_time || !ended) {
    return transient_error("command.timeout",
                           "The command " + words.front() + " did not end in time.");
  }
  if (!WIFEXITED(status)) return failed(words.front(), "was killed by a signal");
  if (WEXITSTATUS(status) != 0) {
    return failed(words.front(), "ended with status " + std::to_string(WEXITSTATUS(status)));
  }
  return output;
}

}  // namespace isthmus
