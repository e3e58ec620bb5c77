#include "tls/client_hello.h"

#include <gtest/gtest.h>

#include <string>

namespace isthmus::tls {
namespace {

std::string number(std::size_t value, int bytes) {
  std::string text;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    text.push_back(static_cast<char>((value >> shift) & 0xff));
  }
  return text;
}

std::string record(const std::string& content) {
  return std::string("\x16\x03\x01", 3) + number(content.size(), 2) + content;
}

std::string hello_message(std::size_t length) {
  return std::string("\x01", 1) + number(length, 3) + std::string(length, 'x');
}

std::string in_fragments_of(std::size_t size, const std::string& message) {
  std::string records;
  for (std::size_t at = 0; at < message.size(); at += size) {
    records += record(message.substr(at, size));
  }
  return records;
}

Hello verdict(const std::string& bytes) {
  return examine_client_hello(as_bytes(bytes));
}

TEST(ClientHello, IsCompleteWithItsLastByte) {
  const std::string bytes = record(hello_message(512));

  EXPECT_EQ(verdict(bytes), Hello::complete);
  EXPECT_EQ(verdict(bytes + "more"), Hello::complete);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_EQ(verdict(bytes.substr(0, size)), Hello::incomplete) << size;
  }
}

TEST(ClientHello, MayComeInRecordsOfOneByte) {
  const std::string bytes = in_fragments_of(1, hello_message(2000));

  EXPECT_EQ(verdict(bytes), Hello::complete);
  EXPECT_EQ(verdict(bytes.substr(0, bytes.size() - 1)), Hello::incomplete);
}

TEST(ClientHello, IsToldFromWhatIsNoTls) {
  EXPECT_EQ(verdict(std::string("\x01\x00\x00\x00\x00\xcd", 6)), Hello::not_tls);  // A-ASSOCIATE-RQ
  EXPECT_EQ(verdict("GET / HTTP/1.1\r\n"), Hello::not_tls);
  EXPECT_EQ(verdict(std::string("\x80\x2e\x01\x03\x01", 5)), Hello::not_tls);  // SSL 2
  EXPECT_EQ(verdict(std::string("\x16\x02\x00", 3)), Hello::not_tls);
}

TEST(ClientHello, IsRefusedBeforeWhatItAnnouncesIsReserved) {
  const std::string giant = std::string("\x01", 1) + number(131'000, 3);

  EXPECT_EQ(verdict(record(giant)), Hello::malformed);
  EXPECT_EQ(verdict(in_fragments_of(1, giant)), Hello::malformed);
  EXPECT_EQ(verdict(std::string("\x16\x03\x01\xff\xff", 5)), Hello::malformed);
  EXPECT_EQ(verdict(std::string("\x16\x03\x01\x00\x00", 5)), Hello::malformed);
  EXPECT_EQ(verdict(record("\x02")), Hello::malformed);  // a ServerHello
  EXPECT_EQ(verdict(record("\x01") + std::string("\x17\x03\x03")), Hello::malformed);
  EXPECT_EQ(verdict(in_fragments_of(1, hello_message(4'000))), Hello::malformed);
}

TEST(ClientHello, IsRecognisedOnAPortThatSpeaksNoTls) {
  EXPECT_TRUE(looks_like_tls(as_bytes(record(hello_message(100)))));
  EXPECT_FALSE(looks_like_tls(as_bytes(std::string("\x01\x00\x00\x00", 4))));
  EXPECT_FALSE(looks_like_tls(as_bytes(std::string("\x16"))));
}

}  // namespace
}  // namespace isthmus::tls
