// A connected, non-blocking socket, and TLS over it or not. Whoever reads PDUs does not need to
// know which.
#pragma once

#include <optional>

#include "base/bytes.h"
#include "dimse/guard/descriptor.h"
#include "tls/session.h"

namespace isthmus::dimse {

// One thread at a time; moved from the acceptor's to the association's. Destroyed, it closes the
// socket without a word.
class Channel {
 public:
  enum class Io {
    some,         // bytes were moved
    wants_read,   // … none: poll the descriptor for reading
    wants_write,  // likewise for writing
    closed,       // by the peer or the network, or TLS broke: see tls()->failure()
  };
  struct Moved {
    Io io = Io::closed;
    std::size_t bytes = 0;
  };

  Channel() = default;
  explicit Channel(Descriptor socket) : socket_(std::move(socket)) {}
  // `session` is one over this socket.
  Channel(Descriptor socket, tls::Session session)
      : socket_(std::move(socket)), session_(std::move(session)) {}

  bool valid() const { return socket_.valid(); }
  int descriptor() const { return socket_.get(); }
  // TCP_NODELAY now, and TCP_QUICKACK before each read from now on (MEASURED section 12).
  void hurry(bool quick_ack);

  Moved read(MutableByteSpan into);
  Moved write(ByteSpan bytes);
  // What can be sent at once; the rest is nobody's business any more.
  void write_last(ByteSpan bytes);

  // Nothing on a plain connection.
  const tls::Session* tls() const { return session_ ? &*session_ : nullptr; }
  tls::Session* tls() { return session_ ? &*session_ : nullptr; }

  // The socket of a plain channel, as it is: to begin TLS on it.
  Descriptor release() { return std::move(socket_); }
  // Says goodbye in TLS, sends the end of our stream, and gives the socket up: to wait until the
  // peer closes it.
  Descriptor finish();

 private:
  Descriptor socket_;
  std::optional<tls::Session> session_;
  bool quick_ack_ = false;
};

}  // namespace isthmus::dimse
