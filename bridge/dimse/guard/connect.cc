#include "dimse/guard/connect.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace isthmus::dimse {
namespace {

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

std::string name_of(const ConnectTarget& target) {
  return target.host + ":" + std::to_string(target.port);
}

Error connect_error(const ConnectTarget& target, const std::string& what) {
  return transient_error("dimse.connect",
                         name_of(target) + " is not reached (" + what +
                             "); is it listening, and does a firewall let us through?");
}

Result<Addresses> resolve(const ConnectTarget& target) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(target.port);
  const int outcome = ::getaddrinfo(target.host.c_str(), port.c_str(), &hints, &found);
  if (outcome == 0) return Addresses(found, &::freeaddrinfo);
  return transient_error(
      "dimse.unknown_host",
      target.host + " has no address (" + ::gai_strerror(outcome) + "); look at its name.");
}

// Until the descriptor is ready, the time is up, or we stop.
Result<void> wait_for(Env& env, const ConnectTarget& target, const StopSignal& stop, int descriptor,
                      short events, SteadyTime until) {
  const SteadyTime now = env.clock.steady_now();
  if (now >= until) return connect_error(target, "no answer in time");
  const auto left = std::min<std::int64_t>((until - now).count(), 60'000);
  pollfd waiting[] = {{descriptor, events, 0}, {stop.event.get(), POLLIN, 0}};
  (void)::poll(waiting, 2, static_cast<int>(left));
  if (stop.abort_at.load(std::memory_order_acquire) == SteadyTime::max()) return {};
  return transient_error("dimse.stopping", "The gateway stops.");
}

Result<Descriptor> connect_to(Env& env, const ConnectTarget& target, const StopSignal& stop,
                              const addrinfo& address, SteadyTime until) {
  Descriptor socket(
      ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, address.ai_protocol));
  if (!socket.valid()) return connect_error(target, std::strerror(errno));
  if (::connect(socket.get(), address.ai_addr, address.ai_addrlen) == 0) return socket;
  if (errno != EINPROGRESS) return connect_error(target, std::strerror(errno));
  for (;;) {
    TRY(wait_for(env, target, stop, socket.get(), POLLOUT, until));
    pollfd ready{socket.get(), POLLOUT, 0};
    if (::poll(&ready, 1, 0) <= 0) continue;
    int error = 0;
    socklen_t length = sizeof(error);
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
    if (error != 0) return connect_error(target, std::strerror(error));
    return socket;
  }
}

Result<void> shake_hands(Env& env, const ConnectTarget& target, const StopSignal& stop,
                         tls::Session& session, int descriptor, SteadyTime until) {
  for (;;) {
    switch (session.handshake()) {
      case tls::Step::done:
        return {};
      case tls::Step::wants_read:
        TRY(wait_for(env, target, stop, descriptor, POLLIN, until));
        break;
      case tls::Step::wants_write:
        TRY(wait_for(env, target, stop, descriptor, POLLOUT, until));
        break;
      case tls::Step::closed:
        return transient_error("dimse.tls",
                               "TLS with " + name_of(target) + " failed: closed_in_handshake");
      case tls::Step::failed:
        return transient_error("dimse.tls",
                               "TLS with " + name_of(target) + " failed: " + session.failure());
    }
  }
}

}  // namespace

Result<Channel> connect(Env& env, const ConnectTarget& target, const StopSignal& stop) {
  const SteadyTime until = env.clock.steady_now() + target.timeout;
  TRY_ASSIGN(const Addresses addresses, resolve(target));
  Result<Descriptor> socket = connect_error(target, "it has no address");
  for (const addrinfo* next = addresses.get(); next != nullptr && !socket.ok();
       next = next->ai_next) {
    socket = connect_to(env, target, stop, *next, until);
    if (!socket.ok() && socket.error().code == "dimse.stopping") break;
  }
  if (!socket.ok()) return socket.error();
  if (target.tls == nullptr) return Channel(std::move(socket).value());
  auto session =
      tls::Session::connect(env, *target.tls, socket->get(), {target.host, target.pin_sha256});
  if (!session.ok()) return session.error();
  TRY(shake_hands(env, target, stop, *session, socket->get(), until));
  return Channel(std::move(socket).value(), std::move(session).value());
}

}  // namespace isthmus::dimse
