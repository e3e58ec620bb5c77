#include "support/test_env.h"

#include <cstdlib>
#include <fstream>

namespace isthmus::test {

WallTime FakeClock::wall_now() const {
  const std::lock_guard lock(mutex_);
  elapsed_ += tick_;
  return *from_rfc3339("2026-01-31T09:30:00Z") + elapsed_;
}
SteadyTime FakeClock::steady_now() const {
  const std::lock_guard lock(mutex_);
  return SteadyTime(Milliseconds(1'000'000)) + elapsed_;
}
void FakeClock::advance(Milliseconds duration) {
  const std::lock_guard lock(mutex_);
  elapsed_ += duration;
}

void FakeClock::tick_at_each_reading(Milliseconds tick) {
  const std::lock_guard lock(mutex_);
  tick_ = tick;
}

void SeededEntropy::fill(MutableByteSpan into) {
  const std::lock_guard lock(mutex_);
  for (std::byte& b : into) b = static_cast<std::byte>(engine_() & 0xFF);
}

TempFolder::TempFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "isthmus-test-XXXXXX").string();
  ASSERT(::mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}
TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void RecordingLog::event(LogLevel level, std::string_view name,
                         std::initializer_list<LogField> fields) {
  constexpr std::string_view kNames[] = {"debug", "info", "warn", "error"};
  std::string line(kNames[static_cast<int>(level)]);
  line += ' ';
  line += name;
  for (const LogField& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    line += log_value(field.value);
  }
  const std::lock_guard lock(mutex_);
  lines_.push_back(std::move(line));
}
std::vector<std::string> RecordingLog::lines() const {
  const std::lock_guard lock(mutex_);
  return lines_;
}
void RecordingLog::clear() {
  const std::lock_guard lock(mutex_);
  lines_.clear();
  lines_.shrink_to_fit();
}

bool RecordingLog::contains(std::string_view text) const {
  for (const std::string& line : lines()) {
    if (line.find(text) != std::string::npos) return true;
  }
  return false;
}

TestEnv::TestEnv(std::uint64_t seed, FileSystem& files, bool real_time)
    : entropy(seed),
      env_{real_time ? system_clock() : clock,
           files,
           entropy,
           log,
           *metrics,
           [this](const Error& error) {
             const std::lock_guard lock(mutex_);
             fatals_.push_back(error);
           }} {}

std::vector<Error> TestEnv::fatals() const {
  const std::lock_guard lock(mutex_);
  return fatals_;
}

std::optional<std::filesystem::path> shared_folder() {
  std::filesystem::path folder = source_folder().parent_path() / "shared";
  if (const char* named = std::getenv("ISTHMUS_SHARED")) folder = named;
  if (!std::filesystem::exists(folder / "dicom" / "MANIFEST.tsv")) return std::nullopt;
  return folder;
}

}  // namespace isthmus::test
