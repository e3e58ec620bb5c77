#include "http/beast/connection.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <limits>
#include <typeinfo>

#include "tls/certificates.h"

namespace isthmus::http::beast_server {
namespace {

namespace asio = boost::asio;
using HttpError = boost::beast::http::error;
using std::chrono::steady_clock;

constexpr std::size_t kPieceBytes = 256 * KiB;
constexpr std::size_t kIdlePieces = 16;
// A fast peer keeps a thread of the pool for so many pieces, then others have their turn.
constexpr int kPiecesInARow = 8;
constexpr std::size_t kReadBytes = 64 * KiB;
// A refusal is followed by reading what the peer still sends, else the kernel resets the connection
// and the peer never sees why (RFC 9112 section 9.6).
constexpr Milliseconds kLinger{30'000};
constexpr Milliseconds kLingerIdle{5'000};
constexpr Milliseconds kGoodbye{1'000};  // the same for a connection too many, and when stopping

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

std::string text_of(boost::beast::string_view view) {
  return {view.data(), view.size()};
}

}  // namespace

Counters::Counters(Metrics& metrics)
    : connections(metrics.gauge("http_connections", "Open connections.")),
      live_answers(metrics.gauge("http_live_answers", "Answers that go on, as events do.")),
      metrics_(metrics) {
  for (std::size_t i = 0; i < statuses_.size(); ++i) {
    statuses_[i] = &metrics.counter("http_requests_total", "Answered requests, by class of status.",
                                    {{"status", std::to_string(i + 1) + "xx"}});
  }
}

void Counters::answered(int status) {
  statuses_[static_cast<std::size_t>(std::clamp(status / 100, 1, 5)) - 1]->add();
}

void Counters::refused(const char* reason) {
  metrics_
      .counter("http_refused_total",
               "Requests and connections that reached no answer of a handler.",
               {{"reason", reason}})
      .add();
}

Bytes Pieces::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      Bytes piece = std::move(idle_.back());
      idle_.pop_back();
      return piece;
    }
  }
  return Bytes(kPieceBytes);
}

void Pieces::give_back(Bytes piece) {
  if (piece.size() != kPieceBytes) return;
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kIdlePieces) idle_.push_back(std::move(piece));
}

Core::Core(Env& e, Handler& h, ServerOptions o)
    : env(e),
      handler(h),
      options(std::move(o)),
      counters(e.metrics),
      // Each connection has a job and a dropped exchange at most: the queue has room until stop().
      pool(e, "http", std::max<std::size_t>(options.threads, 1),
           2 * (options.connections + kTurnedAway)) {}

Connection::Connection(Core& core, tcp::socket socket, bool one_too_many)
    : core_(core), stream_(std::move(socket)), timer_(core.io), one_too_many_(one_too_many) {}

void Connection::start() {
  core_.connections.insert(shared_from_this());
  core_.open.fetch_add(1);
  core_.counters.connections.add(1);
  error_code ignored;
  stream_.socket().set_option(tcp::no_delay(true), ignored);
  stream_.socket().non_blocking(true, ignored);
  const tcp::endpoint peer = stream_.socket().remote_endpoint(ignored);
  head_.peer_address = peer.address().to_string();
  if (core_.options.certificates != nullptr) return begin_tls();
  if (!one_too_many_) return wait_for_request();

  core_.turned_away += 1;
  core_.counters.refused("connections");
  Response full = text_response(503, "text/plain", "The server has too many connections.\n");
  full.headers.set("Retry-After", "1");
  send_own(std::move(full));
}

void Connection::begin_tls() {
  if (one_too_many_) {  // a handshake is more than it is worth
    core_.turned_away += 1;
    core_.counters.refused("connections");
    return close();
  }
  arm(Phase::handshake, core_.options.header_timeout);
  const auto accepted = stream_.accept_tls(
      core_.env, *core_.options.certificates->current(),
      [self = shared_from_this()](error_code failure) { self->on_handshake(failure); });
  if (!accepted.ok()) close();
}

