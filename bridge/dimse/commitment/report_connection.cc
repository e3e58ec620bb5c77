// Connecting to a requester by TCP, with an end to every wait: the resolver's as well, which has
// time-outs of its own that nobody here chose.
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <list>
#include <mutex>

#include "dimse/commitment.h"
#include "dimse/guard/descriptor.h"

namespace isthmus {
namespace {

using dimse::Descriptor;

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

Error unreachable(const std::string& why) {
  return transient_error("report.unreachable",
                         "The requester cannot be reached (" + why +
                             "); look at report_to of its sender and at the network.");
}
Error stopping() {
  return transient_error("report.stopping", "The gateway is stopping.");
}
// How long one wait may last, so that a stop is seen soon.
constexpr std::int64_t kSliceMilliseconds = 200;

Error timed_out(const char* what) {
  return transient_error("report.timeout",
                         std::string("The requester took too long: ") + what + ".");
}

// Asks the resolver in a thread of the C library. A question that was given up belongs to nobody
// until its answer comes: it is kept until then.
class Question {
 public:
  static Result<Addresses> ask(Env& env, const ReportDesk& desk, const std::string& host,
                               const std::string& port, SteadyTime until) {
    auto question = std::make_unique<Question>();
    question->host_ = host;
    question->port_ = port;
    question->hints_.ai_socktype = SOCK_STREAM;
    question->hints_.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
    question->request_.ar_name = question->host_.c_str();
    question->request_.ar_service = question->port_.c_str();
    question->request_.ar_request = &question->hints_;
    gaicb* const one[] = {&question->request_};
    if (::getaddrinfo_a(GAI_NOWAIT, const_cast<gaicb**>(one), 1, nullptr) != 0) {
      return unreachable("the name could not be looked up");
    }
    while (::gai_error(&question->request_) == EAI_INPROGRESS) {
      const auto left = (until - env.clock.steady_now()).count();
      if (left <= 0 || desk.stopping()) {
        give_up(std::move(question));
        if (desk.stopping()) return stopping();
        return timed_out("the look-up of its name");
      }
      timespec wait{0, static_cast<long>(std::min(left, kSliceMilliseconds)) * 1'000'000};
      (void)::gai_suspend(one, 1, &wait);
    }
    if (::gai_error(&question->request_) != 0) return unreachable("its name is not known");
    return Addresses(question->request_.ar_result, &::freeaddrinfo);
  }

 private:
  static void give_up(std::unique_ptr<Question> question) {
    static std::mutex mutex;
    static std::list<std::unique_ptr<Question>> abandoned;
    (void)::gai_cancel(&question->request_);
    const std::lock_guard lock(mutex);
    abandoned.remove_if([](const std::unique_ptr<Question>& one) {
      const int state = ::gai_error(&one->request_);
      if (state == EAI_INPROGRESS) return false;
      if (state == 0) ::freeaddrinfo(one->request_.ar_result);
      return true;
    });
    abandoned.push_back(std::move(question));
  }

  std::string host_;
  std::string port_;
  addrinfo hints_{};
  gaicb request_{};
};

Result<Addresses> look_up(Env& env, const ReportDesk& desk, const std::string& host,
                          const std::string& port, SteadyTime until) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), port.c_str(), &hints, &found) == 0) {
    return Addresses(found, &::freeaddrinfo);
  }
  return Question::ask(env, desk, host, port, until);
}

class TcpConnection final : public ReportConnection {
 public:
  TcpConnection(Env& env, const ReportDesk& desk, Descriptor socket)
      : env_(env), desk_(desk), socket_(std::move(socket)) {}

  Result<void> write(ByteSpan bytes, SteadyTime until) override {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent > 0) {
        bytes = bytes.subspan(static_cast<std::size_t>(sent));
        continue;
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return closed();
      TRY(wait_for(POLLOUT, until, "it takes no bytes"));
    }
    return {};
  }

  Result<std::size_t> read(MutableByteSpan into, SteadyTime until) override {
    for (;;) {
      const ssize_t got = ::recv(socket_.get(), into.data(), into.size(), 0);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return closed();
      TRY(wait_for(POLLIN, until, "it does not answer"));
    }
  }

  Result<void> wait_for(short events, SteadyTime until, const char* what) {
    for (;;) {
      const auto left = (until - env_.clock.steady_now()).count();
      if (desk_.stopping()) return stopping();
      if (left <= 0) return timed_out(what);
      pollfd waiting{socket_.get(), events, 0};
      const int ready = ::poll(&waiting, 1, static_cast<int>(std::min(left, kSliceMilliseconds)));
      if (ready > 0) return {};
    }
  }

  int descriptor() const { return socket_.get(); }

 private:
  static Error closed() {
    return transient_error("report.closed", "The requester closed the connection.");
  }

  Env& env_;
  const ReportDesk& desk_;
  Descriptor socket_;
};

Result<std::unique_ptr<ReportConnection>> connect_to(Env& env, const ReportDesk& desk,
                                                     const addrinfo& address, SteadyTime until) {
  Descriptor socket(::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return unreachable(std::strerror(errno));
  const int fd = socket.get();
  const int on = 1;
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  auto connection = std::make_unique<TcpConnection>(env, desk, std::move(socket));
  if (::connect(fd, address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return unreachable(std::strerror(errno));
    TRY(connection->wait_for(POLLOUT, until, "it does not take the connection"));
    int error = 0;
    socklen_t length = sizeof(error);
    (void)::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) return unreachable(std::strerror(error));
  }
  return std::unique_ptr<ReportConnection>(std::move(connection));
}

}  // namespace

ConnectToRequester connect_by_tcp(Env& env, const ReportDesk& desk) {
  return [&env, &desk](const Requester& requester,
                       SteadyTime until) -> Result<std::unique_ptr<ReportConnection>> {
    if (requester.tls) {
      return transient_error("report.tls", "Reports by TLS are not set up on this gateway.");
    }
    TRY_ASSIGN(const Addresses addresses,
               look_up(env, desk, requester.host, std::to_string(requester.port), until));
    Error last = unreachable("it has no address");
    std::int64_t left = 0;
    for (const addrinfo* one = addresses.get(); one != nullptr; one = one->ai_next) ++left;
    for (const addrinfo* one = addresses.get(); one != nullptr; one = one->ai_next, --left) {
      // An address that swallows everything leaves time for the others.
      const SteadyTime now = env.clock.steady_now();
      auto connected = connect_to(env, desk, *one, now + (until - now) / left);
      if (connected.ok()) return connected;
      last = connected.error();
    }
    return last;
  };
}

}  // namespace isthmus
