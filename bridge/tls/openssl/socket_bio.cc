#include "tls/openssl/socket_bio.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace isthmus::tls {
namespace {

SocketState& state_of(BIO* bio) {
  return *static_cast<SocketState*>(BIO_get_data(bio));
}

// Repeated until it is not an interruption; notes the end of the connection.
template <typename Call>
int move_bytes(SocketState& state, Call call, bool& try_again) {
  for (;;) {
    const ssize_t count = call();
    if (count > 0) return static_cast<int>(count);
    if (count < 0 && errno == EINTR) continue;
    try_again = count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    if (!try_again) state.closed = true;
    return count == 0 ? 0 : -1;
  }
}

int read_socket(BIO* bio, char* into, int size) {
  BIO_clear_retry_flags(bio);
  SocketState& state = state_of(bio);
  if (state.given < state.received.size()) {
    const std::size_t count =
        std::min(state.received.size() - state.given, static_cast<std::size_t>(size));
    std::memcpy(into, state.received.data() + state.given, count);
    state.given += count;
    if (state.given == state.received.size()) Bytes().swap(state.received), state.given = 0;
    return static_cast<int>(count);
  }
  if (state.reads_left-- <= 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  if (state.quick_ack) {
    const int on = 1;  // the kernel clears it again by itself
    (void)::setsockopt(state.descriptor, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
  }
  bool try_again = false;
  const int count = move_bytes(
      state, [&] { return ::recv(state.descriptor, into, static_cast<std::size_t>(size), 0); },
      try_again);
  if (try_again) BIO_set_retry_read(bio);
  return count;
}

int write_socket(BIO* bio, const char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  SocketState& state = state_of(bio);
  bool try_again = false;
  const int count = move_bytes(
      state,
      [&] { return ::send(state.descriptor, bytes, static_cast<std::size_t>(size), MSG_NOSIGNAL); },
      try_again);
  if (try_again) BIO_set_retry_write(bio);
  return count;
}

long control_socket(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

const BIO_METHOD* socket_method() {
  // One for the process, kept to its end: BIOs refer to it.
  static BIO_METHOD* const kMethod = [] {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "isthmus socket");
    ASSERT(method != nullptr);
    BIO_meth_set_read(method, read_socket);
    BIO_meth_set_write(method, write_socket);
    BIO_meth_set_ctrl(method, control_socket);
    return method;
  }();
  return kMethod;
}

}  // namespace

OwnedBio make_socket_bio(SocketState& state) {
  OwnedBio bio(BIO_new(socket_method()));
  ASSERT(bio != nullptr);
  BIO_set_data(bio.get(), &state);
  BIO_set_init(bio.get(), 1);
  return bio;
}

}  // namespace isthmus::tls
