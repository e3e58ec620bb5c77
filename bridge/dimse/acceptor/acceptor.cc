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

#include "tls/client_hello.h"

namespace isthmus::dimse {
namespace {

constexpr std::uint64_t kListenerId = 0;
constexpr std::uint64_t kFirstId = 1;
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
  return permanent_error("dimse.bind",
                         "Cannot listen on " + options.address + ":" +
                             std::to_string(options.port.port) + ": " + what +
                             "; choose another dimse.address or " +
                             (options.port.tls == nullptr ? "dimse.port." : "dimse.tls.port."));
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

std::string peer_of(const Descriptor& socket) {
  sockaddr_storage peer{};
  socklen_t length = sizeof(peer);
  if (::getpeername(socket.get(), reinterpret_cast<sockaddr*>(&peer), &length) != 0) return {};
  return address_text(peer);
}

std::size_t large_part(const Bytes& received) {
  return received.size() > kSmallRequestBytes ? received.size() : 0;
}

}  // namespace

Acceptor::Acceptor(Env& env, AcceptorOptions options)
    : env_(env), options_(std::move(options)), next_id_(kFirstId) {}

Acceptor::~Acceptor() {
  stop();
}

Result<std::unique_ptr<Acceptor>> Acceptor::open(Env& env, AcceptorOptions options) {
  std::unique_ptr<Acceptor> acceptor(new Acceptor(env, std::move(options)));
  TRY(acceptor->listen());
  return acceptor;
}

Result<void> Acceptor::listen() {
  epoll_ = Descriptor(::epoll_create1(EPOLL_CLOEXEC));
  wakeup_ = Descriptor(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeupId;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wakeup_.get(), &event) != 0) {
    return bind_error(options_, std::strerror(errno));
  }
  return bind();
}

Result<void> Acceptor::bind() {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(options_.port.port);
  if (::getaddrinfo(options_.address.c_str(), port.c_str(), &hints, &found) != 0) {
    return bind_error(options_, "this is not a numeric address");
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, &::freeaddrinfo);
  Descriptor listener(::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (!listener.valid() ||
      ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      ::bind(listener.get(), found->ai_addr, found->ai_addrlen) != 0 ||
      ::listen(listener.get(), kBacklog) != 0) {
    return bind_error(options_, std::strerror(errno));
  }
  sockaddr_storage bound{};
  socklen_t length = sizeof(bound);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kListenerId;
  if (::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&bound), &length) != 0 ||
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener.get(), &event) != 0) {
    return bind_error(options_, std::strerror(errno));
  }
  port_ = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                            : reinterpret_cast<sockaddr_in&>(bound).sin_port);
  listener_ = std::move(listener);
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
  waiting_of_.clear();
  order_.clear();
  listener_.reset();
  const std::lock_guard lock(mutex_);
  handed_back_.clear();
}

void Acceptor::linger(Descriptor socket) {
  // What the peer still sends is read off, because closing with unread bytes would reset the
  // connection and take our last PDU with it.
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
        on_ready(id);
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
    Waiting waiting;
    waiting.tls = options_.port.tls;
    waiting.phase = waiting.tls == nullptr ? Phase::request : Phase::hello;
    waiting.channel = Channel(Descriptor(fd));
    waiting.peer_address = address_text(peer);
    watch(std::move(waiting));
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
  for (Descriptor& socket : sockets) linger_here(std::move(socket));
}

void Acceptor::watch(Waiting waiting) {
  if (waiting_.size() >= options_.max_connections) drop_longest_waiting();
  const Id id = next_id_++;
  epoll_event event{};
  event.events = waiting.interest = EPOLLIN;
  event.data.u64 = id;
  const int descriptor = waiting.channel.descriptor();
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) != 0) return;
  waiting.deadline = env_.clock.steady_now() + options_.artim_timeout;
  waiting.place = order_.insert(order_.end(), id);
  ++waiting_of_[waiting.peer_address];
  waiting_.emplace(id, std::move(waiting));
}

