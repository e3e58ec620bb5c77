// Destinations that a person paused: nothing new goes there, what is under way is brought to its
// end.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "pipeline/step.h"

namespace isthmus {

// What is paused right now. Kept by whoever sets it (ledger/access_rows.h). Any thread.
class PauseBoard {
 public:
  void pause(const std::string& destination);
  void resume(const std::string& destination);
  bool is_paused(const std::string& destination) const;

 private:
  mutable std::mutex mutex_;
  std::set<std::string> paused_;
};

// The same step, which does nothing while the destination is paused; looks again within a second,
// or when it is woken. For steps that begin something: the stager, the submitter. The board must
// outlive it.
std::unique_ptr<Step> make_pausable(std::unique_ptr<Step> step, const PauseBoard& board,
                                    std::string destination);

}  // namespace isthmus
