// One expendable process that examines files (the import worker). What it reads was written by
// anyone: it may crash, hang or eat memory, and then costs one file and is replaced.
//
// Protocol: one request per line on its standard input, one answer per line on its standard output,
// UTF-8 JSON (see examine.h), in order. It ends when its standard input does. Its standard error is
// thrown away: DICOM libraries print values there, and values are patient data.
//
// This is the adapter for posix_spawn, poll and waitpid. Waiting is by the system's monotonic
// clock, not by Env's: a process that hangs does so in real time.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"

namespace isthmus::datastore {

// One thread at a time.
class WorkerProcess {
 public:
  // "datastore.worker_start" (transient) when the program cannot be started.
  static Result<std::unique_ptr<WorkerProcess>> start(const FileSystem::Path& program,
                                                      const std::vector<std::string>& arguments);
  // Kills it, if it still runs.
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  // Sends a line (without line feed) and waits for the answer's line. After any error the process
  // is gone and this object of no more use: "datastore.worker_died" (the message says how),
  // "datastore.worker_killed" (somebody or something from outside ended it: SIGKILL, SIGTERM),
  // "datastore.worker_timeout", "datastore.worker_babble" (more than answer_limit bytes).
  Result<std::string> ask(std::string_view line, Milliseconds timeout, std::uint64_t answer_limit);

 private:
  WorkerProcess(pid_t pid, int socket) : pid_(pid), socket_(socket) {}
  Error died();
  // Ends the process and gives its wait status; nothing when the system does not know it.
  std::optional<int> reap(bool kill_first);

  pid_t pid_;
  int socket_;
  std::string received_;
};

}  // namespace isthmus::datastore