void Acceptor::linger_here(Descriptor socket) {
  Waiting waiting;
  waiting.phase = Phase::lingering;
  waiting.peer_address = peer_of(socket);
  waiting.channel = Channel(std::move(socket));
  watch(std::move(waiting));
}

void Acceptor::on_ready(Id id) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return;  // dropped earlier in this round
  Waiting& waiting = found->second;
  if (waiting.phase == Phase::lingering) {
    if (!read_off(waiting)) drop(id);
    return;
  }
  if (waiting.phase == Phase::hello && !on_hello(id, waiting)) return;
  if (waiting.phase == Phase::handshake && !on_handshake(id, waiting)) return;
  on_request_bytes(id, waiting);
}

bool Acceptor::on_hello(Id id, Waiting& waiting) {
  const Read read = read_hello(waiting);
  switch (tls::examine_client_hello(waiting.received)) {
    case tls::Hello::incomplete:
      if (read == Read::closed && waiting.received.empty()) {
        drop(id);  // a look whether the port is open
      } else if (read == Read::closed) {
        end_handshake(id, waiting, "closed_in_handshake");
      }
      return false;
    case tls::Hello::not_tls:
      // Nothing is said in plain on this port; the end of the stream tells enough.
      end_handshake(id, waiting, "plain_on_tls_port");
      return false;
    case tls::Hello::malformed:
      end_handshake(id, waiting, "malformed_tls");
      return false;
    case tls::Hello::complete:
      break;
  }
  Bytes hello;
  hello.swap(waiting.received);
  auto session = tls::Session::accept(env_, *waiting.tls->current(), waiting.channel.descriptor(),
                                      std::move(hello));
  if (!session.ok()) {
    end_handshake(id, waiting, "no_memory");
    return false;
  }
  waiting.channel = Channel(waiting.channel.release(), std::move(session).value());
  waiting.phase = Phase::handshake;
  return true;
}

bool Acceptor::on_handshake(Id id, Waiting& waiting) {
  tls::Session& session = *waiting.channel.tls();
  switch (session.handshake()) {
    case tls::Step::wants_read:
      want(id, waiting, EPOLLIN);
      return false;
    case tls::Step::wants_write:
      want(id, waiting, EPOLLOUT);
      return false;
    case tls::Step::closed:
      end_handshake(id, waiting, "closed_in_handshake");
      return false;
    case tls::Step::failed:
      end_handshake(id, waiting, session.failure());
      return false;
    case tls::Step::done:
      break;
  }
  handshakes("completed").add();
  want(id, waiting, EPOLLIN);
  waiting.phase = Phase::request;
  return true;  // the request may have come with the last of the handshake
}

void Acceptor::on_request_bytes(Id id, Waiting& waiting) {
  const Read read = read_request(id, waiting);
  recount(waiting);
  if (read == Read::complete) return on_request(id, waiting);
  if (read == Read::closed) return drop(id);
  if (waiting.wanted > kPduHeaderBytes && large_bytes_ > kLargeRequestsBudget) {
    refuse(id, waiting, abort_with(AbortReason::not_specified, "request_budget"));
  }
}

// Until the socket has no more, or there is enough to decide.
Acceptor::Read Acceptor::read_hello(Waiting& waiting) {
  std::array<std::byte, 4 * KiB> chunk;
  for (;;) {
    if (waiting.received.size() >= tls::kMaxClientHelloRecordBytes) return Read::complete;
    const Channel::Moved moved = waiting.channel.read(chunk);
    if (moved.io != Channel::Io::some) {
      return moved.io == Channel::Io::closed ? Read::closed : Read::more;
    }
    waiting.received.insert(waiting.received.end(), chunk.begin(),
                            chunk.begin() + static_cast<std::ptrdiff_t>(moved.bytes));
    if (tls::examine_client_hello(waiting.received) != tls::Hello::incomplete) {
      return Read::complete;
    }
  }
}

