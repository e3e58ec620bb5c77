// A DIMSE receiver on a free port of 127.0.0.1, in this process, over a spool in memory.
#pragma once

#include <gtest/gtest.h>

#include <fstream>

#include "dimse/receiver.h"
#include "support/dicom_factory.h"
#include "support/intake_spool.h"
#include "support/raw_scu.h"
#include "support/test_env.h"

namespace isthmus::test {

// Sanitizers keep freed memory and slow everything down: there, counts are smaller, memory is not
// compared and soon may be ten seconds.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
// For an answer that nobody may delay: far more than it takes on a machine that is busy otherwise,
// and less than who waits for a silent peer's time-out (3 s or more) takes.
constexpr std::int64_t kSoonMs = kSanitized ? 10'000 : 2'500;

// Resident memory of this process.
inline std::uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * 4096;
}

// Everybody is let in.
inline SenderPolicy open_policy() {
  SenderPolicy policy;
  policy.mode = SenderMode::open;
  return policy;
}

class ReceiverUnderTest {
 public:
  // `marks`: watermarks of admission, which nobody measures unless the test does.
  explicit ReceiverUnderTest(DimseOptions options = {}, SenderPolicy policy = open_policy(),
                             AdmissionOptions marks = {})
      : admission(env, watching(env.folder(), std::move(marks))), senders(std::move(policy)) {
    options.address = "127.0.0.1";
    options.port = 0;
    options.tls_port = 0;
    auto opened = open_dimse_receiver(env, spool, admission, senders, options);
    EXPECT_TRUE(opened.ok()) << describe(opened.error());
    receiver = std::move(opened).value();
  }

  std::uint16_t port() const { return receiver->port(); }
  std::uint16_t tls_port() const { return receiver->tls_port(); }
  Result<std::unique_ptr<RawScu>> associate(const RawAssociate& request) {
    return RawScu::associate("127.0.0.1", port(), request);
  }
  // Status of a C-ECHO over an association of its own, and how long all of it took.
  Result<std::chrono::milliseconds> echo() {
    const auto began = std::chrono::steady_clock::now();
    RawAssociate request;
    request.contexts = {{1, std::string(kVerification), {std::string(kImplicitLittle)}}};
    TRY_ASSIGN(auto scu, associate(request));
    TRY_ASSIGN(const RawResponse response, scu->echo(1));
    TRY(scu->release());
    if (response.status != 0) return permanent_error("raw.status", "the echo failed");
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                                 began);
  }
  // Waits for the sessions whose peers are gone to notice it.
  bool becomes_idle() {
    for (int i = 0; i < 500; ++i) {
      if (receiver->associations() == 0) return true;
      env.env().clock.sleep_for(Milliseconds(10));
    }
    return false;
  }
  double refused(const std::string& reason) {
    return env.metrics->counter("dimse_refused_total", "", {{"reason", reason}}).value();
  }
  double handshakes(const std::string& result) {
    return env.metrics->counter("dimse_tls_handshakes_total", "", {{"result", result}}).value();
  }
  double instances(const std::string& status) {
    return env.metrics->counter("dimse_instances_total", "", {{"status", status}}).value();
  }

  static AdmissionOptions watching(const FileSystem::Path& folder, AdmissionOptions marks) {
    marks.directory = folder;
    return marks;
  }

  TestEnv env{1, posix_files(), true};
  IntakeSpool spool{env};
  Admission admission;
  Senders senders;
  std::unique_ptr<DimseReceiver> receiver;
};

inline RawAssociate request_for(std::string_view sop_class, std::string_view transfer_syntax) {
  RawAssociate request;
  request.contexts = {{1, std::string(kVerification), {std::string(kImplicitLittle)}},
                      {3, std::string(sop_class), {std::string(transfer_syntax)}}};
  return request;
}

}  // namespace isthmus::test
