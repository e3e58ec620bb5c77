// Every byte stream of ../shared/dicom/pdu-seeds, as an attacker would send it, against a receiver
// in this process: it stays alive, answers others within a second, and gives its memory back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "support/matchers.h"
#include "support/receiver_under_test.h"

namespace isthmus::test {
namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return std::move(text).str();
}

std::vector<std::filesystem::path> streams(const std::filesystem::path& shared) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(shared / "dicom" / "pdu-seeds")) {
    if (entry.path().extension() == ".raw") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// Types of the PDUs that came back, in order: "26" is accepted and released.
std::string types_of(std::string_view answer) {
  std::string types;
  while (answer.size() >= 6) {
    types.push_back(static_cast<char>('0' + answer[0]));
    std::size_t length = 6;
    for (int i = 2, shift = 24; i < 6; ++i, shift -= 8) {
      length +=
          static_cast<std::size_t>(static_cast<unsigned char>(answer[static_cast<std::size_t>(i)]))
          << shift;
    }
    answer.remove_prefix(std::min(answer.size(), length));
  }
  return types;
}

// Sends it all at once, says that no more comes, and gives what was answered until the end.
std::string replay(std::uint16_t port, const std::string& stream) {
  auto socket = RawSocket::connect("127.0.0.1", port);
  EXPECT_THAT(socket, IsOk());
  if (!socket.ok()) return {};
  ignore((*socket)->send(stream), "the receiver may close before it has everything");
  (*socket)->half_close();
  return (*socket)->receive_until_closed(Milliseconds(5000));
}

DimseOptions quick() {
  DimseOptions options;
  options.artim_timeout = Milliseconds(3000);
  return options;
}

TEST(HostileStreams, NoneEndsTheReceiverOrDelaysOthers) {
  USE_SHARED(const auto shared);
  ReceiverUnderTest under_test(quick());
  const auto paths = streams(shared);
  ASSERT_GT(paths.size(), 70U);
  for (const auto& path : paths) {
    const std::string stream = read_file(path);
    const auto socket = RawSocket::connect("127.0.0.1", under_test.port());
    ASSERT_THAT(socket, IsOk());
    ignore((*socket)->send(stream), "the receiver may close before it has everything");

    const auto meanwhile = under_test.echo();  // the stream's connection is still open

    ASSERT_THAT(meanwhile, IsOk()) << path;
    EXPECT_LT(meanwhile->count(), kSoonMs) << path;
    (*socket)->half_close();
    EXPECT_TRUE((*socket)->is_closed_within(Milliseconds(5000))) << path;
  }
  EXPECT_TRUE(under_test.becomes_idle());
  EXPECT_EQ(under_test.spool.under_way(), 0U);
  EXPECT_TRUE(under_test.env.fatals().empty());
}

TEST(HostileStreams, AreAnsweredAsTheStandardSays) {
  USE_SHARED(const auto shared);
  ReceiverUnderTest under_test(quick());
  const auto answer_to = [&](const std::string& name) {
    return replay(under_test.port(), read_file(shared / "dicom" / "pdu-seeds" / name));
  };
  // Reject (3) with result, source and reason; abort (7) with source and reason.
  const std::map<std::string, std::string> refused = {
      {"hostile/assoc-version-0.raw", std::string("\x03\0\0\0\0\x04\0\x01\x02\x02", 10)},
      {"hostile/assoc-wrong-appcontext.raw", std::string("\x03\0\0\0\0\x04\0\x01\x01\x02", 10)},
      {"hostile/assoc-no-appcontext.raw", std::string("\x03\0\0\0\0\x04\0\x01\x01\x02", 10)},
      {"hostile/assoc-maxlen-1.raw", std::string("\x03\0\0\0\0\x04\0\x01\x01\x01", 10)},
      {"hostile/assoc-even-context-id.raw", std::string("\x07\0\0\0\0\x04\0\0\x02\x06", 10)},
      {"hostile/assoc-duplicate-context-id.raw", std::string("\x07\0\0\0\0\x04\0\0\x02\x06", 10)},
      {"hostile/assoc-leak-bad-last-context.raw", std::string("\x07\0\0\0\0\x04\0\0\x02\x06", 10)},
      {"hostile/assoc-length-4g.raw", std::string("\x07\0\0\0\0\x04\0\0\x02\x06", 10)},
      {"hostile/pdata-before-assoc.raw", std::string("\x07\0\0\0\0\x04\0\0\x02\x02", 10)},
      {"hostile/release-before-assoc.raw", std::string("\x07\0\0\0\0\x04\0\0\x02\x02", 10)},
      {"hostile/http-get.raw", std::string("\x07\0\0\0\0\x04\0\0\x02\x01", 10)},
      {"hostile/tls-clienthello.raw", std::string("\x07\0\0\0\0\x04\0\0\x02\x01", 10)},
      {"hostile/abort-first.raw", ""},
      {"hostile/assoc-truncated.raw", ""},
  };
  for (const auto& [name, bytes] : refused) EXPECT_EQ(answer_to(name), bytes) << name;
  // Accepted (2), then data (4), release (6) or abort (7).
  const std::map<std::string, std::string> types = {
      {"hostile/ok-echo.raw", "246"},
      {"hostile/assoc-128-contexts.raw", "2"},
      {"hostile/assoc-maxlen-80.raw", "2"},
      {"hostile/assoc-twice.raw", "27"},
      {"hostile/command-nested-2000.raw", "27"},
      {"hostile/command-nested-20000.raw", "27"},
      {"hostile/command-endless.raw", "27"},
      {"hostile/command-in-middle-of-dataset.raw", "27"},
      {"hostile/command-no-field.raw", "27"},
      {"hostile/command-response-unsolicited.raw", "27"},
      {"hostile/dataset-before-command.raw", "27"},
      {"hostile/pdata-length-2g.raw", "27"},
      {"hostile/pdv-length-0.raw", "27"},
      {"hostile/pdv-length-1.raw", "27"},
      {"hostile/pdv-length-overrun.raw", "27"},
      {"hostile/pdv-unaccepted-context.raw", "27"},
      {"hostile/unknown-pdu-type.raw", "27"},
      {"hostile/cstore-abort-midway.raw", "2"},
      {"hostile/cstore-eof-midway.raw", "2"},
  };
  for (const auto& [name, expected] : types) {
    const std::string got = types_of(answer_to(name));
    EXPECT_EQ(got.substr(0, expected.size()), expected) << name << " gave " << got;
  }
}

TEST(HostileStreams, StoreStatusesSayWhatWasWrong) {
  USE_SHARED(const auto shared);
  ReceiverUnderTest under_test(quick());
  const std::map<std::string, std::uint16_t> expected = {
      {"hostile/cstore-class-mismatch-context.raw", 0xA900},
      {"hostile/cstore-empty-dataset.raw", 0xC001},
      {"hostile/cstore-no-dataset-flag.raw", 0x0212},
      {"hostile/cstore-on-verification-context.raw", 0x0122},
      {"hostile/cstore-uid-mismatch.raw", 0xA900},
      {"hostile/cstore-uid-path.raw", 0x0117},
      {"hostile/command-unknown-field.raw", 0x0211},
  };
  for (const auto& [name, status] : expected) {
    const std::string answer =
        replay(under_test.port(), read_file(shared / "dicom" / "pdu-seeds" / name));
    // The response is the first P-DATA-TF behind the A-ASSOCIATE-AC.
    std::size_t length = 6;
    for (std::size_t i = 2; i < 6; ++i) {
      length += static_cast<std::size_t>(static_cast<unsigned char>(answer.at(i)))
                << (24 - 8 * (i - 2));
    }
    ASSERT_GT(answer.size(), length + 12) << name;
    EXPECT_EQ(raw_number(parse_command(answer.substr(length + 12)), 0x0900), status) << name;
  }
  EXPECT_TRUE(under_test.spool.instances().empty());
}

TEST(HostileStreams, SaySameWhateverPiecesTheyComeIn) {
  USE_SHARED(const auto shared);
  ReceiverUnderTest under_test(quick());
  for (const auto* name : {"hostile/ok-echo.raw", "hostile/assoc-duplicate-context-id.raw",
                           "hostile/cstore-uid-mismatch.raw", "hostile/assoc-twice.raw"}) {
    const std::string stream = read_file(shared / "dicom" / "pdu-seeds" / name);
    const std::string at_once = types_of(replay(under_test.port(), stream));
    auto socket = RawSocket::connect("127.0.0.1", under_test.port());
    ASSERT_THAT(socket, IsOk());
    for (std::size_t at = 0; at < stream.size(); at += 3) {
      if (!(*socket)->send(stream.substr(at, 3)).ok()) break;
      if (at % 30 == 0) std::this_thread::yield();
    }
    (*socket)->half_close();
    EXPECT_EQ(types_of((*socket)->receive_until_closed(Milliseconds(5000))), at_once) << name;
  }
}

// leak_test.cc does it 20,000 times for each that leaked somewhere (`./dev test --all`).
TEST(HostileStreams, LeakNothing) {
  USE_SHARED(const auto shared);
  ReceiverUnderTest under_test(quick());
  const std::string leaking =
      read_file(shared / "dicom" / "pdu-seeds" / "hostile" / "assoc-leak-bad-last-context.raw");
  for (int i = 0; i < (kSanitized ? 20 : 300); ++i) replay(under_test.port(), leaking);
  ASSERT_THAT(under_test.echo(), IsOk());
  const std::uint64_t before = resident_bytes();

  for (int i = 0; i < (kSanitized ? 50 : 1000); ++i) {
    replay(under_test.port(), leaking);
    if (i % 25 != 0) continue;
    const auto meanwhile = under_test.echo();
    ASSERT_THAT(meanwhile, IsOk());
    EXPECT_LT(meanwhile->count(), kSoonMs);
  }

  under_test.env.log.clear();  // the fake keeps every line
  const std::uint64_t after = resident_bytes();
  EXPECT_TRUE(kSanitized || after < before + 1 * MiB) << after - before;
  RecordProperty("growth_kib", std::to_string((static_cast<std::int64_t>(after) -
                                               static_cast<std::int64_t>(before)) /
                                              1024));
}

TEST(HostileStreams, AllOfThemTwentyTimesLeakNothing) {
  USE_SHARED(const auto shared);
  ReceiverUnderTest under_test(quick());
  std::vector<std::string> contents;
  for (const auto& path : streams(shared)) contents.push_back(read_file(path));
  for (const auto& stream : contents) replay(under_test.port(), stream);
  ASSERT_TRUE(under_test.becomes_idle());
  const std::uint64_t before = resident_bytes();

  for (int round = 0; round < (kSanitized ? 2 : 20); ++round) {
    for (const auto& stream : contents) replay(under_test.port(), stream);
  }

  ASSERT_TRUE(under_test.becomes_idle());
  const std::uint64_t after = resident_bytes();
  EXPECT_TRUE(kSanitized || after < before + 8 * MiB) << after - before;
}

// 1,000 connections that each send nearly the largest request and stop.
TEST(HostileStreams, HalfSentRequestsShareABudget) {
  ReceiverUnderTest under_test;
  RawAssociate request = request_for(kCtImageStorage, kExplicitLittle);
  for (int i = 0; i < 3; ++i) request.more_items += raw_item(0x7e, std::string(60'000, 'x'));
  const std::string whole = raw_associate_rq(request);
  const std::string most = whole.substr(0, whole.size() - 10);
  ASSERT_THAT(under_test.echo(), IsOk());
  const std::uint64_t before = resident_bytes();
  std::vector<std::unique_ptr<RawSocket>> sockets;
  for (int i = 0; i < 400; ++i) {
    ASSERT_OK_AND_ASSIGN(auto socket, RawSocket::connect("127.0.0.1", under_test.port()));
    ignore(socket->send(most), "the receiver may have closed it");
    sockets.push_back(std::move(socket));
  }

  const auto meanwhile = under_test.echo();

  ASSERT_THAT(meanwhile, IsOk());
  EXPECT_LT(meanwhile->count(), kSoonMs);
  EXPECT_GT(under_test.refused("request_budget"), 100);
  const std::uint64_t after = resident_bytes();
  EXPECT_TRUE(kSanitized || after < before + 32 * MiB) << after - before;
}

}  // namespace
}  // namespace isthmus::test
