// The worker as the data store meets it: a process, lines in, lines out.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "support/dicom_factory.h"
#include "support/test_env.h"

namespace isthmus::datastore {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Worker {
 public:
  explicit Worker(std::vector<std::string> arguments = {}) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return;
    socket_ = ends[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    const std::string path = test::program("isthmus-import-worker").string();
    arguments.insert(arguments.begin(), path);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    if (posix_spawn(&pid_, path.c_str(), &actions, nullptr, argv.data(), environ) != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
  }

  ~Worker() {
    end();
    if (pid_ > 0 && !status_) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // The answer's line, or nothing when the worker died instead.
  std::optional<std::string> ask(const std::string& line) {
    const std::string request = line + "\n";
    if (send(socket_, request.data(), request.size(), MSG_NOSIGNAL) < 0) return std::nullopt;
    while (true) {
      if (const std::size_t end = received_.find('\n'); end != std::string::npos) {
        std::string answer = received_.substr(0, end);
        received_.erase(0, end + 1);
        return answer;
      }
      char buffer[65536];
      const ssize_t count = recv(socket_, buffer, sizeof buffer, 0);
      if (count <= 0) return std::nullopt;
      received_.append(buffer, static_cast<std::size_t>(count));
    }
  }

  json ask_file(const fs::path& path) {
    const std::optional<std::string> answer = ask(json({{"path", path.string()}}).dump());
    return answer ? whole(*answer) : json(nullptr);
  }

  // The members of the document behind the tab, too.
  static json whole(const std::string& line) {
    const std::size_t tab = std::min(line.find('\t'), line.size());
    json answer = json::parse(line.substr(0, tab), nullptr, false);
    if (tab < line.size()) answer.update(json::parse(line.substr(tab + 1), nullptr, false));
    return answer;
  }

  // Ends its input, and gives its exit status as waitpid does.
  int wait() {
    end();
    int status = 0;
    waitpid(pid_, &status, 0);
    status_ = status;
    return status;
  }

  // Bytes of memory it ever had at once.
  std::uint64_t peak_bytes() const {
    std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * KiB;
    }
    return 0;
  }
  pid_t pid() const { return pid_; }

 private:
  void end() {
    if (socket_ >= 0) close(socket_);
    socket_ = -1;
  }

  pid_t pid_ = -1;
  int socket_ = -1;
  std::string received_;
  std::optional<int> status_;
};

// Sanitizers map terabytes and answer no memory by dying: limits on memory mean nothing there.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SKIP_UNDER_SANITIZERS() GTEST_SKIP() << "a limit on memory, under a sanitizer"
#else
#define SKIP_UNDER_SANITIZERS() static_cast<void>(0)
#endif

class ImportWorker : public testing::Test {
 protected:
  fs::path file(const std::string& name, std::string_view bytes) {
    const fs::path path = folder_.path() / name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }

  test::TempFolder folder_;
};

TEST_F(ImportWorker, AnswersFileAfterFileUntilItsInputEnds) {
  Worker worker;
  const fs::path good = file("good", test::make_part10({}));
  const fs::path bad = file("bad", "no DICOM");

  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(worker.ask_file(good)["identity"]["sopInstanceUID"], "2.25.1001.1.1");
    EXPECT_EQ(worker.ask_file(bad)["message"], "DICOM attribute TransferSyntaxUID does not exist");
  }

  EXPECT_EQ(worker.wait(), 0);
}

TEST_F(ImportWorker, ExaminesAPartOfAFileAndGivesBackTheId) {
  Worker worker;
  const std::string dicom = test::make_part10({});
  const fs::path path = file("segment", "before" + dicom + "behind, which is not part of it");

  const auto answer = worker.ask(json({{"path", path.string()},
                                       {"offset", 6},
                                       {"length", dicom.size()},
                                       {"id", {{"any", "thing"}}}})
                                     .dump());

  ASSERT_TRUE(answer.has_value());
  EXPECT_TRUE(Worker::whole(*answer)["ok"].get<bool>()) << *answer;
  EXPECT_EQ(Worker::whole(*answer)["id"], json::parse(R"({"any":"thing"})"));
}

TEST_F(ImportWorker, AnswersRequestsItCannotServe) {
  Worker worker;
  const fs::path path = file("small", "x");
  for (const std::string& request :
       {std::string("not JSON"), std::string("{}"), std::string("[]"), std::string(R"({"path":7})"),
        json({{"path", path.string()}, {"offset", 2}}).dump(),
        json({{"path", path.string()}, {"length", 2}}).dump(),
        json({{"path", path.string()}, {"offset", "x"}}).dump(),
        json({{"path", (folder_.path() / "none").string()}}).dump(),
        json({{"path", folder_.path().string()}}).dump()}) {
    const auto answer = worker.ask(request);

    ASSERT_TRUE(answer.has_value()) << request;
    EXPECT_FALSE(json::parse(*answer)["ok"].get<bool>());
    EXPECT_EQ(json::parse(*answer)["exceptionType"], "InternalServerException") << request;
  }
}

TEST_F(ImportWorker, RefusesOptionsItDoesNotKnow) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"--memory-bytes"}, {"--memory-bytes", "x"}, {"--x", "1"}}) {
    Worker worker(arguments);
    EXPECT_EQ(WEXITSTATUS(worker.wait()), 2);
  }
}