void Connection::on_handshake(error_code failure) {
  if (closed_) return;
  disarm();
  if (!failure) return wait_for_request();
  core_.counters.refused("tls");
  core_.env.log.debug("http.tls_failed", {{"reason", stream_.tls_failure()}});
  close();
}

void Connection::close_if_idle() {
  if (phase_ == Phase::idle || phase_ == Phase::handshake) return close();
  if (phase_ != Phase::lingering) return;
  linger_until_ = std::min(linger_until_, steady_clock::now() + kGoodbye);
  arm(Phase::lingering, kGoodbye);
}

void Connection::close() {
  if (closed_) return;
  const auto self = shared_from_this();  // the set may hold the last reference
  closed_ = true;
  disarm();
  if (phase_ == Phase::working) {
    stream_.shutdown();  // the pool may be reading: the socket closes with the connection
  } else {
    error_code ignored;
    stream_.socket().close(ignored);
    drop_exchange();
  }
  core_.connections.erase(self);
  if (one_too_many_) core_.turned_away -= 1;
  core_.counters.connections.add(-1);
  core_.open.fetch_sub(1);
  core_.closed_one.notify();
}

// --- time ----------------------------------------------------------------------------------------

void Connection::arm(Phase phase, Milliseconds duration) {
  phase_ = phase;
  timed_out_ = false;
  timer_.expires_after(duration);
  timer_.async_wait([self = shared_from_this(), round = ++timer_round_](error_code failure) {
    if (!failure && !self->closed_ && round == self->timer_round_) self->on_timer();
  });
}

void Connection::disarm() {
  ++timer_round_;
  timed_out_ = false;
  timer_.cancel();
}

void Connection::on_timer() {
  if (phase_ == Phase::pausing) return read_body();
  if (phase_ == Phase::waiting) return work(&Connection::next_live_piece);
  if (phase_ != Phase::header && phase_ != Phase::body) return close();
  // There is somebody to tell: the read ends, and its completion answers 408.
  timed_out_ = true;
  stream_.cancel();
}

// --- the header ----------------------------------------------------------------------------------

void Connection::wait_for_request() {
  phase_ = Phase::idle;
  if (core_.stopping) return close();
  if (buffer_.size() > 0 || stream_.has_pending()) return read_header();  // pipelined

  // An idle connection holds no buffers.
  parser_.reset();
  buffer_ = boost::beast::flat_buffer();
  core_.pieces.give_back(std::exchange(piece_, {}));
  const ServerOptions& options = core_.options;
  arm(Phase::idle, first_request_ ? std::min(options.header_timeout, options.keep_alive_timeout)
                                  : options.keep_alive_timeout);
  stream_.socket().async_wait(tcp::socket::wait_read,
                              [self = shared_from_this()](error_code failure) {
                                if (self->closed_) return;
                                if (failure) return self->close();
                                self->read_header();
                              });
}

void Connection::read_header() {
  first_request_ = false;
  head_sent_ = false;
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(core_.options.header_bytes));
  // Beast 1.74 takes "no limit" for "always beyond"; the limit is ours to keep.
  parser_->body_limit(std::numeric_limits<std::uint64_t>::max());
  buffer_.max_size(static_cast<std::size_t>(core_.options.header_bytes) + kReadBytes);
  arm(Phase::header, core_.options.header_timeout);
  boost::beast::http::async_read_header(
      stream_, buffer_, *parser_,
      [self = shared_from_this()](error_code failure, std::size_t) { self->on_header(failure); });
}

void Connection::on_header(error_code failure) {
  if (closed_) return;
  if (timed_out_) return refuse(408, "header_timeout", "The request's header took too long.");
  disarm();
  if (!failure) return judge_header();
  if (failure == HttpError::header_limit || failure == HttpError::buffer_overflow) {
    return refuse(431, "header_bytes", "The request's header is too large.");
  }
  if (failure == HttpError::end_of_stream || failure == HttpError::partial_message) return close();
  if (failure == HttpError::bad_version) {
    return refuse(505, "framing", "Only HTTP/1.0 and HTTP/1.1 are spoken here.");
  }
  const bool malformed =
      failure.category() == boost::beast::http::make_error_code(HttpError::bad_method).category();
  if (malformed) return refuse(400, "framing", "The request's header is malformed.");
  close();
}

