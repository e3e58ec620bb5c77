#include "dimse/acceptor/acceptor.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace isthmus::dimse {
namespace {

constexpr std::uint64_t kListenerId = 0;
constexpr std::uint64_t kWakeupId = UINT64_MAX;
constexpr int kBacklog = 1024;
// What a lingering peer may still send before it is cut off.
constexpr std::uint64_t kMaxDroppedBytes = 4 * MiB;
// Real requests are smaller. Larger ones share a budget, so that a thousand peers that each send
// nearly the maximum and stop cannot hold 256 MiB.
constexpr std::size_t kSmallRequestBytes = 16 * KiB;
constexpr std::size_t kLargeRequestsBudget = 8 * MiB;
// Without descriptors left, accepting is tried again after this.
constexpr int kAcceptPauseMilliseconds = 100;

Error bind_error(const AcceptorOptions& options, const char* what) {
  return permanent_error("dimse.bind", "Cannot listen on " + options.address + ":" +
                                           std::to_string(options.port) + ": " + what +
                                           "; choose another dimse.address or dimse.port.");
}

std::string address_text(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
  } else if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
  }
  return text.data();
}

std::size_t large_part(const Bytes& received) {
  return received.size() > kSmallRequestBytes ? received.size() : 0;
}

}  // namespace

Acceptor::Acceptor(Env& env, AcceptorOptions options) : env_(env), options_(std::move(options)) {}

Acceptor::~Acceptor() {
  stop();
}

Result<std::unique_ptr<Acceptor>> Acceptor::open(Env& env, AcceptorOptions options) {
  std::unique_ptr<Acceptor> acceptor(new Acceptor(env, std::move(options)));
  TRY(acceptor->listen());
  return acceptor;
}

Result<void> Acceptor::listen() {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(options_.port);
  if (::getaddrinfo(options_.address.c_str(), port.c_str(), &hints, &found) != 0) {
    return bind_error(options_, "this is not a numeric address");
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, &::freeaddrinfo);
  listener_ = Descriptor(::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (!listener_.valid() ||
      ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      ::bind(listener_.get(), found->ai_addr, found->ai_addrlen) != 0 ||
      ::listen(listener_.get(), kBacklog) != 0) {
    return bind_error(options_, std::strerror(errno));
  }
  sockaddr_storage bound{};
  socklen_t length = sizeof(bound);
  if (::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
    return bind_error(options_, std::strerror(errno));
  }
  port_ = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                            : reinterpret_cast<sockaddr_in&>(bound).sin_port);
  epoll_ = Descriptor(::epoll_create1(EPOLL_CLOEXEC));
  wakeup_ = Descriptor(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kListenerId;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener_.get(), &event) != 0) {
    return bind_error(options_, std::strerror(errno));
  }
  event.data.u64 = kWakeupId;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wakeup_.get(), &event) != 0) {
    return bind_error(options_, std::strerror(errno));
  }
  return {};
}

void Acceptor::start(Admit admit) {
  admit_ = std::move(admit);
  thread_ = Thread(env_, "dimse-accept", [this] { loop(); });
}

void Acceptor::stop() {
  stopping_.store(true, std::memory_order_release);
  if (wakeup_.valid()) (void)::eventfd_write(wakeup_.get(), 1);
  thread_.join();
  waiting_.clear();
  order_.clear();
  listener_.reset();
  const std::lock_guard lock(mutex_);
  handed_back_.clear();
}

void Acceptor::linger(Descriptor socket) {
  // The last PDU goes out before the end of our stream; what the peer still sends is read off,
  // because closing with unread bytes would reset the connection and take our last PDU with it.
  (void)::shutdown(socket.get(), SHUT_WR);
  if (stopping_.load(std::memory_order_acquire)) return;
  {
    const std::lock_guard lock(mutex_);
    handed_back_.push_back(std::move(socket));
  }
  (void)::eventfd_write(wakeup_.get(), 1);
}

void Acceptor::loop() {
  std::array<epoll_event, 256> events{};
  while (!stopping_.load(std::memory_order_acquire)) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                   milliseconds_to_next());
    for (int i = 0; i < count; ++i) {
      const Id id = events[static_cast<std::size_t>(i)].data.u64;
      if (id == kListenerId) {
        accept_all();
      } else if (id == kWakeupId) {
        take_back();
      } else {
        on_readable(id);
      }
    }
    drop_overdue();
  }
}

void Acceptor::accept_all() {
  // Bounded, so that a flood of connections does not keep the requests that wait from being read.
  for (int i = 0; i < 64; ++i) {
    if (!accept_one()) return;
  }
}

bool Acceptor::accept_one() {
  sockaddr_storage peer{};
  socklen_t length = sizeof(peer);
  const int fd = ::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&peer), &length,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) {
    watch(Descriptor(fd), address_text(peer), false);
    return true;
  }
  if (errno == EINTR || errno == ECONNABORTED) return true;
  if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
    refused("no_descriptors").add();
    if (drop_longest_waiting()) return true;
    env_.clock.sleep_for(Milliseconds(kAcceptPauseMilliseconds));
  }
  return false;
}

void Acceptor::take_back() {
  eventfd_t ignored = 0;
  (void)::eventfd_read(wakeup_.get(), &ignored);
  std::vector<Descriptor> sockets;
  {
    const std::lock_guard lock(mutex_);
    sockets.swap(handed_back_);
  }
  for (Descriptor& socket : sockets) watch(std::move(socket), {}, true);
}

