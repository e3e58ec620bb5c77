// isthmus-datastore-dev DIRECTORY [PORT]: the data store alone, listening on loopback, for trying
// clients against it by hand. Keys: DEVKEY / dev-secret. Prints its address; ends with its standard
// input.
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/log.h"
#include "datastore/datastore.h"
#include "http/server.h"

int main(int argc, char** argv) {
  using namespace isthmus;
  if (argc < 2) {
    std::fputs("usage: isthmus-datastore-dev DIRECTORY [PORT]\n", stderr);
    return 2;
  }
  const auto log = make_stderr_log(LogLevel::info);
  const auto metrics = make_metrics();
  Env env{system_clock(), posix_files(), system_entropy(), *log, *metrics, [](const Error& error) {
            std::fprintf(stderr, "fatal: %s\n", describe(error).c_str());
            std::_Exit(1);
          }};
  datastore::DataStoreOptions options;
  options.directory = argv[1];
  options.worker_program =
      std::filesystem::canonical("/proc/self/exe").parent_path() / "isthmus-import-worker";
  options.access_keys = {{"DEVKEY", "dev-secret"}};
  auto store = datastore::open_data_store(env, options);
  if (!store) {
    std::fprintf(stderr, "%s\n", describe(store.error()).c_str());
    return 1;
  }
  http::ServerOptions listening;
  if (argc > 2) listening.port = static_cast<std::uint16_t>(std::atoi(argv[2]));
  auto server = http::listen(env, (*store)->handler(), listening);
  if (!server) {
    std::fprintf(stderr, "%s\n", describe(server.error()).c_str());
    return 1;
  }
  (*store)->start();
  std::printf("http://127.0.0.1:%u\n", (*server)->port());
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  (*server)->stop();
  (*store)->stop();
  return 0;
}
