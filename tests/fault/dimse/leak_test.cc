// 20,000 associations of each stream that made some receiver leak (MEASURED.md sections 10 and 11):
// memory does not grow. The short version is in hostile_streams_test.cc.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "support/matchers.h"
#include "support/receiver_under_test.h"

namespace isthmus::test {
namespace {

constexpr int kAssociations = kSanitized ? 200 : 20'000;
// Arenas of threads that come and go settle within these.
constexpr int kWarmUp = kSanitized ? 20 : 2'000;

class Leak : public testing::TestWithParam<const char*> {
 protected:
  static void replay(std::uint16_t port, const std::string& stream) {
    auto socket = RawSocket::connect("127.0.0.1", port);
    ASSERT_THAT(socket, IsOk());
    ignore((*socket)->send(stream), "the receiver may close before it has everything");
    (*socket)->half_close();
    (*socket)->receive_until_closed(Milliseconds(5000));
  }
};

TEST_P(Leak, TwentyThousandAssociationsLeaveNothingBehind) {
  USE_SHARED(const auto shared);
  std::ostringstream content;
  content << std::ifstream(shared / "dicom" / "pdu-seeds" / "hostile" / GetParam(),
                           std::ios::binary)
                 .rdbuf();
  const std::string stream = std::move(content).str();
  ASSERT_FALSE(stream.empty());
  ReceiverUnderTest under_test;
  under_test.spool.forget_bytes();
  for (int i = 0; i < kWarmUp; ++i) replay(under_test.port(), stream);
  ASSERT_TRUE(under_test.becomes_idle());
  under_test.env.log.clear();
  const std::uint64_t before = resident_bytes();

  for (int i = 0; i < kAssociations; ++i) {
    replay(under_test.port(), stream);
    if (i % 100 == 0) under_test.env.log.clear();  // the fake keeps every line
  }

  ASSERT_TRUE(under_test.becomes_idle());
  under_test.env.log.clear();
  const auto growth =
      static_cast<std::int64_t>(resident_bytes()) - static_cast<std::int64_t>(before);
  RecordProperty("growth_kib", std::to_string(growth / 1024));
  EXPECT_TRUE(kSanitized || growth < static_cast<std::int64_t>(1 * MiB)) << growth;
  EXPECT_THAT(under_test.echo(), IsOk());
}

INSTANTIATE_TEST_SUITE_P(, Leak,
                         testing::Values("assoc-leak-bad-last-context.raw", "assoc-truncated.raw",
                                         "assoc-context-5000-ts.raw", "assoc-128-contexts.raw",
                                         "assoc-twice.raw", "command-nested-2000.raw",
                                         "cstore-abort-midway.raw", "cstore-eof-midway.raw",
                                         "ok-echo.raw"),
                         [](const auto& one) {
                           std::string name = one.param;
                           name.resize(name.find('.'));
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace isthmus::test
