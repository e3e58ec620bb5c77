// An answer that goes on: its beginning, then what comes, in chunks, until it ends, its peer goes
// away or the server stops. Between two pieces it holds a timer and no thread.
#include "http/live.h"

#include <boost/asio/write.hpp>

#include "http/beast/connection.h"
#include "http/rules/rules.h"

namespace isthmus::http::beast_server {
namespace {

// Events in one piece are a few hundred; what is longer is no beginning of a live answer.
constexpr std::uint64_t kBeginningBytes = 4 * MiB;

// RFC 9112 section 7.1.
std::string chunk_of(const std::string& text) {
  std::array<char, 20> size{};
  std::snprintf(size.data(), size.size(), "%zx\r\n", text.size());
  return size.data() + text + "\r\n";
}
constexpr const char* kLastChunk = "0\r\n\r\n";

}  // namespace

std::unique_ptr<LivePlace> LivePlace::take(Core& core) {
  if (core.live.fetch_add(1) >= core.options.live_answers) {
    core.live.fetch_sub(1);
    core.counters.refused("live_answers");
    return nullptr;
  }
  core.counters.live_answers.add(1);
  return std::unique_ptr<LivePlace>(new LivePlace(core));
}

LivePlace::~LivePlace() {
  core_.live.fetch_sub(1);
  core_.counters.live_answers.add(-1);
}

bool Connection::begin_live() {
  const auto* live = dynamic_cast<LiveBody*>(response_.body.get());
  if (live == nullptr || !understands_chunks_ || core_.stopping) return false;
  auto place = LivePlace::take(core_);
  if (place == nullptr) return false;
  const auto beginning = read_all(*response_.body, kBeginningBytes);
  if (!beginning.ok()) return false;
  live_ = std::move(place);
  live_ends_ = false;
  response_left_ = 0;
  keep_alive_ = false;
  response_.headers.remove("Content-Length");
  response_.headers.set("Transfer-Encoding", "chunked");
  response_.headers.set("Date", to_http_date(core_.env.clock.wall_now()));
  std::string text = rules::head_text(response_, false);
  if (!beginning->empty()) text += chunk_of(*beginning);
  core_.counters.answered(response_.status);
  post([this, text = std::move(text)]() mutable { send_live(std::move(text)); });
  return true;
}

void Connection::next_live_piece() {
  auto& live = static_cast<LiveBody&>(*response_.body);
  const auto text = core_.stopping ? std::nullopt : live.next();
  if (!text) {
    live_ends_ = true;
    return post([this] { send_live(kLastChunk); });
  }
  if (text->empty()) return post([this, pause = live.pause()] { wait_for_more(pause); });
  post([this, piece = chunk_of(*text)]() mutable { send_live(std::move(piece)); });
}

void Connection::send_live(std::string text) {
  head_sent_ = true;
  head_text_ = std::move(text);
  arm(Phase::writing, core_.options.body_idle_timeout);
  boost::asio::async_write(stream_, boost::asio::buffer(head_text_),
                           [self = shared_from_this()](error_code failure, std::size_t) {
                             self->on_live_sent(failure);
                           });
}

void Connection::on_live_sent(error_code failure) {
  if (closed_) return;
  if (failure) return close();
  disarm();
  if (!live_ends_) return work(&Connection::next_live_piece);
  live_.reset();
  response_ = Response();
  linger();
}

void Connection::wait_for_more(Milliseconds pause) {
  arm(Phase::waiting, pause);
}

}  // namespace isthmus::http::beast_server
