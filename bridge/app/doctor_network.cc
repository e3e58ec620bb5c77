// The way to a server: its name, its port, its certificate, its clock.
#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "app/doctor.h"
#include "http/client.h"
#include "tls/session.h"

namespace isthmus::app {
namespace {

constexpr int kWaitMs = 10'000;
// Signatures are refused beyond 15 minutes ("RequestTimeTooSkewed", Amazon S3 API Reference).
constexpr Milliseconds kRefusedSkew = std::chrono::minutes(15);
constexpr Milliseconds kWarnedSkew = std::chrono::minutes(2);
// Shorter than what those leave who renew by themselves.
constexpr Milliseconds kSoon = std::chrono::hours(24 * 14);
// The bundle of Debian's ca-certificates, which OpenSSL uses by default as well.
constexpr const char* kSystemAuthorities = "/etc/ssl/certs/ca-certificates.crt";

struct Host {
  std::string name;
  std::string port;
  bool tls = false;
};

std::optional<Host> host_of(const std::string& url_text) {
  const auto url = http::parse_url(url_text);
  if (!url.ok()) return std::nullopt;
  Host host;
  host.tls = url->scheme == "https";
  const std::string_view authority = url->authority;
  const std::size_t bracket = authority.find(']');
  const std::size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  host.name = authority.substr(0, colon);
  host.port = colon == std::string_view::npos ? (host.tls ? "443" : "80")
                                              : std::string(authority.substr(colon + 1));
  if (host.name.starts_with('[')) host.name = host.name.substr(1, host.name.size() - 2);
  return host;
}

// A connected, non-blocking socket, closed at the end.
class Connection {
 public:
  explicit Connection(int descriptor) : descriptor_(descriptor) {}
  ~Connection() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Connection(Connection&& other) noexcept : descriptor_(other.descriptor_) {
    other.descriptor_ = -1;
  }
  Connection& operator=(Connection&&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

bool wait_for(int descriptor, short events) {
  pollfd one{descriptor, events, 0};
  return ::poll(&one, 1, kWaitMs) == 1;
}

// Why not, in words.
Result<Connection> connect_to(const addrinfo& address) {
  Connection connection(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto refused = [](int why) { return transient_error("doctor.tcp", std::strerror(why)); };
  if (connection.get() < 0) return refused(errno);
  if (::connect(connection.get(), address.ai_addr, address.ai_addrlen) == 0) return connection;
  if (errno != EINPROGRESS) return refused(errno);
  if (!wait_for(connection.get(), POLLOUT)) return transient_error("doctor.tcp", "no answer");
  int why = 0;
  socklen_t size = sizeof why;
  ::getsockopt(connection.get(), SOL_SOCKET, SO_ERROR, &why, &size);
  if (why != 0) return refused(why);
  return connection;
}

using Addresses = std::unique_ptr<addrinfo, void (*)(addrinfo*)>;

std::optional<Connection> reach(const Host& host, const std::string& subject, Findings& findings) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int status = ::getaddrinfo(host.name.c_str(), host.port.c_str(), &hints, &found);
  const Addresses addresses(found, ::freeaddrinfo);
  if (status != 0) {
    findings.push_back({"dns", host.name, Verdict::bad,
                        fmt::format("{}; correct the name, or the resolver of this machine",
                                    ::gai_strerror(status))});
    return std::nullopt;
  }
  findings.push_back({"dns", host.name, Verdict::well, "has an address"});
  std::string why = "no address";
  for (const addrinfo* one = addresses.get(); one != nullptr; one = one->ai_next) {
    auto connection = connect_to(*one);
    if (connection.ok()) {
      findings.push_back({"tcp", subject, Verdict::well, "answers"});
      return std::move(connection).value();
    }
    why = connection.error().message;
  }
  findings.push_back(
      {"tcp", subject, Verdict::bad, why + "; look at firewall, route and port, or set a proxy"});
  return std::nullopt;
}

// --- TLS

struct Handshake {
  std::string failure;  // empty: it went well
  tls::PeerIdentity peer;
  std::string version;
};

Result<Handshake> shake_hands(Env& env, const Connection& connection, const Host& host,
                              const std::string& authorities) {
  tls::ContextOptions options;
  options.role = tls::Role::client;
  options.profile = tls::Profile::bcp195_modified;
  options.ca = authorities;
  TRY_ASSIGN(const auto context, tls::Context::load(env, options));
  TRY_ASSIGN(auto session, tls::Session::connect(env, *context, connection.get(), {host.name, ""}));
  for (;;) {
    const tls::Step step = session.handshake();
    if (step == tls::Step::done) return Handshake{"", session.peer(), session.version()};
    if (step == tls::Step::closed) return Handshake{"closed", {}, ""};
    if (step == tls::Step::failed) return Handshake{session.failure(), {}, ""};
    if (!wait_for(connection.get(), step == tls::Step::wants_read ? POLLIN : POLLOUT)) {
      return Handshake{"no answer", {}, ""};
    }
  }
}

std::string advice_for(const std::string& failure, const ServerToVisit& server) {
  if (failure == "unknown_ca") {
    return server.ca_file.empty() ? "an authority that nobody here knows: set ca_file to its "
                                    "certificate if a proxy inspects, else distrust the way"
                                  : "an authority that is neither in ca_file nor the system's";
  }
  if (failure == "certificate_expired") return "the server's certificate is expired, or our clock";
  if (failure == "certificate_not_yet_valid") return "our clock is behind: set it (NTP)";
  if (failure == "wrong_name") return "the certificate is for another host: correct the endpoint";
  return "see the server, or what stands between";
}

void examine_tls(Env& env, Connection connection, const Host& host, const std::string& subject,
                 const ServerToVisit& server, Findings& findings) {
  const std::string first = server.ca_file.empty() ? kSystemAuthorities : server.ca_file;
  auto shaken = shake_hands(env, connection, host, first);
  if (shaken.ok() && shaken->failure == "unknown_ca" && !server.ca_file.empty()) {
    Findings aside;
    if (auto again = reach(host, subject, aside)) {
      shaken = shake_hands(env, *again, host, kSystemAuthorities);
    }
  }
  if (!shaken.ok()) {
    findings.push_back({"tls", subject, Verdict::bad, shaken.error().message});
    return;
  }
  if (!shaken->failure.empty()) {
    findings.push_back(
        {"tls", subject, Verdict::bad,
         fmt::format("{}: {}", shaken->failure, advice_for(shaken->failure, server))});
    return;
  }
  const auto until = shaken->peer.valid_until;
  const bool soon = until && *until - env.clock.wall_now() < kSoon;
  findings.push_back(
      {"tls", subject, soon ? Verdict::warn : Verdict::well,
       fmt::format("{}, certificate until {}", shaken->version, until ? to_rfc3339(*until) : "?")});
}

// --- clock

void examine_clock(Env& env, const ServerToVisit& server, const std::string& subject,
                   Findings& findings) {
  const auto client =
      http::make_client(env, {.ca_file = server.ca_file, .proxy_url = server.proxy_url});
  http::Request request;
  request.url = server.url;
  if (!request.url.ends_with('/')) request.url += '/';
  request.timeout = Milliseconds(kWaitMs);
  const auto response = client->send(std::move(request));
  if (!response.ok()) {
    findings.push_back({"clock", subject, Verdict::bad, response.error().message});
    return;
  }
  const auto theirs = http::from_http_date(response->headers.get("Date"));
  if (!theirs) {
    findings.push_back({"clock", subject, Verdict::skipped, "the server tells no date"});
    return;
  }
  const Milliseconds skew = env.clock.wall_now() - *theirs;
  const Milliseconds off = skew < Milliseconds(0) ? -skew : skew;
  const std::string text = fmt::format("our clock is {} s {}", off.count() / 1000,
                                       skew.count() < 0 ? "behind" : "ahead");
  if (off >= kRefusedSkew) {
    findings.push_back({"clock", subject, Verdict::bad,
                        text + "; signatures are refused beyond 900: set it (NTP)"});
  } else {
    findings.push_back(
        {"clock", subject, off >= kWarnedSkew ? Verdict::warn : Verdict::well, text});
  }
}

}  // namespace

void examine_server(Env& env, const ServerToVisit& server, Findings& findings) {
  const bool by_proxy = !server.proxy_url.empty();
  const auto host = host_of(by_proxy ? server.proxy_url : server.url);
  if (!host) {
    findings.push_back({"dns", server.url, Verdict::bad, "not a URL, https://host[:port]"});
    return;
  }
  const std::string subject = host->name + ":" + host->port;
  auto connection = reach(*host, subject, findings);
  if (!connection) return;
  if (host->tls && !by_proxy) {
    examine_tls(env, std::move(*connection), *host, subject, server, findings);
    if (findings.back().verdict == Verdict::bad) return;
  }
  examine_clock(env, server, by_proxy ? server.url : subject, findings);
}

}  // namespace isthmus::app
