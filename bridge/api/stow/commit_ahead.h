// Commits an instance while the next one of its request is received. Private to api/stow.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

#include "base/thread.h"
#include "intake/instance_intake.h"

namespace isthmus::api::stow {

// What waits for the disk on behalf of all requests: a few at a time, the others do it themselves.
constexpr std::size_t kCommitThreads = 4;

// One commit that may be carried out by another thread. One thread at a time, but for that one.
class CommitAhead {
 public:
  CommitAhead(std::unique_ptr<InstanceIntake> intake, RouteInstance route);
  // Waits for a commit that was begun. One that was not is never made: nobody was promised
  // anything, and the instance leaves nothing behind.
  ~CommitAhead();
  CommitAhead(const CommitAhead&) = delete;
  CommitAhead& operator=(const CommitAhead&) = delete;

  // Has `pool` begin it, if that has a thread to spare. Once.
  void begin(WorkerPool& pool);
  // Its result: commits here and now when nobody has begun. Once.
  Result<Receipt> result();
  const InstanceIntake& intake() const { return *intake_; }

 private:
  void carry_out();
  void wait();

  std::unique_ptr<InstanceIntake> intake_;
  const RouteInstance route_;
  bool begun_ = false;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool is_over_ = false;
  std::optional<Result<Receipt>> result_;
};

}  // namespace isthmus::api::stow
