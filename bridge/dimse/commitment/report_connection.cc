// Connecting to a requester by TCP, and by TLS over it, with an end to every wait: the resolver's
// as well, which has time-outs of its own that nobody here chose.
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
#include "dimse/guard/channel.h"

namespace isthmus {
namespace {

using dimse::Channel;
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

class RequesterConnection final : public ReportConnection {
 public:
  RequesterConnection(Env& env, const ReportDesk& desk, Channel channel)
      : env_(env), desk_(desk), channel_(std::move(channel)) {}
  ~RequesterConnection() override {
    if (channel_.valid() && channel_.tls() != nullptr) channel_.tls()->close_notify();
  }

  Result<void> write(ByteSpan bytes, SteadyTime until) override {
    while (!bytes.empty()) {
      const Channel::Moved moved = channel_.write(bytes);
      bytes = bytes.subspan(moved.bytes);
      TRY(wait_after(moved.io, until, "it takes no bytes"));
    }
    return {};
  }

  Result<std::size_t> read(MutableByteSpan into, SteadyTime until) override {
    for (;;) {
      const Channel::Moved moved = channel_.read(into);
      if (moved.io == Channel::Io::some) return moved.bytes;
      if (moved.io == Channel::Io::closed) return std::size_t{0};
      TRY(wait_after(moved.io, until, "it does not answer"));
    }
  }

  // TLS from here on.
  Result<void> protect(const tls::Context& context, const tls::ExpectedServer& expected,
                       SteadyTime until) {
    auto session = tls::Session::connect(env_, context, channel_.descriptor(), expected);
    if (!session.ok()) return refused(session.error().code.c_str());
    for (;;) {
      switch (session->handshake()) {
        case tls::Step::done:
          channel_ = Channel(channel_.release(), std::move(session).value());
          return {};
        case tls::Step::wants_read:
          TRY(wait_for(POLLIN, until, "the TLS handshake"));
          break;
        case tls::Step::wants_write:
          TRY(wait_for(POLLOUT, until, "the TLS handshake"));
          break;
        case tls::Step::closed:
          return refused("closed_in_handshake");
        case tls::Step::failed:
          return refused(session->failure());
      }
    }
  }

  Result<void> wait_for(short events, SteadyTime until, const char* what) {
    for (;;) {
      const auto left = (until - env_.clock.steady_now()).count();
      if (desk_.stopping()) return stopping();
      if (left <= 0) return timed_out(what);
      pollfd waiting{channel_.descriptor(), events, 0};
      const int ready = ::poll(&waiting, 1, static_cast<int>(std::min(left, kSliceMilliseconds)));
      if (ready > 0) return {};
    }
  }

 private:
  Result<void> wait_after(Channel::Io io, SteadyTime until, const char* what) {
    switch (io) {
      case Channel::Io::some:
        return {};
      case Channel::Io::wants_read:
        return wait_for(POLLIN, until, what);
      case Channel::Io::wants_write:
        return wait_for(POLLOUT, until, what);
      case Channel::Io::closed:
        break;
    }
    return transient_error("report.closed", "The requester closed the connection.");
  }
  static Error refused(const char* reason) {
    return transient_error("report.tls", std::string("TLS with the requester failed: ") + reason +
                                             "; OPERATIONS, TLS, says what to do.");
  }

  Env& env_;
  const ReportDesk& desk_;
  Channel channel_;
};

using Connected = std::unique_ptr<RequesterConnection>;

Result<Connected> connect_to(Env& env, const ReportDesk& desk, const addrinfo& address,
                             SteadyTime until) {
  Descriptor socket(::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return unreachable(std::strerror(errno));
  const int fd = socket.get();
  const int on = 1;
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  auto connection = std::make_unique<RequesterConnection>(env, desk, Channel(std::move(socket)));
  if (::connect(fd, address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return unreachable(std::strerror(errno));
    TRY(connection->wait_for(POLLOUT, until, "it does not take the connection"));
    int error = 0;
    socklen_t length = sizeof(error);
    (void)::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) return unreachable(std::strerror(error));
  }
  return connection;
}

}  // namespace

ConnectToRequester connect_by_tcp(Env& env, const ReportDesk& desk,
                                  const tls::Certificates* certificates) {
  return
      [&env, &desk, certificates](const Requester& requester,
                                  SteadyTime until) -> Result<std::unique_ptr<ReportConnection>> {
        if (requester.tls && certificates == nullptr) {
          return transient_error("report.tls",
                                 "Reports by TLS need our certificates: set dimse.tls.enabled.");
        }
        TRY_ASSIGN(const Addresses addresses,
                   look_up(env, desk, requester.host, std::to_string(requester.port), until));
        Result<Connected> connected = unreachable("it has no address");
        std::int64_t left = 0;
        for (const addrinfo* one = addresses.get(); one != nullptr; one = one->ai_next) ++left;
        for (const addrinfo* one = addresses.get(); one != nullptr && !connected.ok();
             one = one->ai_next, --left) {
          // An address that swallows everything leaves time for the others.
          const SteadyTime now = env.clock.steady_now();
          connected = connect_to(env, desk, *one, now + (until - now) / left);
        }
        if (!connected.ok()) return connected.error();
        if (requester.tls) {
          const tls::ExpectedServer expected{
              requester.tls_name.empty() ? requester.host : requester.tls_name,
              requester.tls_pin_sha256};
          TRY((*connected)->protect(*certificates->current(), expected, until));
        }
        return std::unique_ptr<ReportConnection>(std::move(connected).value());
      };
}

}  // namespace isthmus
