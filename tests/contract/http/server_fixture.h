// A server that is listening, and peers that are none of our clients.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "contract/http/fixtures.h"
#include "http/server.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::http {

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.header_timeout = Milliseconds(2'000);
    options_.body_idle_timeout = Milliseconds(2'000);
    options_.keep_alive_timeout = Milliseconds(5'000);
    // Echoes the target and the body's size and first bytes.
    handler_.on_open = [this](const Head& head) {
      auto opened = std::make_unique<TestExchange>(count_);
      auto body = std::make_shared<std::string>();
      opened->on_feed = [body](ByteSpan piece) {
        body->append(as_text(piece));
        return true;
      };
      opened->on_finish = [body, target = head.target] {
        return text_response(200, "text/plain", target + "=" + *body + ".");
      };
      return opened;
    };
  }
  void TearDown() override {
    server_.reset();
    EXPECT_TRUE(env_.fatals().empty());
    EXPECT_EQ(metric("isthmus_http_connections"), 0);
  }
  void start() { ASSERT_OK_AND_ASSIGN(server_, listen(env_, handler_, options_)); }
  std::uint16_t port() const { return server_->port(); }

  // Everything that comes back for these bytes until the server ends the connection.
  std::string answer(std::string_view request) {
    Peer peer(port());
    peer.send(request);
    std::string text = peer.read_all();
    EXPECT_TRUE(peer.ended()) << "neither an answer nor an end";
    return text;
  }
  double metric(const std::string& name) {
    const std::string text = "\n" + env_.metrics->text();
    const std::size_t at = text.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 2));
  }
  double refused(const std::string& reason) {
    return metric("isthmus_http_refused_total{reason=\"" + reason + "\"}");
  }

  test::TestEnv env_{1, posix_files(), true};
  ExchangeCount count_;
  TestHandler handler_;
  ServerOptions options_;
  std::unique_ptr<Server> server_;
};

// A peer that sends as fast as it is read, until the connection ends.
class Flood {
 public:
  explicit Flood(std::uint16_t port) : peer_(port) {
    peer_.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 400000000000\r\n\r\n");
    thread_ = std::thread([this] {
      const std::string more(1 << 20, 'x');
      while (!ending_ && peer_.send(more)) {
      }
    });
  }
  ~Flood() {
    ending_ = true;
    thread_.join();
  }

 private:
  Peer peer_;
  std::atomic<bool> ending_ = false;
  std::thread thread_;
};

}  // namespace isthmus::http
