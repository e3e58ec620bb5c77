// Shares a fixed number of slots among whoever wants some: the one with the fewest is served first,
// so that a small job beside a large one does not wait for its end.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <string>

namespace isthmus::datastore {

// Any thread.
class FairShare {
 public:
  explicit FairShare(std::size_t slots) : free_(slots) {}

  // Waits for a slot; given back when destroyed.
  class Slot {
   public:
    Slot(FairShare& owner, const std::string& who) : owner_(owner), who_(who) { owner_.take(who_); }
    ~Slot() { owner_.give_back(who_); }
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;

   private:
    FairShare& owner_;
    const std::string who_;
  };

  // Who waits now, for tests.
  std::size_t waiting();

 private:
  struct Share {
    std::size_t held = 0;
    std::size_t waiting = 0;
  };
  void take(const std::string& who);
  void give_back(const std::string& who);
  bool may_take(const std::string& who) const;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t free_;
  std::map<std::string, Share> shares_;  // of those that hold or wait
};

}  // namespace isthmus::datastore
