// Associations to requesters, as bytes of our own: no library reads what a stranger's server
// answers, and every wait has an end.
#include <array>

#include "dimse/commitment.h"
#include "dimse/commitment/event_report.h"
#include "dimse/commitment/peer_associate.h"
#include "dimse/guard/pdu_stream.h"
#include "dimse/session/command.h"

namespace isthmus {
namespace {

using namespace dimse;

constexpr std::uint32_t kMaxPduBytes = 16'384;        // only responses come
constexpr std::uint64_t kMaxAnswerBytes = 256 * KiB;  // an event reply data set is never large
constexpr Milliseconds kReleaseTimeout{3'000};

Error protocol_error(const char* what) {
  return transient_error("report.protocol",
                         std::string("The requester broke the protocol: ") + what + ".");
}

struct Pdu {
  std::uint8_t type = 0;
  Bytes bytes;  // with its header
};

// Whole PDUs from a connection, bounded before anything is allocated.
class PduReader {
 public:
  explicit PduReader(ReportConnection& connection) : connection_(connection) {}

  Result<Pdu> next(std::uint32_t max_bytes, SteadyTime until) {
    TRY(fill(kPduHeaderBytes, until));
    const PduHeader header = read_pdu_header(ByteSpan(buffer_).first(kPduHeaderBytes));
    if (header.length_bytes > max_bytes) return protocol_error("a PDU is too long");
    const std::size_t whole = kPduHeaderBytes + header.length_bytes;
    TRY(fill(whole, until));
    const auto end = buffer_.begin() + static_cast<std::ptrdiff_t>(whole);
    Pdu pdu{header.type, Bytes(buffer_.begin(), end)};
    buffer_.erase(buffer_.begin(), end);
    return pdu;
  }

 private:
  Result<void> fill(std::size_t wanted, SteadyTime until) {
    std::array<std::byte, 16 * KiB> chunk;
    while (buffer_.size() < wanted) {
      TRY_ASSIGN(const std::size_t got, connection_.read(chunk, until));
      if (got == 0) {
        return transient_error("report.closed", "The requester closed the connection.");
      }
      buffer_.insert(buffer_.end(), chunk.begin(),
                     chunk.begin() + static_cast<std::ptrdiff_t>(got));
    }
    return {};
  }

  ReportConnection& connection_;
  Bytes buffer_;
};

class OwnAssociation final : public ReportAssociation {
 public:
  OwnAssociation(Env& env, Commitments& commitments, std::unique_ptr<ReportConnection> connection,
                 const ReportLineOptions& options)
      : env_(env),
        commitments_(commitments),
        connection_(std::move(connection)),
        options_(options),
        reader_(*connection_) {
    AcceptedContexts accepted{};
    accepted[kReportContext] = true;
    pdus_.accept_contexts(accepted);
  }
  ~OwnAssociation() override { end(); }

  Result<void> open(const ReportPeer& peer, const Requester& requester) {
    const SteadyTime until = env_.clock.steady_now() + options_.associate_timeout;
    TRY(connection_->write(
        encode_report_request(peer.calling_ae_title, peer.called_ae_title, kMaxPduBytes), until));
    TRY_ASSIGN(const Pdu answer, reader_.next(kMaxAssociateBytes, until));
    switch (static_cast<PduType>(answer.type)) {
      case PduType::associate_ac:
        return accept(answer.bytes, peer, requester);
      case PduType::associate_rj:
        return rejected(answer.bytes);
      case PduType::abort:
        return transient_error("report.aborted", "The requester aborted our association request.");
      default:
        return protocol_error("it answered an association request with something else");
    }
  }

  Result<std::uint16_t> report(const Commitment& commitment) override {
    ASSERT(established_);
    TRY_ASSIGN(const EventReport report,
               make_event_report(commitments_, commitment, ++message_id_, implicit_vr_));
    auto answered = send(report);
    if (!answered.ok()) failed_ = true;
    return answered;
  }

 private:
  Result<void> accept(ByteSpan pdu, const ReportPeer& peer, const Requester& requester) {
    const auto acceptance = examine_report_acceptance(pdu);
    if (!acceptance) return protocol_error("its A-ASSOCIATE-AC is malformed");
    established_ = true;
    const auto not_accepted = [](const char* what) {
      return transient_error(
          "report.not_accepted",
          std::string("The requester does not take reports from us: ") + what + ".");
    };
    if (!acceptance->implicit_vr) return not_accepted("it refused the presentation context");
    if (acceptance->scp_role && !*acceptance->scp_role) return not_accepted("it refused our role");
    if (!acceptance->scp_role) {
      if (!requester.send_without_role_confirmation) {
        return not_accepted("it did not confirm our role as SCP, and we are set to be strict");
      }
      env_.log.warn("commitment.role_not_confirmed", {{"calling_ae_title", peer.calling_ae_title}});
    }
    implicit_vr_ = *acceptance->implicit_vr;
    peer_max_pdu_bytes_ = acceptance->peer_max_pdu_bytes;
    return {};
  }

  static Error rejected(ByteSpan pdu) {
    // Result, source, reason: PS3.8 table 9-21.
    const auto digit = [&](std::size_t at) {
      return pdu.size() > at ? std::to_string(static_cast<int>(pdu[at])) : std::string("?");
    };
    return transient_error("report.rejected", "The requester rejected our association (result " +
                                                  digit(7) + ", source " + digit(8) + ", reason " +
                                                  digit(9) + "); does it know our AE title?");
  }

  Result<std::uint16_t> send(const EventReport& report) {
    const SteadyTime until = env_.clock.steady_now() + options_.answer_timeout;
    TRY(connection_->write(
        encode_data_pdus(report.command, kReportContext, true, peer_max_pdu_bytes_), until));
    TRY(connection_->write(
        encode_data_pdus(report.dataset, kReportContext, false, peer_max_pdu_bytes_), until));
    return await_answer(until);
  }

  Result<std::uint16_t> await_answer(SteadyTime until) {
    std::uint64_t taken = 0;
    for (;;) {
      TRY_ASSIGN(const Pdu pdu, reader_.next(kMaxPduBytes, until));
      taken += pdu.bytes.size();
      if (taken > kMaxAnswerBytes) return protocol_error("its answer does not end");
      switch (static_cast<PduType>(pdu.type)) {
        case PduType::data:
          break;
        case PduType::release_rq:
          return transient_error("report.closed", "The requester released instead of answering.");
        case PduType::abort:
          aborted_ = true;
          return transient_error("report.aborted", "The requester aborted the association.");
        default:
          return protocol_error("it sent a PDU that is not for now");
      }
      TRY_ASSIGN(const std::optional<std::uint16_t> status, take(pdu.bytes));
      if (status) return *status;
    }
  }

  // The status, when this PDU completes the answer.
  Result<std::optional<std::uint16_t>> take(ByteSpan pdu) {
    std::optional<std::uint16_t> answered;
    while (!pdu.empty()) {
      const auto item = pdus_.next(pdu);
      const auto* fragment = std::get_if<Fragment>(&item);
      if (fragment == nullptr) return protocol_error("a PDU is malformed");
      const auto verdict = messages_.feed(*fragment);
      if (std::holds_alternative<Refusal>(verdict)) return protocol_error("a message is malformed");
      if (std::get<MessageAssembler::Event>(verdict) == MessageAssembler::Event::command_complete) {
        TRY_ASSIGN(const Command command, parse(messages_.command()));
        if (command.field != (kEventReportRequest | kResponseBit) ||
            command.message_id_responded_to != message_id_) {
          return protocol_error("it answered something that was not asked");
        }
        status_ = command.status;
      }
      if (messages_.between_messages()) answered = status_;
    }
    return answered;
  }

  static Result<Command> parse(ByteSpan command_set) {
    auto command = parse_command(command_set);
    if (!command.ok()) return protocol_error("its answer has no Command Field");
    return command;
  }

  // By release when all is well, else by abort; within a short time, whatever the other side does.
  void end() {
    if (!established_ || aborted_) return;
    const SteadyTime until = env_.clock.steady_now() + kReleaseTimeout;
    if (failed_) {
      ignore(connection_->write(encode_refusal({Refusal::Kind::abort, 0, 0, 0, "report"}), until),
             "it is over either way");
      return;
    }
    constexpr std::array<std::uint8_t, 10> kRelease{5, 0, 0, 0, 0, 4, 0, 0, 0, 0};
    if (!connection_->write(std::as_bytes(std::span(kRelease)), until).ok()) return;
    for (;;) {
      const auto pdu = reader_.next(kMaxPduBytes, until);
      // A-RELEASE-RP, or an A-RELEASE-RQ that crossed ours: either way it is over.
      if (!pdu.ok() || pdu->type != static_cast<std::uint8_t>(PduType::data)) return;
    }
  }

  Env& env_;
  Commitments& commitments_;
  std::unique_ptr<ReportConnection> connection_;
  const ReportLineOptions options_;
  PduReader reader_;
  MessageAssembler messages_;
  PduStream pdus_{kMaxPduBytes};
  bool established_ = false;
  bool failed_ = false;
  bool aborted_ = false;
  bool implicit_vr_ = true;
  std::uint32_t peer_max_pdu_bytes_ = 0;
  std::uint16_t message_id_ = 0;
  std::optional<std::uint16_t> status_;
};

class OwnLine final : public ReportLine {
 public:
  OwnLine(Env& env, Commitments& commitments, const Requesters& requesters,
          ConnectToRequester connect, ReportLineOptions options)
      : env_(env),
        commitments_(commitments),
        requesters_(requesters),
        connect_(std::move(connect)),
        options_(options) {}

  Result<std::unique_ptr<ReportAssociation>> connect(const ReportPeer& peer) override {
    const std::optional<Requester> requester = requesters_.find(peer.calling_ae_title);
    if (!requester || requester->host.empty()) {
      return transient_error("report.no_address",
                             "No sender with this AE title has a report_to any more; give it one.");
    }
    TRY_ASSIGN(auto connection,
               connect_(*requester, env_.clock.steady_now() + options_.connect_timeout));
    auto association =
        std::make_unique<OwnAssociation>(env_, commitments_, std::move(connection), options_);
    TRY(association->open(peer, *requester));
    return std::unique_ptr<ReportAssociation>(std::move(association));
  }

 private:
  Env& env_;
  Commitments& commitments_;
  const Requesters& requesters_;
  const ConnectToRequester connect_;
  const ReportLineOptions options_;
};

}  // namespace

std::unique_ptr<ReportLine> make_report_line(Env& env, Commitments& commitments,
                                             const Requesters& requesters,
                                             ConnectToRequester connect,
                                             ReportLineOptions options) {
  return std::make_unique<OwnLine>(env, commitments, requesters, std::move(connect), options);
}

}  // namespace isthmus
