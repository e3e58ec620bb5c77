// The accept loop of one port: one thread that accepts, does the TLS handshake if the port speaks
// TLS, reads every A-ASSOCIATE-RQ whole, all of it under one ARTIM, checks it and hands on the
// acceptable ones. A silent or slow peer costs one waiting socket and no thread. Sockets of
// associations that are over come back here until the peer closes.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/env.h"
#include "base/log_limit.h"
#include "base/thread.h"
#include "dimse/guard/associate.h"
#include "dimse/guard/channel.h"
#include "tls/certificates.h"

namespace isthmus::dimse {

struct AcceptedPort {
  std::uint16_t port = 0;                  // 0: any free one
  const tls::Certificates* tls = nullptr;  // nothing: plain, and plain alone; else TLS alone
};

struct AcceptorOptions {
  std::string address;
  AcceptedPort port;
  // Waiting sockets; beyond, the address that has the most of them loses the one that waits
  // longest.
  std::size_t max_connections = 1024;
  Milliseconds artim_timeout{15'000};
};

class Acceptor {
 public:
  // Called in the acceptor's thread, must not block. Gives what the request is refused with, or
  // takes the channel and gives nothing. A channel's TLS handshake is done.
  using Admit = std::function<std::optional<Refusal>(Channel& channel, AssociateRequest& request,
                                                     const std::string& peer_address)>;

  // Binds and listens; "dimse.bind" (permanent). Nothing is accepted before start().
  static Result<std::unique_ptr<Acceptor>> open(Env& env, AcceptorOptions options);
  ~Acceptor();

  std::uint16_t port() const { return port_; }
  void start(Admit admit);
  // Takes a socket back, the end of our stream sent, and waits until the peer closes it, up to
  // ARTIM. Any thread.
  void linger(Descriptor socket);
  // Closes the listening socket and every waiting one; joins. Safe twice and before start().
  void stop();

 private:
  using Id = std::uint64_t;
  enum class Phase {
    hello,      // TLS: its ClientHello is not whole
    handshake,  // TLS: between ClientHello and Finished
    request,    // for the A-ASSOCIATE-RQ
    lingering,  // for the peer to close
  };
  struct Waiting {
    Phase phase = Phase::request;
    const tls::Certificates* tls = nullptr;
    Channel channel;
    std::uint32_t interest = 0;  // epoll's events
    Bytes received;
    std::size_t counted = 0;  // of it, in large_bytes_
    std::size_t wanted = kPduHeaderBytes;
    SteadyTime deadline;
    std::string peer_address;
    std::uint64_t dropped_bytes = 0;
    std::list<Id>::iterator place;  // in order_
  };

  Acceptor(Env& env, AcceptorOptions options);
  Result<void> listen();
  Result<void> bind();
  void loop();
  void accept_all();
  bool accept_one();
  void take_back();
  void watch(Waiting waiting);
  void linger_here(Descriptor socket);
  void on_ready(Id id);
  // These give whether the next phase may be begun at once; the entry may be gone otherwise.
  bool on_hello(Id id, Waiting& waiting);
  bool on_handshake(Id id, Waiting& waiting);
  void on_request_bytes(Id id, Waiting& waiting);
  // What came is complete, or cannot become so: the entry is gone or lingers afterwards.
  void on_request(Id id, Waiting& waiting);
  enum class Read { complete, more, closed };
  Read read_hello(Waiting& waiting);
  Read read_request(Id id, Waiting& waiting);
  bool read_off(Waiting& waiting);  // while lingering; false: the peer is gone
  void want(Id id, Waiting& waiting, std::uint32_t events);
  void recount(Waiting& waiting);
  void refuse(Id id, Waiting& waiting, const Refusal& refusal,
              const AssociateRequest* request = nullptr);
  void end_handshake(Id id, Waiting& waiting, const char* reason);
  // Lingers with what was sent already.
  void let_go(Id id, Waiting& waiting);
  void drop(Id id);
  void drop_overdue();
  bool drop_longest_waiting();
  int milliseconds_to_next() const;
  // For an entry that waited too long, or has to make room.
  void count_dropped(const Waiting& waiting, const char* reason, const char* handshake_reason);
  Counter& refused(const char* reason);
  Counter& handshakes(const char* result);
  void log_refusal(const Waiting& waiting, const Refusal& refusal, const AssociateRequest* request);

  Env& env_;
  const AcceptorOptions options_;
  std::uint16_t port_ = 0;
  Descriptor listener_;
  Descriptor epoll_;
  Descriptor wakeup_;  // eventfd: something was handed back, or stop
  Admit admit_;
  Thread thread_;
  std::atomic<bool> stopping_{false};

  // Of the loop's thread alone. Ids ascend with time and every deadline is the same span away, so
  // the order of `order_` is the order of deadlines.
  std::unordered_map<Id, Waiting> waiting_;
  std::list<Id> order_;
  std::unordered_map<std::string, std::size_t> waiting_of_;  // by address
  Id next_id_;
  std::size_t large_bytes_ = 0;  // held by requests above kSmallRequestBytes
  LogLimit log_limit_;
  LogLimit refusal_log_limit_;

  std::mutex mutex_;
  std::vector<Descriptor> handed_back_;
};

}  // namespace isthmus::dimse