// Header first, then exactly the rest of the PDU: what follows it stays in the channel for DCMTK's
// connection. Memory grows with what has come, not with what was announced.
Acceptor::Read Acceptor::read_request(Id id, Waiting& waiting) {
  std::array<std::byte, 16 * KiB> chunk;
  while (waiting.received.size() < waiting.wanted) {
    const std::size_t room = std::min(chunk.size(), waiting.wanted - waiting.received.size());
    const Channel::Moved moved = waiting.channel.read(MutableByteSpan(chunk).first(room));
    if (moved.io == Channel::Io::closed) return Read::closed;
    if (moved.io != Channel::Io::some) {
      want(id, waiting, moved.io == Channel::Io::wants_write ? EPOLLOUT : EPOLLIN);
      return Read::more;
    }
    waiting.received.insert(waiting.received.end(), chunk.begin(),
                            chunk.begin() + static_cast<std::ptrdiff_t>(moved.bytes));
    if (waiting.wanted == kPduHeaderBytes && waiting.received.size() == kPduHeaderBytes) {
      const PduHeader header = read_pdu_header(waiting.received);
      if (examine_first_header(header)) return Read::complete;  // on_request says so
      waiting.wanted += header.length_bytes;
    }
  }
  return Read::complete;
}

void Acceptor::on_request(Id id, Waiting& waiting) {
  if (auto refusal = examine_first_header(read_pdu_header(waiting.received))) {
    // An A-ABORT is not answered (PS3.8 section 9.2.3, AA-2).
    if (waiting.received[0] == static_cast<std::byte>(PduType::abort)) return drop(id);
    // Its seven bytes are no TLS either: the client knows at once that it is on the wrong port.
    if (tls::looks_like_tls(waiting.received)) refusal->why = "tls_on_plain_port";
    return refuse(id, waiting, *refusal);
  }
  auto verdict = examine_associate_request(waiting.received);
  if (const auto* refusal = std::get_if<Refusal>(&verdict)) return refuse(id, waiting, *refusal);
  auto& request = std::get<AssociateRequest>(verdict);
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, waiting.channel.descriptor(), nullptr);
  const auto refusal = admit_(waiting.channel, request, waiting.peer_address);
  if (!refusal) return drop(id);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = id;
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, waiting.channel.descriptor(), &event);
  refuse(id, waiting, *refusal, &request);
}

bool Acceptor::read_off(Waiting& waiting) {
  std::array<std::byte, 16 * KiB> chunk;
  for (int i = 0; i < 16; ++i) {
    const Channel::Moved moved = waiting.channel.read(chunk);
    if (moved.io != Channel::Io::some) return moved.io != Channel::Io::closed;
    waiting.dropped_bytes += moved.bytes;
    if (waiting.dropped_bytes > kMaxDroppedBytes) return false;
  }
  return true;
}

void Acceptor::want(Id id, Waiting& waiting, std::uint32_t events) {
  if (waiting.interest == events) return;
  epoll_event event{};
  event.events = waiting.interest = events;
  event.data.u64 = id;
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, waiting.channel.descriptor(), &event);
}

void Acceptor::recount(Waiting& waiting) {
  large_bytes_ -= waiting.counted;
  waiting.counted = large_part(waiting.received);
  large_bytes_ += waiting.counted;
}

void Acceptor::refuse(Id id, Waiting& waiting, const Refusal& refusal,
                      const AssociateRequest* request) {
  refused(refusal.why).add();
  log_refusal(waiting, refusal, request);
  waiting.channel.write_last(encode_refusal(refusal));
  let_go(id, waiting);
}

