// The examiner with the real worker program.
#include "datastore/engine/examiner.h"

#include <fstream>

#include "base/thread.h"
#include "support/dicom_factory.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::datastore {
namespace {

// Import jobs are worked on by threads of their own, which end with the job; the processes they
// started are kept for the next one.
TEST(ProcessExaminer, AProcessOutlivesTheThreadThatStartedIt) {
  test::TestEnv env(1, posix_files(), /*real_time=*/true);
  const auto file = env.folder() / "instance.dcm";
  std::ofstream(file, std::ios::binary) << test::make_part10({});
  ProcessExaminer examiner(env, {.program = test::program("isthmus-import-worker")});
  for (int round = 0; round < 3; ++round) {
    Thread(env, "job", [&] { EXPECT_THAT(examiner.examine(file), test::IsOk()); }).join();
    // Whatever ends a process with its thread does so at once, but not in our thread.
    env.env().clock.sleep_for(Milliseconds(50));
  }

  EXPECT_NE(env.metrics->text().find("isthmus_datastore_import_worker_deaths_total 0"),
            std::string::npos);
}

}  // namespace
}  // namespace isthmus::datastore
