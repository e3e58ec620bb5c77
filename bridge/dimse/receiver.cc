#include "dimse/receiver.h"

#include <sys/eventfd.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <list>
#include <mutex>
#include <system_error>

#include "dimse/acceptor/acceptor.h"
#include "dimse/session/session.h"

namespace isthmus {
namespace {

using namespace dimse;

// Messages under way when we are told to stop have this long to come to their end.
constexpr Milliseconds kStopGrace{3'000};
constexpr std::uint32_t kLeastPduBytes = 4096;  // DCMTK's bounds for what is announced
constexpr std::uint32_t kMostPduBytes = 131072;

// What the certificate of a trusted authority says; nothing without one.
std::optional<TlsIdentity> identity_of(const Channel& channel) {
  if (channel.tls() == nullptr || channel.tls()->peer().fingerprint_sha256.empty()) {
    return std::nullopt;
  }
  const tls::PeerIdentity& peer = channel.tls()->peer();
  return TlsIdentity{peer.fingerprint_sha256, peer.common_name, peer.subject_names};
}

class Receiver : public DimseReceiver {
 public:
  Receiver(Env& env, Spool& spool, Admission& admission, Senders& senders,
           const DimseOptions& options, std::unique_ptr<Network> network,
           std::vector<std::unique_ptr<Acceptor>> acceptors)
      : env_(env),
        spool_(spool),
        admission_(admission),
        senders_(senders),
        shares_(env, senders, options.max_associations, options.counts),
        listens_plain_(options.plain),
        listens_tls_(options.tls != nullptr),
        network_(std::move(network)),
        acceptors_(std::move(acceptors)),
        gauge_(env.metrics.gauge("dimse_associations", "Open associations")) {
    session_options_.policy = {options.accept_unknown_sop_classes, options.extra_sop_classes,
                               options.commitment != nullptr};
    session_options_.commitment = options.commitment;
    session_options_.connection = {options.max_pdu_bytes, options.pdu_timeout,
                                   options.tcp_quick_ack};
    session_options_.idle_timeout = options.idle_timeout;
    session_options_.message_timeout = options.message_timeout;
    session_options_.association_timeout = options.association_timeout;
    session_options_.max_instance_bytes = options.max_instance_bytes;
    stop_signal_.event = Descriptor(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  }
  ~Receiver() override { stop(); }

  void start() {
    for (const std::unique_ptr<Acceptor>& acceptor : acceptors_) {
      acceptor->start([this, &from = *acceptor](Channel& channel, AssociateRequest& request,
                                                const std::string& peer_address) {
        return admit(from, channel, request, peer_address);
      });
    }
  }

  std::uint16_t port() const override { return listens_plain_ ? acceptors_.front()->port() : 0; }
  std::uint16_t tls_port() const override { return listens_tls_ ? acceptors_.back()->port() : 0; }
  std::size_t associations() const override { return open_.load(std::memory_order_relaxed); }

  void stop() override {
    const std::lock_guard lock(stop_mutex_);
    stop_signal_.abort_at.store(env_.clock.steady_now() + kStopGrace, std::memory_order_release);
    (void)::eventfd_write(stop_signal_.event.get(), 1);
    for (const std::unique_ptr<Acceptor>& acceptor : acceptors_) acceptor->stop();
    // Nothing starts a session any more; destroying one joins its thread.
    sessions_.clear();
  }

 private:
  struct Running {
    std::atomic<bool> done{false};
    Thread thread;
  };

  // Overload and maintenance are always transient: a sender may not drop its queue for them.
  std::optional<Refusal> refuse_load(const Sender& sender, const SenderRequest& asked,
                                     SenderShares::Place& place) {
    if (admission_.state() == AdmissionState::stopping) return reject_with(2, 3, 1, "stopping");
    if (admission_.is_draining()) return reject_with(2, 3, 1, "draining");
    if (!admission_.takes_associations()) return reject_with(2, 3, 1, "no_space");
    auto answer = shares_.open(sender, asked);
    place = std::move(answer.place);
    if (answer.refusal == ShareRefusal::none) return std::nullopt;
    return reject_with(2, 3, 2, to_string(answer.refusal).data());  // a literal: ends with a NUL
  }

  // In an acceptor's thread.
  std::optional<Refusal> admit(Acceptor& from, Channel& channel, AssociateRequest& request,
                               const std::string& peer_address) {
    const SenderRequest asked{request.calling_ae_title, request.called_ae_title, peer_address,
                              identity_of(channel)};
    const std::uint64_t policy_version = senders_.version();
    const SenderDecision decision = senders_.admit(asked);
    if (!decision.admitted()) senders_.refused(asked, decision.refusal, summary_of(request));
    auto refusal = refusal_of(decision.refusal);
    SenderShares::Place place;
    if (!refusal) refusal = refuse_load(decision.sender, asked, place);
    count(refusal ? "refused" : "accepted");
    if (refusal) return refusal;
    open_.fetch_add(1, std::memory_order_relaxed);
    gauge_.set(static_cast<double>(associations()));
    const std::lock_guard lock(sessions_mutex_);
    sessions_.remove_if([](const Running& one) { return one.done.load(); });
    Running& running = sessions_.emplace_back();
    auto admitted = std::make_shared<Admitted>(  // shared: std::function copies what it holds
        Admitted{std::move(channel), std::move(request), peer_address, asked, policy_version,
                 decision.sender, std::move(place)});
    try {
      running.thread = Thread(env_, "dimse", [this, &from, &running, admitted] {
        run(from, std::move(*admitted));
        running.done.store(true);
      });
    } catch (const std::system_error&) {  // the system gives us no more threads
      channel = std::move(admitted->channel);
      request = std::move(admitted->request);
      sessions_.pop_back();
      note_closed();
      return reject_with(2, 3, 2, "no_threads");
    }
    return std::nullopt;
  }

  void run(Acceptor& from, Admitted admitted) {
    Session(env_, spool_, senders_, *network_, session_options_, stop_signal_, sender_labels_,
            [&from](Descriptor back) { from.linger(std::move(back)); })
        .run(std::move(admitted));
    note_closed();
  }

  void note_closed() {
    open_.fetch_sub(1, std::memory_order_relaxed);
    gauge_.set(static_cast<double>(associations()));
  }

  void count(const char* result) {
    env_.metrics
        .counter("dimse_associations_total", "Association requests answered, by result",
                 {{"result", result}})
        .add();
  }

  Env& env_;
  Spool& spool_;
  Admission& admission_;
  Senders& senders_;
  SenderShares shares_;
  const bool listens_plain_;
  const bool listens_tls_;
  SessionOptions session_options_;
  StopSignal stop_signal_;
  SenderLabels sender_labels_{env_};
  std::unique_ptr<Network> network_;
  // One for each port: handshakes of TLS, a millisecond of work each, keep no plain peer waiting.
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  Gauge& gauge_;
  std::atomic<std::size_t> open_{0};
  std::mutex sessions_mutex_;  // acceptors add and take away
  std::list<Running> sessions_;
  std::mutex stop_mutex_;
};

// Waiting sockets may take half of the descriptors that the process may have, each port an equal
// part: the others are for instances, the ledger and everybody else's sockets.
std::size_t affordable_connections(std::size_t wanted, std::size_t ports) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return wanted;
  return std::min<std::size_t>(wanted, limit.rlim_cur / 2 / ports);
}

}  // namespace

Result<std::unique_ptr<DimseReceiver>> open_dimse_receiver(Env& env, Spool& spool,
                                                           Admission& admission, Senders& senders,
                                                           DimseOptions options) {
  options.max_pdu_bytes = std::clamp(options.max_pdu_bytes, kLeastPduBytes, kMostPduBytes);
  std::vector<AcceptedPort> ports;
  if (options.plain) ports.push_back({options.port});
  if (options.tls != nullptr) ports.push_back({options.tls_port, options.tls});
  if (ports.empty()) {
    return permanent_error("dimse.no_port",
                           "Neither the plain DICOM port nor that with TLS is switched on: set "
                           "dimse.plain or dimse.tls.enabled, or switch dimse.enabled off.");
  }
  std::vector<std::unique_ptr<Acceptor>> acceptors;
  for (const AcceptedPort& port : ports) {
    TRY_ASSIGN(auto acceptor,
               Acceptor::open(env, {options.address, port,
                                    affordable_connections(options.max_connections, ports.size()),
                                    options.artim_timeout}));
    acceptors.push_back(std::move(acceptor));
  }
  TRY_ASSIGN(auto network, Network::open());
  auto receiver = std::make_unique<Receiver>(env, spool, admission, senders, options,
                                             std::move(network), std::move(acceptors));
  receiver->start();
  return std::unique_ptr<DimseReceiver>(std::move(receiver));
}

}  // namespace isthmus
