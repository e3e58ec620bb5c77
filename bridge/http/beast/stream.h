// The bytes of one connection: a socket, or a TLS session over it. What Asio and Beast need of a
// stream, and the few things beside it that a connection asks of its socket. Private to beast/.
//
// One thread at a time, but for shutdown(). Operations end through the socket's executor, never
// inside the call that began them; the stream must live until then.
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <optional>

#include "tls/session.h"

namespace isthmus::http::beast_server {

using boost::asio::ip::tcp;
using boost::system::error_code;

class Stream {
 public:
  using executor_type = tcp::socket::executor_type;
  using lowest_layer_type = tcp::socket;

  explicit Stream(tcp::socket socket) : socket_(std::move(socket)) {}

  executor_type get_executor() { return socket_.get_executor(); }
  tcp::socket& socket() { return socket_; }
  bool is_tls() const { return session_.has_value(); }

  // From here on the stream speaks TLS; `done` hears when the handshake ended. What was wrong:
  // tls::Session::failure() through tls_failure().
  Result<void> accept_tls(Env& env, const tls::Context& context,
                          std::function<void(error_code)> done);
  const char* tls_failure() const { return session_ ? session_->failure() : ""; }

  // Bytes are here that the socket says nothing about.
  bool has_pending() const { return session_ && session_->has_pending(); }
  // What is here already; `would_block` otherwise.
  std::size_t read_some(boost::asio::mutable_buffer into, error_code& failure);
  // Ends the operation in progress with operation_aborted.
  void cancel();
  // Tells the peer that nothing follows.
  void shutdown_send();
  // Reads and writes end, now and from here on; any thread.
  void shutdown();

  template <typename Buffers, typename Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(
        [this](auto handler, const Buffers& into) {
          if (!session_) return socket_.async_read_some(into, std::move(handler));
          read_tls(first_of<boost::asio::mutable_buffer>(into), shared(std::move(handler)));
        },
        token, buffers);
  }

  template <typename Buffers, typename Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(
        [this](auto handler, const Buffers& from) {
          if (!session_) return socket_.async_write_some(from, std::move(handler));
          write_tls(first_of<boost::asio::const_buffer>(from), shared(std::move(handler)));
        },
        token, buffers);
  }

 private:
  using Done = std::function<void(error_code, std::size_t)>;

  // Handlers of composed operations can be moved only.
  template <typename Handler>
  static Done shared(Handler handler) {
    auto kept = std::make_shared<Handler>(std::move(handler));
    return [kept](error_code failure, std::size_t count) { (*kept)(failure, count); };
  }
  template <typename Buffer, typename Buffers>
  static Buffer first_of(const Buffers& buffers) {
    const auto end = boost::asio::buffer_sequence_end(buffers);
    for (auto at = boost::asio::buffer_sequence_begin(buffers); at != end; ++at) {
      if (Buffer(*at).size() > 0) return Buffer(*at);
    }
    return Buffer();
  }

  void shake_hands(std::function<void(error_code)> done);
  void read_tls(boost::asio::mutable_buffer into, Done done);
  void write_tls(boost::asio::const_buffer from, Done done);
  // Goes on with `again` when the socket is ready for what the session wants.
  void when_ready(tls::Step step, std::function<void(error_code)> again);
  void finish(Done done, error_code failure, std::size_t count);

  tcp::socket socket_;
  std::optional<tls::Session> session_;
  bool cancelled_ = false;
};

}  // namespace isthmus::http::beast_server