TEST_F(ImportWorker, SetsItsLimitsBeforeTheFirstFile) {
  SKIP_UNDER_SANITIZERS();
  Worker worker({"--memory-bytes", "268435456", "--cpu-seconds", "7"});
  worker.ask_file(file("good", test::make_part10({})));

  rlimit core{}, space{}, cpu{}, size{};
  ASSERT_EQ(prlimit(worker.pid(), RLIMIT_CORE, nullptr, &core), 0);
  ASSERT_EQ(prlimit(worker.pid(), RLIMIT_AS, nullptr, &space), 0);
  ASSERT_EQ(prlimit(worker.pid(), RLIMIT_CPU, nullptr, &cpu), 0);
  ASSERT_EQ(prlimit(worker.pid(), RLIMIT_FSIZE, nullptr, &size), 0);

  EXPECT_EQ(core.rlim_cur, 0U);
  EXPECT_GT(space.rlim_max, 268435456U);
  EXPECT_LT(space.rlim_max, 268435456U + 1 * GiB);
  EXPECT_LE(cpu.rlim_cur, 10U);
  EXPECT_EQ(size.rlim_max, 0U);
}

TEST_F(ImportWorker, RefusesAFileThatNeedsMoreMemoryThanAllowedAndGoesOn) {
  SKIP_UNDER_SANITIZERS();
  Worker worker({"--memory-bytes", "50331648"});
  test::DicomWriter w;
  // Within every value limit, but far more than 48 MiB together.
  for (std::uint32_t i = 0; i < 30; ++i) w.element(0x00291000 + i, "OB", std::string(3 * MiB, 'x'));
  test::DicomRecipe recipe;
  recipe.more = [&w](test::DicomWriter& into) { into.raw(w.bytes()); };

  const json answer = worker.ask_file(file("greedy", test::make_part10(recipe)));

  ASSERT_FALSE(answer.is_null()) << "died";
  EXPECT_EQ(answer["code"], "worker.out_of_memory");
  EXPECT_TRUE(worker.ask_file(file("good", test::make_part10({})))["ok"].get<bool>());
}

TEST_F(ImportWorker, NeedsLittleMemoryForALargeFile) {
  SKIP_UNDER_SANITIZERS();
  Worker worker;
  test::DicomRecipe recipe{.rows = 4096, .columns = 4096};
  recipe.frames = 8;  // 256 MiB
  const fs::path path = folder_.path() / "large";
  {
    std::ofstream out(path, std::ios::binary);
    test::write_part10(recipe, [&out](std::string_view piece) { out << piece; });
  }

  EXPECT_EQ(worker.ask_file(path)["frames"], 8);

  EXPECT_LT(worker.peak_bytes(), 64 * MiB);
}

TEST_F(ImportWorker, OutlivesEveryFileOfTheSharedSetOrDiesAloneOfIt) {
  USE_SHARED(const fs::path shared);
  auto worker = std::make_unique<Worker>();
  std::set<std::string> deaths;
  std::map<std::string, json> hostile;
  int answers = 0;
  for (const auto& entry : fs::recursive_directory_iterator(shared / "dicom")) {
    if (!entry.is_regular_file()) continue;
    const json answer = worker->ask_file(entry.path());
    if (answer.is_null() || answer.is_discarded()) {
      deaths.insert(entry.path().filename().string());
      worker = std::make_unique<Worker>();
      continue;
    }
    ++answers;
    hostile[entry.path().filename().string()] = answer;
  }

  EXPECT_EQ(deaths, std::set<std::string>{});
  EXPECT_GT(answers, 900);
  // These overflow the stack of DCMTK's parser: refused before it sees them.
  for (const auto* name : {"nesting-implicit-20000.dcm", "nesting-unclosed-20000.dcm",
                           "nesting-undefined-20000.dcm", "nesting-undefined-3000.dcm"}) {
    EXPECT_EQ(hostile[name]["code"], "dicom.too_deep") << name;
  }
  EXPECT_LT(worker->peak_bytes(), 1 * GiB);
  EXPECT_TRUE(worker->ask_file(file("good", test::make_part10({})))["ok"].get<bool>());
}

}  // namespace
}  // namespace isthmus::datastore