void Acceptor::watch(Descriptor socket, std::string peer_address, bool lingering) {
  if (waiting_.size() >= options_.max_connections) drop_longest_waiting();
  const Id id = next_id_++;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = id;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket.get(), &event) != 0) return;
  Waiting waiting;
  waiting.socket = std::move(socket);
  waiting.deadline = env_.clock.steady_now() + options_.artim_timeout;
  waiting.peer_address = std::move(peer_address);
  waiting.lingering = lingering;
  waiting.place = order_.insert(order_.end(), id);
  waiting_.emplace(id, std::move(waiting));
}

void Acceptor::on_readable(Id id) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return;  // dropped earlier in this round
  Waiting& waiting = found->second;
  if (waiting.lingering) {
    if (!read_off(waiting)) drop(id);
    return;
  }
  const std::size_t before = large_part(waiting.received);
  const bool alive = read_more(waiting);
  large_bytes_ = large_bytes_ - before + large_part(waiting.received);
  if (waiting.received.size() == waiting.wanted) return on_request(id, waiting);
  if (!alive) return drop(id);
  if (waiting.wanted > kPduHeaderBytes && large_bytes_ > kLargeRequestsBudget) {
    refuse(id, waiting, abort_with(AbortReason::not_specified, "request_budget"));
  }
}

// Header first, then exactly the rest of the PDU: what follows it stays in the kernel for DCMTK's
// connection. Memory grows with what has come, not with what was announced.
bool Acceptor::read_more(Waiting& waiting) {
  std::array<std::byte, 16 * KiB> chunk;
  while (waiting.received.size() < waiting.wanted) {
    const std::size_t room = std::min(chunk.size(), waiting.wanted - waiting.received.size());
    const ssize_t got = ::recv(waiting.socket.get(), chunk.data(), room, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    if (got == 0) return false;
    waiting.received.insert(waiting.received.end(), chunk.begin(), chunk.begin() + got);
    if (waiting.wanted == kPduHeaderBytes && waiting.received.size() == kPduHeaderBytes) {
      const PduHeader header = read_pdu_header(waiting.received);
      if (examine_first_header(header)) return true;  // on_request says so
      waiting.wanted += header.length_bytes;
    }
  }
  return true;
}

void Acceptor::on_request(Id id, Waiting& waiting) {
  if (const auto refusal = examine_first_header(read_pdu_header(waiting.received))) {
    // An A-ABORT is not answered (PS3.8 section 9.2.3, AA-2).
    if (waiting.received[0] == static_cast<std::byte>(PduType::abort)) return drop(id);
    return refuse(id, waiting, *refusal);
  }
  auto verdict = examine_associate_request(waiting.received);
  if (const auto* refusal = std::get_if<Refusal>(&verdict)) return refuse(id, waiting, *refusal);
  auto& request = std::get<AssociateRequest>(verdict);
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, waiting.socket.get(), nullptr);
  const auto refusal = admit_(waiting.socket, request, waiting.peer_address);
  if (!refusal) return drop(id);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = id;
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, waiting.socket.get(), &event);
  refuse(id, waiting, *refusal, &request);
}

bool Acceptor::read_off(Waiting& waiting) {
  std::array<std::byte, 16 * KiB> chunk;
  for (int i = 0; i < 16; ++i) {
    const ssize_t got = ::recv(waiting.socket.get(), chunk.data(), chunk.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    if (got == 0) return false;
    waiting.dropped_bytes += static_cast<std::uint64_t>(got);
    if (waiting.dropped_bytes > kMaxDroppedBytes) return false;
  }
  return true;
}

void Acceptor::refuse(Id id, Waiting& waiting, const Refusal& refusal,
                      const AssociateRequest* request) {
  refused(refusal.why).add();
  env_.log.info("association.refused",
                {{"peer", waiting.peer_address},
                 {"answer", refusal.kind == Refusal::Kind::reject ? "reject" : "abort"},
                 {"why", refusal.why},
                 {"calling_ae_title", request == nullptr ? "" : request->calling_ae_title.c_str()},
                 {"called_ae_title", request == nullptr ? "" : request->called_ae_title.c_str()}});
  const Bytes pdu = encode_refusal(refusal);
  Descriptor socket = std::move(waiting.socket);
  (void)::send(socket.get(), pdu.data(), pdu.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket.get(), nullptr);
  drop(id);
  (void)::shutdown(socket.get(), SHUT_WR);
  watch(std::move(socket), {}, true);
}

void Acceptor::drop(Id id) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return;
  large_bytes_ -= large_part(found->second.received);
  order_.erase(found->second.place);
  waiting_.erase(found);
}

void Acceptor::drop_overdue() {
  const SteadyTime now = env_.clock.steady_now();
  while (!order_.empty()) {
    const Waiting& oldest = waiting_.at(order_.front());
    if (oldest.deadline > now) return;
    // ARTIM expired: the connection is closed without a word (PS3.8 section 9.2.3, AA-2).
    if (!oldest.lingering) refused("artim").add();
    drop(order_.front());
  }
}

bool Acceptor::drop_longest_waiting() {
  if (order_.empty()) return false;
  if (!waiting_.at(order_.front()).lingering) refused("crowded_out").add();
  drop(order_.front());
  return true;
}

int Acceptor::milliseconds_to_next() const {
  if (order_.empty()) return -1;
  const SteadyTime deadline = waiting_.at(order_.front()).deadline;
  const auto left = (deadline - env_.clock.steady_now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

Counter& Acceptor::refused(const char* reason) {
  return env_.metrics.counter("dimse_refused_total",
                              "Associations refused or aborted by us, by reason",
                              {{"reason", reason}});
}

}  // namespace isthmus::dimse
