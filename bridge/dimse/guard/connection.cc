#include "dimse/guard/connection.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace isthmus::dimse {
namespace {

// Of one read: what comes of it is passed on before the next, so it is still in the processor's
// cache then, and sixty associations cost a few megabytes.
constexpr std::size_t kReadBytes = 64 * KiB;

int poll_milliseconds(SteadyTime now, SteadyTime until) {
  if (until <= now) return 0;
  return static_cast<int>(std::min<std::int64_t>((until - now).count(), 60'000));
}

// As DCMTK gets it (PS3.8 section 9.3.6), whatever stands in its reserved bytes.
Bytes release_request() {
  Bytes pdu(kPduHeaderBytes + 4);
  pdu[0] = static_cast<std::byte>(PduType::release_rq);
  pdu[5] = std::byte{4};
  return pdu;
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
      stream_(options.max_pdu_bytes),
      pdu_time_left_(options.pdu_timeout),
      for_dcmtk_(std::move(first_pdu)) {
  channel_.hurry(options_.quick_ack);
}

GuardedConnection::~GuardedConnection() {
  GuardedConnection::close();
}

GuardedConnection::Arrival GuardedConnection::await(Milliseconds first_byte_within,
                                                    bool between_messages) {
  ASSERT(for_dcmtk_.empty());
  buffer_.resize(kReadBytes);
  bool begun = is_within_pdu();
  SteadyTime until = env_.clock.steady_now() + (begun ? pdu_time_left_ : first_byte_within);
  for (;;) {
    if (const auto arrival = examine()) {
      pdu_time_left_ =
          stream_.is_within_pdu() ? until - env_.clock.steady_now() : options_.pdu_timeout;
      return *arrival;
    }
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
  ByteSpan bytes = ByteSpan(buffer_).subspan(begin_, unread());
  auto item = stream_.next(bytes);
  begin_ = end_ - bytes.size();
  if (std::holds_alternative<PduStream::NeedMore>(item)) return std::nullopt;
  if (std::holds_alternative<PduStream::Abort>(item)) return Arrival::aborted;
  if (const auto* refusal = std::get_if<Refusal>(&item)) {
    refusal_ = *refusal;
    return Arrival::refused;
  }
  if (const auto* fragment = std::get_if<Fragment>(&item)) {
    fragment_ = *fragment;
    return Arrival::data;
  }
  for_dcmtk_ = release_request();
  return Arrival::release;
}

Channel::Io GuardedConnection::fill() {
  // What is left is less than a header.
  std::memmove(buffer_.data(), buffer_.data() + begin_, unread());
  end_ = unread();
  begin_ = 0;
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
  const std::size_t given = std::min<std::size_t>(count, for_dcmtk_.size());
  std::memcpy(into, for_dcmtk_.data(), given);
  for_dcmtk_.erase(for_dcmtk_.begin(), for_dcmtk_.begin() + static_cast<std::ptrdiff_t>(given));
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
  return !for_dcmtk_.empty();
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
