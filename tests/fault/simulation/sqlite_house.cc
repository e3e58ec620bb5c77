#include "fault/simulation/sqlite_house.h"

#include <cstdlib>
#include <filesystem>

namespace isthmus::test {
namespace {

// In memory where the system has a place for that: here nothing ever depends on a sync, and a run
// has thousands of them.
class QuickFolder {
 public:
  QuickFolder() {
    const std::filesystem::path shared_memory = "/dev/shm";
    const bool there = std::filesystem::is_directory(shared_memory);
    const auto parent = there ? shared_memory : std::filesystem::temp_directory_path();
    std::string pattern = (parent / "isthmus-simulation-XXXXXX").string();
    ASSERT(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~QuickFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  QuickFolder(const QuickFolder&) = delete;
  QuickFolder& operator=(const QuickFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class SqliteHouse : public LedgerHouse {
 public:
  SqliteHouse(Env& env, std::vector<std::string> destinations) : env_(env) {
    options_.directory = folder_.path();
    options_.destinations = std::move(destinations);
    reopen();
  }
  Ledger& ledger() override { return *ledger_; }
  // What a call of ours had not begun is not there; what it had ended is. That power fails within a
  // commit is for fault/power and fault/crash.
  void reopen() override {
    ledger_.reset();
    auto opened = open_sqlite_ledger(env_, options_);
    ASSERT(opened.ok());
    ledger_ = std::move(opened).value();
  }

 private:
  Env& env_;
  QuickFolder folder_;
  LedgerOptions options_;
  std::unique_ptr<Ledger> ledger_;
};

}  // namespace

std::unique_ptr<LedgerHouse> sqlite_house(Env& env, std::vector<std::string> destinations) {
  return std::make_unique<SqliteHouse>(env, std::move(destinations));
}

}  // namespace isthmus::test
