#include "api/stow/commit_ahead.h"

namespace isthmus::api::stow {

CommitAhead::CommitAhead(std::unique_ptr<InstanceIntake> intake, RouteInstance route)
    : intake_(std::move(intake)), route_(std::move(route)) {}

CommitAhead::~CommitAhead() {
  if (begun_) wait();
}

void CommitAhead::begin(WorkerPool& pool) {
  ASSERT(!begun_);
  begun_ = pool.try_submit([this] { carry_out(); });
}

void CommitAhead::carry_out() {
  // Whoever waits is let go whatever happens; the lock is held until nothing of this is touched.
  struct Over {
    CommitAhead& commit;
    std::optional<Result<Receipt>> result;
    ~Over() {
      const std::lock_guard lock(commit.mutex_);
      commit.result_ = std::move(result);
      commit.is_over_ = true;
      commit.ended_.notify_all();
    }
  } over{*this, std::nullopt};
  over.result = intake_->commit(route_);
}

void CommitAhead::wait() {
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [this] { return is_over_; });
}

Result<Receipt> CommitAhead::result() {
  if (!begun_) return intake_->commit(route_);
  wait();
  if (result_) return *std::move(result_);
  return transient_error("spool.io", "The instance could not be stored: see the log.");
}

}  // namespace isthmus::api::stow