void Connection::judge_header() {
  const auto& message = parser_->get();
  head_.method = text_of(message.method_string());
  head_.headers = Headers();
  for (const auto& field : message) {
    head_.headers.add(text_of(field.name_string()), text_of(field.value()));
  }
  const std::string target = text_of(message.target());
  framing_ = rules::Framing();
  const auto refusal =
      rules::judge(static_cast<int>(message.version() % 10), head_.headers, framing_);
  understands_chunks_ = message.version() >= 11;
  parser_.reset();
  if (refusal) return refuse(refusal->status, "framing", refusal->why);
  if (head_.method == "OPTIONS" && target == "*") {
    head_.target = target;
  } else if (auto origin = rules::origin_form(target)) {
    head_.target = *std::move(origin);
  } else {
    return refuse(400, "framing", "The request's target is no path.");
  }
  head_.content_length = framing_.content_length;
  if (framing_.content_length.value_or(0) > core_.options.body_bytes) {
    return refuse(413, "body_bytes", "The request's body is larger than allowed.");
  }
  decoder_ = rules::BodyDecoder(framing_);
  body_done_ = decoder_.state() == rules::BodyDecoder::State::done;
  body_bytes_ = 0;
  piece_filled_ = 0;
  work(&Connection::open_exchange);
}

// --- the body ------------------------------------------------------------------------------------

void Connection::send_continue() {
  if (buffer_.size() > 0) return read_body();  // the peer did not wait for it
  arm(Phase::writing, core_.options.body_idle_timeout);
  asio::async_write(stream_, asio::buffer(kContinue),
                    [self = shared_from_this()](error_code failure, std::size_t) {
                      if (self->closed_) return;
                      if (failure) return self->close();
                      self->read_body();
                    });
}

void Connection::read_body() {
  begin_piece();
  take_more(gather());
}

void Connection::begin_piece() {
  const std::uint64_t wanted = framing_.content_length.value_or(kPieceBytes);
  if (wanted >= kPieceBytes) {
    if (piece_.size() != kPieceBytes) piece_ = core_.pieces.take();
  } else {
    piece_.resize(static_cast<std::size_t>(wanted));
  }
  piece_filled_ = 0;
}

void Connection::take_more(Gathered what) {
  switch (what) {
    case Gathered::piece:
      return work(&Connection::feed_exchange);
    case Gathered::malformed:
      return refuse(400, "framing", "The request's body is not chunked as it should be.");
    case Gathered::too_large:
      return refuse(413, "body_bytes", "The request's body is larger than allowed.");
    case Gathered::nothing:
      break;
  }
  arm(Phase::body, core_.options.body_idle_timeout);
  stream_.async_read_some(next_buffer(),
                          [self = shared_from_this()](error_code failure, std::size_t count) {
                            self->on_body_bytes(failure, count);
                          });
}

// Fills the piece with what is here already.
Connection::Gathered Connection::gather() {
  using State = rules::BodyDecoder::State;
  for (;;) {
    const auto buffered = buffer_.data();
    const auto step =
        decoder_.decode({static_cast<const std::byte*>(buffered.data()), buffered.size()},
                        MutableByteSpan(piece_).subspan(piece_filled_));
    buffer_.consume(step.consumed);
    piece_filled_ += step.produced;
    body_bytes_ += step.produced;
    if (decoder_.state() == State::broken) return Gathered::malformed;
    if (body_bytes_ > core_.options.body_bytes) return Gathered::too_large;
    body_done_ = decoder_.state() == State::done;
    if (body_done_ || piece_filled_ == piece_.size()) return Gathered::piece;

    error_code failure;
    const std::size_t count = stream_.read_some(next_buffer(), failure);
    // Whatever it is, would_block or an end, it can be waited for after this piece.
    if (failure) return piece_filled_ > 0 ? Gathered::piece : Gathered::nothing;
    took(count);
  }
}

