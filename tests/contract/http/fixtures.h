// What the suites of http share: bodies that are made while they are read, a handler that tells
// what it saw, a plain socket, and a server of canned bytes.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>

#include "http/http.h"

namespace isthmus::http {

inline std::byte pattern_at(std::uint64_t position) {
  return static_cast<std::byte>((position * 31 + position / 977) & 0xFF);
}

// Bytes that are never all in memory.
class PatternSource : public ByteSource {
 public:
  explicit PatternSource(std::uint64_t size) : size_(size) {}
  std::uint64_t size() const override { return size_; }
  Result<std::size_t> read(MutableByteSpan into) override {
    const std::uint64_t at = given_;
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), size_ - at));
    for (std::size_t i = 0; i < count; ++i) into[i] = pattern_at(at + i);
    largest_read_ = std::max(largest_read_, into.size());
    given_ = at + count;
    return count;
  }
  Result<void> rewind() override {
    given_ = 0;
    return {};
  }
  std::uint64_t given() const { return given_; }
  std::size_t largest_read() const { return largest_read_; }

 private:
  const std::uint64_t size_;
  std::atomic<std::uint64_t> given_ = 0;
  std::size_t largest_read_ = 0;
};

// Sanitizers keep freed memory for themselves: only other builds can tell how much is in use.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryTells = false;
#else
constexpr bool kMemoryTells = true;
#endif

inline std::uint64_t resident_bytes() {
  if (!kMemoryTells) return 0;
  std::ifstream statm("/proc/self/statm");
  std::uint64_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

// A latch that can be waited for with a limit.
class Gate {
 public:
  void open() {
    {
      const std::lock_guard lock(mutex_);
      open_ = true;
    }
    condition_.notify_all();
  }
  bool wait(Milliseconds limit = Milliseconds(20'000)) {
    std::unique_lock lock(mutex_);
    return condition_.wait_for(lock, limit, [&] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool open_ = false;
};

// One TCP connection, blocking, with a limit on every wait.
class Peer {
 public:
  explicit Peer(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  struct Accepted {
    int socket;
  };
  explicit Peer(Accepted accepted) : socket_(accepted.socket), connected_(true) {}
  ~Peer() { close(); }
  Peer(const Peer&) = delete;

  bool connected() const { return connected_; }
  int socket() const { return socket_; }
  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  void half_close() { ::shutdown(socket_, SHUT_WR); }

  // False when the other side has ended the connection.
  bool send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t count = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }
  // Reads until `text` holds `end`, or the connection ends, or the time is up.
  std::string read_until(std::string_view end, Milliseconds limit = Milliseconds(10'000)) {
    std::string text;
    while (end.empty() || text.find(end) == std::string::npos) {
      char bytes[4096];
      pollfd waiting{socket_, POLLIN, 0};
      if (::poll(&waiting, 1, static_cast<int>(limit.count())) <= 0) {
        timed_out_ = true;
        return text;
      }
      const ssize_t count = ::recv(socket_, bytes, sizeof bytes, 0);
      if (count <= 0) {
        ended_ = true;
        return text;
      }
      text.append(bytes, static_cast<std::size_t>(count));
    }
    return text;
  }
  std::string read_all(Milliseconds limit = Milliseconds(10'000)) { return read_until("", limit); }
  bool ended() const { return ended_; }
  bool timed_out() const { return timed_out_; }

 private:
  int socket_;
  bool connected_ = false;
  bool ended_ = false;
  bool timed_out_ = false;
};

// Accepts connections one after the other and does with each what it was told to.
class CannedServer {
 public:
  explicit CannedServer(std::function<void(Peer&, int connection)> serve)
      : serve_(std::move(serve)), socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    ::bind(socket_, reinterpret_cast<sockaddr*>(&address), length);
    ::listen(socket_, 16);
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] {
      for (int connection = 1;; ++connection) {
        const int accepted = ::accept(socket_, nullptr, nullptr);
        if (accepted < 0) return;
        Peer peer(Peer::Accepted{accepted});
        connections_ = connection;
        serve_(peer, connection);
      }
    });
  }
  ~CannedServer() {
    ::shutdown(socket_, SHUT_RDWR);
    ::close(socket_);
    thread_.join();
  }
  std::string url(std::string_view target = "/") const {
    return "http://127.0.0.1:" + std::to_string(port_) + std::string(target);
  }
  int connections() const { return connections_; }

 private:
  std::function<void(Peer&, int)> serve_;
  int socket_;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_ = 0;
  std::thread thread_;
};

// Calls functions of the test, so that each test says what its handler does.
class TestHandler : public Handler {
 public:
  std::function<std::unique_ptr<Exchange>(const Head&)> on_open;

  std::unique_ptr<Exchange> open(const Head& head) override { return on_open(head); }
};

// What became of the exchanges of a handler. Outlives them.
struct ExchangeCount {
  std::atomic<int> opened = 0, finished = 0, destroyed_unfinished = 0;
  Gate destroyed;
};

class TestExchange : public Exchange {
 public:
  std::function<bool(ByteSpan)> on_feed = [](ByteSpan) { return true; };
  std::function<Milliseconds()> on_pause = [] { return Milliseconds(0); };
  std::function<Response()> on_finish = [] { return text_response(200, "text/plain", "done"); };

  explicit TestExchange(ExchangeCount& count) : count_(count) { ++count_.opened; }
  ~TestExchange() override {
    if (!finished_) ++count_.destroyed_unfinished;
    count_.destroyed.open();
  }
  bool feed(ByteSpan piece) override { return on_feed(piece); }
  Milliseconds pause() override { return on_pause(); }
  Response finish() override {
    finished_ = true;
    ++count_.finished;
    return on_finish();
  }

 private:
  ExchangeCount& count_;
  bool finished_ = false;
};

}  // namespace isthmus::http
