// Threads, and how they wait for each other. A thread that an exception escapes from reports it as
// fatal: a restart is cheap, guessing is not.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/env.h"

namespace isthmus {

// A joined thread with a name (15 characters are shown by the system).
class Thread {
 public:
  Thread() = default;
  Thread(Env& env, std::string name, std::function<void()> body);
  ~Thread() { join(); }
  Thread(Thread&&) noexcept = default;
  Thread& operator=(Thread&& other) noexcept;
  // Waits for the end. May be called twice, and on a thread that never started.
  void join();
  bool joinable() const { return thread_.joinable(); }

 private:
  std::thread thread_;
};

// A hint that there may be work. Hints given while nobody waits are kept (as one). Losing one costs
// time, never data: whoever waits looks for itself when the time is up.
class Wakeup {
 public:
  void notify();
  // Returns at once when notified since the last call; else waits up to `duration`. True if
  // notified.
  bool wait_for(Milliseconds duration);

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool notified_ = false;
};

// A queue with a limit. push waits for room (false once closed), try_push does not; pop waits for
// an item and gives nothing when closed and empty.
template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t limit) : limit_(limit) {}

  bool push(T item) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return closed_ || items_.size() < limit_; });
    if (closed_) return false;
    items_.push_back(std::move(item));
    lock.unlock();
    filled_.notify_one();
    return true;
  }
  bool try_push(T item) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_ || items_.size() >= limit_) return false;
      items_.push_back(std::move(item));
    }
    filled_.notify_one();
    return true;
  }
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    filled_.wait(lock, [&] { return closed_ || !items_.empty(); });
    return take(lock);
  }
  // Nothing when the time is up as well.
  std::optional<T> pop_for(Milliseconds duration) {
    std::unique_lock lock(mutex_);
    filled_.wait_for(lock, duration, [&] { return closed_ || !items_.empty(); });
    return take(lock);
  }
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    room_.notify_all();
    filled_.notify_all();
  }
  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return items_.size();
  }

 private:
  std::optional<T> take(std::unique_lock<std::mutex>& lock) {
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    lock.unlock();
    room_.notify_one();
    return item;
  }

  const std::size_t limit_;
  mutable std::mutex mutex_;
  std::condition_variable room_, filled_;
  std::deque<T> items_;
  bool closed_ = false;
};

// N threads that run jobs from one bounded queue. stop() runs what was queued, then refuses more;
// it may be called twice and before start.
class WorkerPool {
 public:
  WorkerPool(Env& env, std::string name, std::size_t threads, std::size_t queue_limit);
  ~WorkerPool();
  // False when the queue is full or the pool stopped.
  bool try_submit(std::function<void()> job);
  // Waits for room; false once stopped.
  bool submit(std::function<void()> job);
  void stop();

 private:
  BoundedQueue<std::function<void()>> queue_;
  std::vector<Thread> threads_;
};

}  // namespace isthmus
