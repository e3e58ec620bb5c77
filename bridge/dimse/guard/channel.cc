#include "dimse/guard/channel.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

namespace isthmus::dimse {
namespace {

void set_option(int fd, int name, int value) {
  // Only speed depends on it.
  (void)::setsockopt(fd, IPPROTO_TCP, name, &value, sizeof(value));
}

Channel::Moved of_tls(const tls::Moved& moved) {
  switch (moved.step) {
    case tls::Step::done:
      return {Channel::Io::some, moved.bytes};
    case tls::Step::wants_read:
      return {Channel::Io::wants_read, 0};
    case tls::Step::wants_write:
      return {Channel::Io::wants_write, 0};
    case tls::Step::closed:
    case tls::Step::failed:
      return {Channel::Io::closed, 0};
  }
  return {};
}

// `call` moves bytes of a plain socket; interrupted, it is repeated.
template <typename Call>
Channel::Moved of_socket(Call call, Channel::Io when_blocked) {
  for (;;) {
    const ssize_t count = call();
    if (count > 0) return {Channel::Io::some, static_cast<std::size_t>(count)};
    if (count < 0 && errno == EINTR) continue;
    const bool blocked = count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    return {blocked ? when_blocked : Channel::Io::closed, 0};
  }
}

}  // namespace

void Channel::hurry(bool quick_ack) {
  set_option(descriptor(), TCP_NODELAY, 1);
  quick_ack_ = quick_ack;
  if (session_) session_->set_quick_ack(quick_ack);
}

Channel::Moved Channel::read(MutableByteSpan into) {
  if (session_) return of_tls(session_->read(into));
  // The kernel clears it again by itself: a receiver that delays its ACKs stalls a sender which
  // waits for one before it sends the rest of a PDU.
  if (quick_ack_) set_option(descriptor(), TCP_QUICKACK, 1);
  return of_socket([&] { return ::recv(descriptor(), into.data(), into.size(), 0); },
                   Io::wants_read);
}

Channel::Moved Channel::write(ByteSpan bytes) {
  if (session_) return of_tls(session_->write(bytes));
  return of_socket([&] { return ::send(descriptor(), bytes.data(), bytes.size(), MSG_NOSIGNAL); },
                   Io::wants_write);
}

void Channel::write_last(ByteSpan bytes) {
  while (!bytes.empty()) {
    const Moved moved = write(bytes);
    if (moved.io != Io::some) return;
    bytes = bytes.subspan(moved.bytes);
  }
}

Descriptor Channel::finish() {
  if (session_) session_->close_notify();
  session_.reset();
  (void)::shutdown(descriptor(), SHUT_WR);
  return std::move(socket_);
}

}  // namespace isthmus::dimse
