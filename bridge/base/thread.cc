#include "base/thread.h"

#include <pthread.h>

#include <exception>

namespace isthmus {

Thread::Thread(Env& env, std::string name, std::function<void()> body)
    : thread_([&env, name = std::move(name), body = std::move(body)] {
        pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
        try {
          body();
        } catch (const std::exception& escaped) {
          env.on_fatal(fatal_error("thread.exception", name + " ended with: " + escaped.what()));
        }
      }) {}

Thread& Thread::operator=(Thread&& other) noexcept {
  join();
  thread_ = std::move(other.thread_);
  return *this;
}

void Thread::join() {
  if (thread_.joinable()) thread_.join();
}

void Wakeup::notify() {
  {
    const std::lock_guard lock(mutex_);
    notified_ = true;
  }
  condition_.notify_all();
}

bool Wakeup::wait_for(Milliseconds duration) {
  std::unique_lock lock(mutex_);
  condition_.wait_for(lock, duration, [&] { return notified_; });
  return std::exchange(notified_, false);
}

WorkerPool::WorkerPool(Env& env, std::string name, std::size_t threads, std::size_t queue_limit)
    : queue_(queue_limit) {
  for (std::size_t i = 0; i < threads; ++i) {
    threads_.emplace_back(env, name, [this] {
      while (auto job = queue_.pop()) (*job)();
    });
  }
}

WorkerPool::~WorkerPool() {
  stop();
}

bool WorkerPool::try_submit(std::function<void()> job) {
  return queue_.try_push(std::move(job));
}
bool WorkerPool::submit(std::function<void()> job) {
  return queue_.push(std::move(job));
}

void WorkerPool::stop() {
  queue_.close();
  for (Thread& thread : threads_) thread.join();
}

}  // namespace isthmus
