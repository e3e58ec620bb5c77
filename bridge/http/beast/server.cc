// Boost.Beast parses the header, Asio waits for sockets; everything that a request's framing turns
// on is in rules/. One thread owns all connections and only waits; handlers run in a bounded pool.
// A connection that waits for bytes holds no thread, and the next bytes are read only when the
// handler has consumed the last ones, so a slow handler stops its sender through TCP's own window.
#include "http/server.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include "http/beast/connection.h"

namespace isthmus::http {
namespace {

namespace asio = boost::asio;
using beast_server::Connection;
using beast_server::Core;
using beast_server::error_code;
using beast_server::tcp;

constexpr Milliseconds kStopGrace{5'000};
constexpr Milliseconds kAcceptPause{100};  // after an error of accept: out of descriptors

class BeastServer : public Server {
 public:
  BeastServer(Env& env, Handler& handler, ServerOptions options)
      : core_(env, handler, std::move(options)),
        acceptor_(core_.io),
        pause_(core_.io),
        guard_(core_.io.get_executor()) {}
  ~BeastServer() override { stop(); }

  Result<void> start();
  void stop() override;
  std::uint16_t port() const override { return port_; }

 private:
  void accept();
  void on_accept(error_code failure, tcp::socket socket);

  Core core_;
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  asio::executor_work_guard<asio::io_context::executor_type> guard_;
  std::uint16_t port_ = 0;
  std::mutex stopping_;
  bool stopped_ = false;
  Thread thread_;
};

Result<void> BeastServer::start() {
  const ServerOptions& options = core_.options;
  error_code failure;
  const auto address = asio::ip::make_address(options.address, failure);
  const tcp::endpoint endpoint(address, options.port);
  if (!failure) acceptor_.open(endpoint.protocol(), failure);
  if (!failure) acceptor_.set_option(tcp::acceptor::reuse_address(true), failure);
  if (!failure) acceptor_.bind(endpoint, failure);
  if (!failure) acceptor_.listen(asio::socket_base::max_listen_connections, failure);
  if (!failure) port_ = acceptor_.local_endpoint(failure).port();
  if (failure) {
    return permanent_error("http.bind", "Cannot listen on " + options.address + " port " +
                                            std::to_string(options.port) + ": " +
                                            failure.message() + ".");
  }
  accept();
  thread_ = Thread(core_.env, "http-wait", [this] { core_.io.run(); });
  return {};
}

void BeastServer::accept() {
  acceptor_.async_accept(
      [this](error_code failure, tcp::socket socket) { on_accept(failure, std::move(socket)); });
}

void BeastServer::on_accept(error_code failure, tcp::socket socket) {
  if (core_.stopping) return;
  if (failure) {
    core_.env.log.warn("http.accept_failed", {{"errno", failure.value()}});
    pause_.expires_after(kAcceptPause);
    pause_.async_wait([this](error_code) {
      if (!core_.stopping) accept();
    });
    return;
  }
  const bool one_too_many =
      core_.connections.size() - core_.turned_away >= core_.options.connections;
  if (one_too_many && core_.turned_away >= beast_server::kTurnedAway) {
    core_.counters.refused("connections");  // and closed without a word
  } else {
    std::make_shared<Connection>(core_, std::move(socket), one_too_many)->start();
  }
  accept();
}

void BeastServer::stop() {
  const std::lock_guard lock(stopping_);
  if (stopped_) return;
  stopped_ = true;
  const auto each = [this](void (Connection::*what)()) {
    asio::post(core_.io, [this, what] {
      const auto connections = core_.connections;  // a copy: each may remove itself
      for (const auto& connection : connections) ((*connection).*what)();
    });
  };
  asio::post(core_.io, [this] {
    core_.stopping = true;
    error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
  });
  each(&Connection::close_if_idle);
  // Asio's timers run on the real clock, and so must this one.
  const auto until = std::chrono::steady_clock::now() + kStopGrace;
  while (core_.open > 0 && std::chrono::steady_clock::now() < until) {
    core_.closed_one.wait_for(Milliseconds(10));
  }
  each(&Connection::close);
  core_.pool.stop();
  guard_.reset();
  thread_.join();
}

}  // namespace

Result<std::unique_ptr<Server>> listen(Env& env, Handler& handler, ServerOptions options) {
  auto server = std::make_unique<BeastServer>(env, handler, std::move(options));
  TRY(server->start());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace isthmus::http
