// The accept loop: one thread that accepts, reads every A-ASSOCIATE-RQ whole under ARTIM, checks it
// and hands on the acceptable ones. A silent or slow peer costs one waiting socket and no thread.
// Sockets of associations that are over come back here until the peer closes.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/env.h"
#include "base/thread.h"
#include "dimse/guard/associate.h"
#include "dimse/guard/descriptor.h"

namespace isthmus::dimse {

struct AcceptorOptions {
  std::string address;
  std::uint16_t port = 0;
  std::size_t max_connections = 1024;  // waiting sockets; beyond, who waits longest is dropped
  Milliseconds artim_timeout{15'000};
};

class Acceptor {
 public:
  // Called in the acceptor's thread, must not block. Gives what the request is refused with, or
  // takes the socket and gives nothing.
  using Admit = std::function<std::optional<Refusal>(Descriptor& socket, AssociateRequest& request,
                                                     const std::string& peer_address)>;

  // Binds and listens; "dimse.bind" (permanent). Nothing is accepted before start().
  static Result<std::unique_ptr<Acceptor>> open(Env& env, AcceptorOptions options);
  ~Acceptor();

  std::uint16_t port() const { return port_; }
  int listener() const { return listener_.get(); }
  void start(Admit admit);
  // Takes a socket back and waits until the peer closes it, up to ARTIM. Any thread.
  void linger(Descriptor socket);
  // Closes the listening socket and every waiting one; joins. Safe twice and before start().
  void stop();

 private:
  using Id = std::uint64_t;
  struct Waiting {
    Descriptor socket;
    Bytes received;
    std::size_t wanted = kPduHeaderBytes;
    SteadyTime deadline;
    std::string peer_address;
    bool lingering = false;
    std::uint64_t dropped_bytes = 0;
    std::list<Id>::iterator place;  // in order_
  };

  Acceptor(Env& env, AcceptorOptions options);
  Result<void> listen();
  void loop();
  void accept_all();
  bool accept_one();
  void take_back();
  void watch(Descriptor socket, std::string peer_address, bool lingering);
  void on_readable(Id id);
  // What came is complete, or cannot become so: the entry is gone or lingers afterwards.
  void on_request(Id id, Waiting& waiting);
  bool read_more(Waiting& waiting);  // false: the peer is gone
  bool read_off(Waiting& waiting);   // likewise, while lingering
  void refuse(Id id, Waiting& waiting, const Refusal& refusal,
              const AssociateRequest* request = nullptr);
  void drop(Id id);
  void drop_overdue();
  bool drop_longest_waiting();
  int milliseconds_to_next() const;
  Counter& refused(const char* reason);

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
  Id next_id_ = 1;
  std::size_t large_bytes_ = 0;  // held by requests above kSmallRequestBytes

  std::mutex mutex_;
  std::vector<Descriptor> handed_back_;
};

}  // namespace isthmus::dimse
