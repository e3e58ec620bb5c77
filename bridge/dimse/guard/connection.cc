#include "dimse/guard/connection.h"

#include <poll.h>

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

}  // namespace

GuardedConnection::GuardedConnection(Env& env, Channel channel, Bytes first_pdu,
                                     ConnectionOptions options, const StopSignal& stop,
                                     std::function<void(Descriptor)> hand_back)
    : DcmTransportConnection(channel.descriptor()),
      env_(env),
      channel_(std::move(channel)),
      options_(options),
      stop_(stop),
      hand_back_(std::move(hand_back)),
      buffer_(std::move(first_pdu)),
      end_(buffer_.size()),
      released_(buffer_.size()) {
  channel_.hurry(options_.quick_ack);
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
      case Channel::Io::some:
        if (!begun) until = env_.clock.steady_now() + options_.pdu_timeout;
        begun = true;
        break;
      case Channel::Io::closed:
        return Arrival::closed;
      case Channel::Io::wants_read:
        if (const auto arrival = wait(until, POLLIN, between_messages && !begun)) return *arrival;
        break;
      case Channel::Io::wants_write:
        if (const auto arrival = wait(until, POLLOUT, between_messages && !begun)) return *arrival;
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

Channel::Io GuardedConnection::fill() {
  if (begin_ == end_) {
    begin_ = end_ = 0;
  } else if (begin_ > buffer_.size() / kBufferedPdus) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, unread());
    end_ -= begin_;
    begin_ = 0;
  }
  const Channel::Moved moved = channel_.read(MutableByteSpan(buffer_).subspan(end_));
  end_ += moved.bytes;
  return moved.io;
}

std::optional<GuardedConnection::Arrival> GuardedConnection::wait(SteadyTime until, short events,
                                                                  bool between_messages) {
  const SteadyTime abort_at = stop_.abort_at.load(std::memory_order_acquire);
  const bool told_to_stop = abort_at != SteadyTime::max();
  const SteadyTime now = env_.clock.steady_now();
  if (told_to_stop && (between_messages || now >= abort_at)) return Arrival::stopping;
  if (now >= until || now >= deadline_) return Arrival::timed_out;
  pollfd waiting[] = {{channel_.descriptor(), events, 0}, {stop_.event.get(), POLLIN, 0}};
  // Once it is known that we stop, its event would only wake us again and again.
  const nfds_t count = told_to_stop ? 1 : 2;
  (void)::poll(waiting, count, poll_milliseconds(now, std::min({until, deadline_, abort_at})));
  return std::nullopt;
}

const char* GuardedConnection::why_closed() const {
  const tls::Session* session = channel_.tls();
  const bool failed = session != nullptr && *session->failure() != '\0';
  return failed ? session->failure() : "closed";
}

void GuardedConnection::send_last(const Bytes& pdu) {
  channel_.write_last(pdu);
}

ssize_t GuardedConnection::read(void* into, size_t count) {
  const std::size_t given = std::min<std::size_t>(count, released_);
  std::memcpy(into, buffer_.data() + begin_, given);
  begin_ += given;
  released_ -= given;
  return static_cast<ssize_t>(given);
}

// DCMTK writes a P-DATA-TF as two pieces, its header and its content. They go out as one: in one
// call, one segment and one TLS record.
ssize_t GuardedConnection::write(void* from, size_t count) {
  constexpr std::size_t kDataHeaderBytes = 12;  // of a P-DATA-TF with one PDV, as DCMTK writes it
  const ByteSpan bytes(static_cast<const std::byte*>(from), count);
  if (held_.empty()) {
    if (count == kDataHeaderBytes && bytes[0] == static_cast<std::byte>(PduType::data)) {
      held_.assign(bytes.begin(), bytes.end());
      return static_cast<ssize_t>(count);
    }
    return write_all(bytes) ? static_cast<ssize_t>(count) : -1;
  }
  held_.insert(held_.end(), bytes.begin(), bytes.end());
  const bool written = write_all(held_);
  held_.clear();
  return written ? static_cast<ssize_t>(count) : -1;
}

bool GuardedConnection::write_all(ByteSpan bytes) {
  const SteadyTime until = env_.clock.steady_now() + options_.pdu_timeout;
  while (!bytes.empty()) {
    const Channel::Moved moved = channel_.write(bytes);
    bytes = bytes.subspan(moved.bytes);
    if (moved.io == Channel::Io::some) continue;
    errno = ECONNRESET;  // never EINTR, at which DCMTK would try again
    if (moved.io == Channel::Io::closed) return false;
    const SteadyTime now = env_.clock.steady_now();
    const SteadyTime limit =
        std::min({until, deadline_, stop_.abort_at.load(std::memory_order_acquire)});
    if (now >= limit) {
      gave_up_writing_ = now >= std::min(until, deadline_);
      return false;
    }
    const short events = moved.io == Channel::Io::wants_read ? POLLIN : POLLOUT;
    pollfd waiting{channel_.descriptor(), events, 0};
    (void)::poll(&waiting, 1, std::min(poll_milliseconds(now, limit), 1'000));
  }
  return true;
}

void GuardedConnection::close() {
  if (channel_.valid()) hand_back_(channel_.finish());
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
  text = channel_.tls() == nullptr ? "Isthmus guarded TCP connection"
                                   : "Isthmus guarded TLS connection";
  return text;
}

}  // namespace isthmus::dimse
