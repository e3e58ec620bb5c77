// An Env for tests: a clock that moves only when told, randomness from a seed, and a folder of its
// own on the real disk unless another file system is given.
#pragma once

#include <filesystem>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/env.h"

namespace isthmus::test {

// Starts at 2026-01-31T09:30:00Z. sleep_for() moves it and returns at once. Any thread.
class FakeClock : public Clock {
 public:
  WallTime wall_now() const override;
  SteadyTime steady_now() const override;
  void sleep_for(Milliseconds duration) override { advance(duration); }
  void advance(Milliseconds duration);
  // From here on each reading of the wall clock moves it, as time passes while work is done.
  void tick_at_each_reading(Milliseconds tick);

 private:
  mutable std::mutex mutex_;
  mutable Milliseconds elapsed_{0};
  Milliseconds tick_{0};
};

// Any thread.
class SeededEntropy : public Entropy {
 public:
  explicit SeededEntropy(std::uint64_t seed) : engine_(seed) {}
  void fill(MutableByteSpan into) override;

 private:
  std::mutex mutex_;
  std::mt19937_64 engine_;
};

// A folder that is removed with everything in it.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Keeps every event as one line "level name key=value …". Any thread.
class RecordingLog : public Log {
 public:
  void event(LogLevel level, std::string_view name,
             std::initializer_list<LogField> fields) override;
  std::vector<std::string> lines() const;
  bool contains(std::string_view text) const;
  void clear();

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

// Give `real_time` to tests that wait for real threads and sockets.
class TestEnv {
 public:
  explicit TestEnv(std::uint64_t seed = 1, FileSystem& files = posix_files(),
                   bool real_time = false);
  Env& env() { return env_; }
  operator Env&() { return env_; }
  const std::filesystem::path& folder() const { return folder_.path(); }
  std::vector<Error> fatals() const;

  FakeClock clock;
  SeededEntropy entropy;
  RecordingLog log;
  std::unique_ptr<Metrics> metrics = make_metrics();

 private:
  TempFolder folder_;
  mutable std::mutex mutex_;
  std::vector<Error> fatals_;
  Env env_;
};

// The folder "shared" beside the repository (or what ISTHMUS_SHARED names), when it is there. Tests
// that need it say so and skip: USE_SHARED(const auto shared);
std::optional<std::filesystem::path> shared_folder();

#define USE_SHARED(declaration)                                                        \
  const auto shared_folder_or_none = ::isthmus::test::shared_folder();                 \
  if (!shared_folder_or_none) {                                                        \
    GTEST_SKIP() << "no ../shared beside the repository: this test reads files of it"; \
  }                                                                                    \
  declaration = *shared_folder_or_none

// The root of this checkout.
std::filesystem::path source_folder();

// A program of this build: program("isthmus").
std::filesystem::path program(std::string_view name);

}  // namespace isthmus::test
