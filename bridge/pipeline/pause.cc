#include "pipeline/pause.h"

namespace isthmus {
namespace {

constexpr NextRun kLookAgain{Milliseconds(1'000)};

class PausableStep final : public Step {
 public:
  PausableStep(std::unique_ptr<Step> step, const PauseBoard& board, std::string destination)
      : step_(std::move(step)), board_(board), destination_(std::move(destination)) {}

  std::string_view name() const override { return step_->name(); }
  Milliseconds spacing() const override { return step_->spacing(); }
  Result<NextRun> run_once() override {
    if (board_.is_paused(destination_)) return kLookAgain;
    return step_->run_once();
  }

 private:
  const std::unique_ptr<Step> step_;
  const PauseBoard& board_;
  const std::string destination_;
};

}  // namespace

void PauseBoard::pause(const std::string& destination) {
  const std::lock_guard lock(mutex_);
  paused_.insert(destination);
}

void PauseBoard::resume(const std::string& destination) {
  const std::lock_guard lock(mutex_);
  paused_.erase(destination);
}

bool PauseBoard::is_paused(const std::string& destination) const {
  const std::lock_guard lock(mutex_);
  return paused_.contains(destination);
}

std::unique_ptr<Step> make_pausable(std::unique_ptr<Step> step, const PauseBoard& board,
                                    std::string destination) {
  return std::make_unique<PausableStep>(std::move(step), board, std::move(destination));
}

}  // namespace isthmus
