// One connection of the server, and what all of them share. Private to beast/.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <mutex>
#include <set>
#include <vector>

#include "base/thread.h"
#include "http/beast/stream.h"
#include "http/rules/body_decoder.h"
#include "http/server.h"

namespace isthmus::http::beast_server {

constexpr std::size_t kTurnedAway = 64;  // connections too many that are told so at one time

class Counters {
 public:
  explicit Counters(Metrics& metrics);
  void answered(int status);
  // `reason` is one of ours: connections, header_bytes, header_timeout, body_bytes, body_timeout,
  // framing.
  void refused(const char* reason);
  Gauge& connections;
  Gauge& live_answers;

 private:
  Metrics& metrics_;
  std::array<Counter*, 5> statuses_{};
};

class Connection;
struct Core;

// One of the answers that may go on at a time, while it lives.
class LivePlace {
 public:
  static std::unique_ptr<LivePlace> take(Core& core);
  ~LivePlace();

 private:
  explicit LivePlace(Core& core) : core_(core) {}
  Core& core_;
};

// Memory for bodies, kept between requests: an idle connection holds none. Any thread.
class Pieces {
 public:
  Bytes take();
  void give_back(Bytes piece);

 private:
  std::mutex mutex_;
  std::vector<Bytes> idle_;
};

// The waiting thread owns the connections; atomics, pieces and the pool are for all threads.
struct Core {
  Core(Env& e, Handler& h, ServerOptions o);

  Env& env;
  Handler& handler;
  const ServerOptions options;
  Counters counters;
  boost::asio::io_context io{1};
  Pieces pieces;
  WorkerPool pool;
  std::set<std::shared_ptr<Connection>> connections;
  std::size_t turned_away = 0;
  std::atomic<bool> stopping = false;
  std::atomic<std::size_t> open = 0;
  std::atomic<std::size_t> live = 0;  // answers that go on
  Wakeup closed_one;
};

// Shared by the operations that wait for it and the job that works for it: whichever ends last.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Core& core, tcp::socket socket, bool one_too_many);

  void start();
  // When stopping: ends a connection that nothing is in progress on.
  void close_if_idle();
  void close();

 private:
  enum class Phase { handshake, idle, header, body, working, pausing, waiting, writing, lingering };
  // What there is to do with what came of a body.
  enum class Gathered { piece, nothing, malformed, too_large };

  // In the waiting thread.
  void begin_tls();
  void on_handshake(error_code failure);
  void wait_for_request();
  void read_header();
  void on_header(error_code failure);
  void judge_header();
  void send_continue();
  void read_body();
  void take_more(Gathered what);
  void on_body_bytes(error_code failure, std::size_t count);
  void write(std::string head, std::size_t body_bytes);
  void on_written(error_code failure);
  void linger();
  void linger_on();
  void refuse(int status, const char* reason, const std::string& why);
  void send_own(Response response);
  void on_handler_failed();
  void drop_exchange();
  void arm(Phase phase, Milliseconds duration);
  void disarm();
  void on_timer();

  // In the pool.
  void work(void (Connection::*job)());
  void guarded(void (Connection::*job)());
  void open_exchange();
  void feed_exchange();
  bool has_next_piece();
  void answer(Response response);
  void next_response_piece();
  // live.cc: answers that do not end by themselves.
  bool begin_live();
  void next_live_piece();
  void send_live(std::string text);
  void on_live_sent(error_code failure);
  void wait_for_more(Milliseconds pause);
  Result<std::size_t> fill_piece();
  // In either, never in both: the waiting thread leaves the stream alone while the pool works.
  void begin_piece();
  Gathered gather();
  boost::asio::mutable_buffer next_buffer();
  void took(std::size_t count);
  // Back to the waiting thread.
  void post(std::function<void()> then);

  Core& core_;
  Stream stream_;
  boost::asio::steady_timer timer_;
  std::uint64_t timer_round_ = 0;  // tells a timer that was replaced while it fired
  const bool one_too_many_;

  Phase phase_ = Phase::idle;
  bool closed_ = false;
  bool timed_out_ = false;
  bool first_request_ = true;
  std::chrono::steady_clock::time_point linger_until_;

  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::empty_body>> parser_;
  Head head_;
  rules::Framing framing_;
  rules::BodyDecoder decoder_;
  std::uint64_t body_bytes_ = 0;  // taken so far
  Bytes piece_;
  std::size_t piece_filled_ = 0;
  bool into_piece_ = false;  // the read in progress goes into piece_, not buffer_
  bool body_done_ = false;   // with the piece that is being fed

  std::unique_ptr<Exchange> exchange_;
  Response response_;
  std::uint64_t response_left_ = 0;
  std::string head_text_;
  bool head_sent_ = false;
  bool keep_alive_ = false;
  bool understands_chunks_ = false;  // HTTP/1.1
  std::unique_ptr<LivePlace> live_;  // while the answer goes on
  bool live_ends_ = false;           // with what is being sent
};

}  // namespace isthmus::http::beast_server