// Bytes that are body and nothing else go where the handler will see them, without a copy.
asio::mutable_buffer Connection::next_buffer() {
  const std::uint64_t plain = decoder_.plain_bytes();
  into_piece_ = buffer_.size() == 0 && plain > 0 && piece_filled_ < piece_.size();
  if (!into_piece_) return buffer_.prepare(kReadBytes);
  const auto room =
      static_cast<std::size_t>(std::min<std::uint64_t>(plain, piece_.size() - piece_filled_));
  return asio::buffer(piece_.data() + piece_filled_, room);
}

void Connection::took(std::size_t count) {
  if (!into_piece_) return buffer_.commit(count);
  decoder_.skip(count);
  piece_filled_ += count;
  body_bytes_ += count;
}

void Connection::on_body_bytes(error_code failure, std::size_t count) {
  if (closed_) return;
  if (timed_out_) return refuse(408, "body_timeout", "The request's body took too long.");
  // The peer says no more, but may still listen.
  if (failure == asio::error::eof) {
    return refuse(400, "framing", "The request's body ended before it was whole.");
  }
  if (failure) return close();  // the peer went away
  disarm();
  took(count);
  take_more(gather());
}

// --- the answer ----------------------------------------------------------------------------------

void Connection::write(std::string head, std::size_t body_bytes) {
  if (!head.empty()) core_.counters.answered(response_.status);
  head_sent_ = true;
  head_text_ = std::move(head);
  arm(Phase::writing, core_.options.body_idle_timeout);
  const std::array<asio::const_buffer, 2> parts = {asio::buffer(head_text_),
                                                   asio::buffer(piece_.data(), body_bytes)};
  asio::async_write(stream_, parts, [self = shared_from_this()](error_code failure, std::size_t) {
    self->on_written(failure);
  });
}

void Connection::on_written(error_code failure) {
  if (closed_) return;
  if (failure) return close();
  disarm();
  if (response_left_ > 0) return work(&Connection::next_response_piece);
  response_ = Response();
  if (keep_alive_) return wait_for_request();
  linger();
}

void Connection::linger() {
  stream_.shutdown_send();
  const bool short_one = one_too_many_ || core_.stopping;
  linger_until_ = steady_clock::now() + (short_one ? kGoodbye : kLinger);
  buffer_ = boost::beast::flat_buffer();
  piece_.resize(kReadBytes);
  linger_on();
}

void Connection::linger_on() {
  const auto left = std::chrono::duration_cast<Milliseconds>(linger_until_ - steady_clock::now());
  if (left <= Milliseconds(0)) return close();
  arm(Phase::lingering, std::min({left, kLingerIdle, core_.options.body_idle_timeout}));
  stream_.async_read_some(asio::buffer(piece_.data(), piece_.size()),
                          [self = shared_from_this()](error_code failure, std::size_t) {
                            if (self->closed_) return;
                            if (failure) return self->close();
                            self->linger_on();
                          });
}

void Connection::refuse(int status, const char* reason, const std::string& why) {
  core_.counters.refused(reason);
  drop_exchange();
  send_own(text_response(status, "text/plain", why + "\n"));
}

// An answer that no handler gave; it ends the connection.
void Connection::send_own(Response response) {
  response.headers.set("Date", to_http_date(core_.env.clock.wall_now()));
  ASSERT(rules::complete(response, "GET"));
  response_ = std::move(response);
  response_left_ = response_.body->size();
  keep_alive_ = false;
  const Result<std::size_t> filled = fill_piece();
  ASSERT(filled.ok());  // a text in memory
  write(rules::head_text(response_, false), *filled);
}

// Its end may take time (it removes what it had written): not in the waiting thread.
void Connection::drop_exchange() {
  if (!exchange_) return;
  std::shared_ptr<Exchange> doomed(std::move(exchange_));
  core_.pool.try_submit([doomed = std::move(doomed)]() mutable { doomed.reset(); });
}

void Connection::on_handler_failed() {
  if (head_sent_) return close();
  send_own(text_response(500, "text/plain", "The request could not be worked on.\n"));
}

// --- in the pool ---------------------------------------------------------------------------------

void Connection::work(void (Connection::*job)()) {
  disarm();
  phase_ = Phase::working;
  if (!core_.pool.try_submit([self = shared_from_this(), job] { self->guarded(job); })) {
    phase_ = Phase::idle;
    close();
  }
}

