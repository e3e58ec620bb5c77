#include "http/beast/stream.h"

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

namespace isthmus::http::beast_server {

namespace asio = boost::asio;

namespace {

// What an ended or failed step is to Asio.
error_code failure_of(tls::Step step) {
  return step == tls::Step::closed ? error_code(asio::error::eof)
                                   : error_code(asio::error::connection_reset);
}

bool waits(tls::Step step) {
  return step == tls::Step::wants_read || step == tls::Step::wants_write;
}

}  // namespace

Result<void> Stream::accept_tls(Env& env, const tls::Context& context,
                                std::function<void(error_code)> done) {
  TRY_ASSIGN(tls::Session session, tls::Session::accept(env, context, socket_.native_handle(), {}));
  session_.emplace(std::move(session));
  shake_hands(std::move(done));
  return {};
}

void Stream::shake_hands(std::function<void(error_code)> done) {
  const tls::Step step = session_->handshake();
  if (waits(step)) {
    return when_ready(step, [this, done = std::move(done)](error_code failure) mutable {
      if (failure) return done(failure);
      shake_hands(std::move(done));
    });
  }
  const error_code failure = step == tls::Step::done ? error_code() : failure_of(step);
  asio::post(get_executor(), [done = std::move(done), failure] { done(failure); });
}

std::size_t Stream::read_some(asio::mutable_buffer into, error_code& failure) {
  if (!session_) return socket_.read_some(into, failure);
  const tls::Moved moved = session_->read({static_cast<std::byte*>(into.data()), into.size()});
  failure = moved.step == tls::Step::done ? error_code()
            : waits(moved.step)           ? error_code(asio::error::would_block)
                                          : failure_of(moved.step);
  return moved.bytes;
}

void Stream::cancel() {
  error_code ignored;
  socket_.cancel(ignored);
  // An operation that goes on between two waits has nothing that could be cancelled.
  cancelled_ = session_.has_value();
}

void Stream::shutdown_send() {
  error_code ignored;
  if (session_) session_->close_notify();
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
}

void Stream::shutdown() {
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_both, ignored);
}

void Stream::read_tls(asio::mutable_buffer into, Done done) {
  if (into.size() == 0) return finish(std::move(done), {}, 0);
  if (std::exchange(cancelled_, false)) {
    return finish(std::move(done), asio::error::operation_aborted, 0);
  }
  const tls::Moved moved = session_->read({static_cast<std::byte*>(into.data()), into.size()});
  if (!waits(moved.step)) {
    const bool good = moved.step == tls::Step::done;
    return finish(std::move(done), good ? error_code() : failure_of(moved.step), moved.bytes);
  }
  when_ready(moved.step, [this, into, done = std::move(done)](error_code failure) mutable {
    if (failure) {
      cancelled_ = false;
      return done(failure, 0);
    }
    read_tls(into, std::move(done));
  });
}

void Stream::write_tls(asio::const_buffer from, Done done) {
  if (from.size() == 0) return finish(std::move(done), {}, 0);
  const tls::Moved moved =
      session_->write({static_cast<const std::byte*>(from.data()), from.size()});
  if (!waits(moved.step)) {
    const bool good = moved.step == tls::Step::done;
    return finish(std::move(done), good ? error_code() : failure_of(moved.step), moved.bytes);
  }
  when_ready(moved.step, [this, from, done = std::move(done)](error_code failure) mutable {
    if (failure) return done(failure, 0);
    write_tls(from, std::move(done));
  });
}

void Stream::when_ready(tls::Step step, std::function<void(error_code)> again) {
  const auto what =
      step == tls::Step::wants_write ? tcp::socket::wait_write : tcp::socket::wait_read;
  socket_.async_wait(what, std::move(again));
}

void Stream::finish(Done done, error_code failure, std::size_t count) {
  asio::post(get_executor(), [done = std::move(done), failure, count] { done(failure, count); });
}

}  // namespace isthmus::http::beast_server