// Whoever is refused again and again does not fill the disk with lines: all are counted, and a line
// says how many had none before it.
void Acceptor::log_refusal(const Waiting& waiting, const Refusal& refusal,
                           const AssociateRequest* request) {
  const auto omitted = refusal_log_limit_.admit(env_.clock.steady_now());
  if (!omitted) return;
  const tls::Session* session = waiting.channel.tls();
  env_.log.info("association.refused",
                {{"peer", waiting.peer_address},
                 {"answer", refusal.kind == Refusal::Kind::reject ? "reject" : "abort"},
                 {"why", refusal.why},
                 {"calling_ae_title", request == nullptr ? "" : request->calling_ae_title.c_str()},
                 {"called_ae_title", request == nullptr ? "" : request->called_ae_title.c_str()},
                 {"certificate", session == nullptr ? "" : session->peer().fingerprint_sha256},
                 {"omitted_before", *omitted}});
}

void Acceptor::end_handshake(Id id, Waiting& waiting, const char* reason) {
  handshakes(reason).add();
  if (const auto omitted = log_limit_.admit(env_.clock.steady_now())) {
    env_.log.warn(
        "tls.handshake_failed",
        {{"peer", waiting.peer_address}, {"reason", reason}, {"omitted_before", *omitted}});
  }
  let_go(id, waiting);
}

void Acceptor::let_go(Id id, Waiting& waiting) {
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, waiting.channel.descriptor(), nullptr);
  Descriptor socket = waiting.channel.finish();
  drop(id);
  linger_here(std::move(socket));
}

void Acceptor::drop(Id id) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return;
  large_bytes_ -= found->second.counted;
  const auto count = waiting_of_.find(found->second.peer_address);
  if (--count->second == 0) waiting_of_.erase(count);
  order_.erase(found->second.place);
  waiting_.erase(found);
}

void Acceptor::drop_overdue() {
  const SteadyTime now = env_.clock.steady_now();
  while (!order_.empty()) {
    const Waiting& oldest = waiting_.at(order_.front());
    if (oldest.deadline > now) return;
    // ARTIM expired: the connection is closed without a word (PS3.8 section 9.2.3, AA-2).
    count_dropped(oldest, "artim", "handshake_timeout");
    drop(order_.front());
  }
}

bool Acceptor::drop_longest_waiting() {
  if (order_.empty()) return false;
  // Whoever opens the most loses its own: a thousand silent sockets of one peer crowd out each
  // other, and nobody else.
  const auto greediest =
      std::max_element(waiting_of_.begin(), waiting_of_.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  const auto longest = std::find_if(order_.begin(), order_.end(), [&](Id id) {
    return waiting_.at(id).peer_address == greediest->first;
  });
  count_dropped(waiting_.at(*longest), "crowded_out", "crowded_out");
  drop(*longest);
  return true;
}

int Acceptor::milliseconds_to_next() const {
  if (order_.empty()) return -1;
  const SteadyTime deadline = waiting_.at(order_.front()).deadline;
  const auto left = (deadline - env_.clock.steady_now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

void Acceptor::count_dropped(const Waiting& waiting, const char* reason,
                             const char* handshake_reason) {
  if (waiting.phase == Phase::lingering) return;
  if (waiting.phase == Phase::request) return refused(reason).add();
  handshakes(handshake_reason).add();
  if (const auto omitted = log_limit_.admit(env_.clock.steady_now())) {
    env_.log.warn("tls.handshake_failed", {{"peer", waiting.peer_address},
                                           {"reason", handshake_reason},
                                           {"omitted_before", *omitted}});
  }
}

Counter& Acceptor::refused(const char* reason) {
  return env_.metrics.counter("dimse_refused_total",
                              "Associations refused or aborted by us, by reason",
                              {{"reason", reason}});
}

Counter& Acceptor::handshakes(const char* result) {
  return env_.metrics.counter("dimse_tls_handshakes_total",
                              "TLS handshakes, by result: completed, or why not",
                              {{"result", result}});
}

}  // namespace isthmus::dimse