void Connection::post(std::function<void()> then) {
  asio::post(core_.io, [self = shared_from_this(), then = std::move(then)] {
    if (self->closed_) return self->drop_exchange();
    then();
  });
}

void Connection::guarded(void (Connection::*job)()) {
  const char* what = "unknown";
  try {
    (this->*job)();
    return;
  } catch (const std::exception& bug) {
    what = typeid(bug).name();  // not its text: that could hold anything of the request
  } catch (...) {
  }
  core_.env.log.error("http.handler_failed", {{"exception", what}});
  exchange_.reset();  // before anybody hears of the failure
  post([this] { on_handler_failed(); });
}

void Connection::open_exchange() {
  exchange_ = core_.handler.open(head_);
  if (body_done_) return answer(exchange_->finish());
  if (!framing_.expects_continue) {
    if (has_next_piece()) feed_exchange();
    return;
  }
  if (!exchange_->feed({})) return answer(exchange_->finish());
  post([this] { send_continue(); });
}

void Connection::feed_exchange() {
  for (int fed = 0; fed < kPiecesInARow; ++fed) {
    const bool wanted =
        piece_filled_ == 0 || exchange_->feed(ByteSpan(piece_).first(piece_filled_));
    if (!wanted || body_done_) return answer(exchange_->finish());
    if (const Milliseconds pause = exchange_->pause(); pause > Milliseconds(0)) {
      // Nothing is read meanwhile: the peer fills the socket's buffers, then it waits too.
      return post([this, pause] { arm(Phase::pausing, pause); });
    }
    if (!has_next_piece()) return;
  }
  post([this] { work(&Connection::feed_exchange); });
}

// True when the next piece is there: what a fast peer sent meanwhile is fed by the same thread.
// Else the waiting thread goes on.
bool Connection::has_next_piece() {
  begin_piece();
  const Gathered what = gather();
  if (what == Gathered::piece) return true;
  post([this, what] { take_more(what); });
  return false;
}

void Connection::answer(Response response) {
  exchange_.reset();
  const auto fail = [&](const Error& error) {
    core_.env.log.error("http.answer_failed", {{"code", error.code}});
    response_ = text_response(500, "text/plain", "The request could not be worked on.\n");
    rules::complete(response_, head_.method);
    response_left_ = response_.body ? response_.body->size() : 0;
    return fill_piece();
  };
  response_ = std::move(response);
  const bool sendable = rules::complete(response_, head_.method);
  response_left_ = response_.body ? response_.body->size() : 0;
  keep_alive_ = framing_.keep_alive && body_done_ && !core_.stopping;
  if (sendable && begin_live()) return;
  Result<std::size_t> filled = sendable ? fill_piece() : permanent_error("http.bad_header", "");
  if (!filled.ok()) filled = fail(filled.error());
  if (!response_.headers.contains("Date")) {
    response_.headers.set("Date", to_http_date(core_.env.clock.wall_now()));
  }
  post([this, count = filled.ok() ? *filled : 0] {
    write(rules::head_text(response_, keep_alive_), count);
  });
}

void Connection::next_response_piece() {
  const Result<std::size_t> filled = fill_piece();
  if (filled.ok()) return post([this, count = *filled] { write("", count); });
  // The length was promised: ending the connection early is the only way left to say no.
  core_.env.log.warn("http.answer_cut", {{"code", filled.error().code}});
  post([this] { close(); });
}

Result<std::size_t> Connection::fill_piece() {
  const auto wanted =
      static_cast<std::size_t>(std::min<std::uint64_t>(response_left_, kPieceBytes));
  if (piece_.size() < wanted) piece_.resize(wanted);
  std::size_t filled = 0;
  while (filled < wanted) {
    TRY_ASSIGN(const std::size_t got,
               response_.body->read(MutableByteSpan(piece_).subspan(filled, wanted - filled)));
    if (got == 0) {
      return transient_error("http.body_short", "The answer's body ended before its length.");
    }
    filled += got;
  }
  response_left_ -= filled;
  return filled;
}

}  // namespace isthmus::http::beast_server
