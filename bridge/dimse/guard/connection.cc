#include "dimse/guard/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dimse/guard/cursor.h"

namespace isthmus::dimse {
namespace {

// Room for two PDUs of the announced size, so that one can be handed out while the next arrives.
constexpr std::size_t kBufferedPdus = 2;

int poll_milliseconds(SteadyTime now, SteadyTime until) {
  if (until <= now) return 0;
  return static_cast<int>(std::min<std::int64_t>((until - now).count(), 60'000));
}

constexpr std::size_t kPdvLengthBytes = 4;

void write_data_header(MutableByteSpan header, std::size_t length) {
  header[0] = static_cast<std::byte>(PduType::data);
  header[1] = std::byte{0};
  for (std::size_t i = 0; i < 4; ++i) {
    header[2 + i] = static_cast<std::byte>((length >> (24 - 8 * i)) & 0xff);
  }
}

void set_option(int fd, int name, int value) {
  // Only speed depends on it.
  (void)::setsockopt(fd, IPPROTO_TCP, name, &value, sizeof(value));
}

}  // namespace

GuardedConnection::GuardedConnection(Env& env, Descriptor socket, Bytes first_pdu,
                                     ConnectionOptions options, const StopSignal& stop,
                                     std::function<void(Descriptor)> hand_back)
    : DcmTransportConnection(socket.get()),
      env_(env),
      socket_(std::move(socket)),
      options_(options),
      stop_(stop),
      hand_back_(std::move(hand_back)),
      buffer_(std::move(first_pdu)),
      end_(buffer_.size()),
      released_(buffer_.size()) {
  set_option(socket_.get(), TCP_NODELAY, 1);
}

GuardedConnection::~GuardedConnection() {
  GuardedConnection::close();
}

GuardedConnection::Arrival GuardedConnection::await(Milliseconds first_byte_within,
                                                    bool between_messages) {
  ASSERT(released_ == 0);
  buffer_.resize(
      std::max(buffer_.size(), kBufferedPdus * (kPduHeaderBytes + options_.max_pdu_bytes)));
  bool begun = unread() > 0;
  SteadyTime until = env_.clock.steady_now() + (begun ? options_.pdu_timeout : first_byte_within);
  for (;;) {
    if (const auto arrival = examine()) return *arrival;
    switch (fill()) {
      case Filled::some:
        if (!begun) until = env_.clock.steady_now() + options_.pdu_timeout;
        begun = true;
        break;
      case Filled::closed:
        return Arrival::closed;
      case Filled::nothing_yet:
        if (const auto arrival = wait(until, between_messages && !begun)) return *arrival;
        break;
    }
  }
}

std::optional<GuardedConnection::Arrival> GuardedConnection::examine() {
  if (content_left_ > 0) return release_next_pdv();
  const ByteSpan bytes = ByteSpan(buffer_).subspan(begin_, unread());
  if (bytes.size() < kPduHeaderBytes) return std::nullopt;
  const PduHeader header = read_pdu_header(bytes.first(kPduHeaderBytes));
  if (const auto refusal = examine_header(header, options_.max_pdu_bytes)) {
    refusal_ = *refusal;
    return Arrival::refused;
  }
  const std::size_t whole = kPduHeaderBytes + header.length_bytes;
  if (bytes.size() < whole) return std::nullopt;
  if (header.type == static_cast<std::uint8_t>(PduType::abort)) return Arrival::aborted;
  if (header.type == static_cast<std::uint8_t>(PduType::data)) {
    if (const auto refusal = examine_data_pdu(bytes.first(whole), accepted_)) {
      refusal_ = *refusal;
      return Arrival::refused;
    }
    begin_ += kPduHeaderBytes;
    content_left_ = header.length_bytes;
    return release_next_pdv();
  }
  released_ = whole;
  return Arrival::release;
}

// DUL_NextPDV of DCMTK 3.6.7 loses its place from the third PDV of a PDU on, when their lengths
// differ, and reads lengths from anywhere. So it gets every PDV in a PDU of its own: a header is
// put right in front of it, over what was read already.
GuardedConnection::Arrival GuardedConnection::release_next_pdv() {
  const ByteSpan content = ByteSpan(buffer_).subspan(begin_, content_left_);
  const std::size_t item = kPdvLengthBytes + *Cursor(content).u32();
  ASSERT(item <= content_left_ && begin_ >= kPduHeaderBytes);
  content_left_ -= item;
  begin_ -= kPduHeaderBytes;
  released_ = kPduHeaderBytes + item;
  write_data_header(MutableByteSpan(buffer_).subspan(begin_, kPduHeaderBytes), item);
  return Arrival::data;
}

GuardedConnection::Filled GuardedConnection::fill() {
  if (begin_ == end_) {
    begin_ = end_ = 0;
  } else if (begin_ > buffer_.size() / kBufferedPdus) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, unread());
    end_ -= begin_;
    begin_ = 0;
  }
  // The kernel clears it again by itself: a receiver that delays its ACKs stalls a sender which
  // waits for one before it sends the rest of a PDU.
  if (options_.quick_ack) set_option(socket_.get(), TCP_QUICKACK, 1);
  for (;;) {
    const ssize_t got = ::recv(socket_.get(), buffer_.data() + end_, buffer_.size() - end_, 0);
    if (got > 0) {
      end_ += static_cast<std::size_t>(got);
      return Filled::some;
    }
    if (got == 0) return Filled::closed;
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return Filled::nothing_yet;
    return Filled::closed;
  }
}

std::optional<GuardedConnection::Arrival> GuardedConnection::wait(SteadyTime until,
                                                                  bool between_messages) {
  const SteadyTime abort_at = stop_.abort_at.load(std::memory_order_acquire);
  const bool told_to_stop = abort_at != SteadyTime::max();
  const SteadyTime now = env_.clock.steady_now();
  if (told_to_stop && (between_messages || now >= abort_at)) return Arrival::stopping;
  if (now >= until || now >= deadline_) return Arrival::timed_out;
  pollfd waiting[] = {{socket_.get(), POLLIN, 0}, {stop_.event.get(), POLLIN, 0}};
  // Once it is known that we stop, its event would only wake us again and again.
  const nfds_t count = told_to_stop ? 1 : 2;
  (void)::poll(waiting, count, poll_milliseconds(now, std::min({until, deadline_, abort_at})));
  return std::nullopt;
}

void GuardedConnection::send_last(const Bytes& pdu) {
  (void)::send(socket_.get(), pdu.data(), pdu.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

ssize_t GuardedConnection::read(void* into, size_t count) {
  const std::size_t given = std::min<std::size_t>(count, released_);
  std::memcpy(into, buffer_.data() + begin_, given);
  begin_ += given;
  released_ -= given;
  return static_cast<ssize_t>(given);
}

ssize_t GuardedConnection::write(void* from, size_t count) {
  constexpr std::size_t kDataHeaderBytes = 12;  // of a P-DATA-TF with one PDV, as DCMTK writes it
  const auto* bytes = static_cast<const std::byte*>(from);
  const bool more_follows =
      count == kDataHeaderBytes && bytes[0] == static_cast<std::byte>(PduType::data);
  const int flags = MSG_NOSIGNAL | (more_follows ? MSG_MORE : 0);
  const SteadyTime until = env_.clock.steady_now() + options_.pdu_timeout;
  std::size_t sent = 0;
  while (sent < count) {
    const ssize_t n = ::send(socket_.get(), bytes + sent, count - sent, flags);
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return -1;
    const SteadyTime now = env_.clock.steady_now();
    const SteadyTime limit =
        std::min({until, deadline_, stop_.abort_at.load(std::memory_order_acquire)});
    if (now >= limit) {
      gave_up_writing_ = now >= std::min(until, deadline_);
      errno = ETIMEDOUT;  // never EINTR, at which DCMTK would try again
      return -1;
    }
    pollfd waiting{socket_.get(), POLLOUT, 0};
    (void)::poll(&waiting, 1, std::min(poll_milliseconds(now, limit), 1'000));
  }
  return static_cast<ssize_t>(count);
}

void GuardedConnection::close() {
  if (socket_.valid()) hand_back_(std::move(socket_));
}

void GuardedConnection::closeTransportConnection() {
  close();
}

OFBool GuardedConnection::networkDataAvailable(int /*timeout*/) {
  return released_ > 0;
}

OFCondition GuardedConnection::serverSideHandshake() {
  return EC_Normal;
}

OFCondition GuardedConnection::clientSideHandshake() {
  return EC_Normal;
}

OFCondition GuardedConnection::renegotiate(const char* /*suite*/) {
  return EC_Normal;
}

OFString& GuardedConnection::dumpConnectionParameters(OFString& text) {
  text = "Isthmus guarded TCP connection";
  return text;
}

}  // namespace isthmus::dimse
