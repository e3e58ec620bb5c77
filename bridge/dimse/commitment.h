// Storage Commitment Push Model SCP (PS3.4 annex J): N-ACTION on associations of the receiver, and
// N-EVENT-REPORT to who asked, on its association or on one of ours. The policy of evaluating and
// reporting is in pipeline/commitment.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/env.h"
#include "ledger/commitments.h"
#include "pipeline/commitment.h"
#include "tls/certificates.h"

namespace isthmus {

struct CommitmentLimits {
  std::size_t max_references = 50'000;  // of one request; more: 0115H
  std::int64_t max_active = 10'000;     // requests pending or answered; more: 0213H
  Milliseconds unknown_after{3'600'000};
  Milliseconds answer_by{24 * 3'600'000};
};

// What a receiver needs to take requests. Outlives it. Any thread.
struct CommitmentMeans {
  CommitmentMeans(Commitments& kept, const Requesters& known, ReportDesk& told,
                  const CommitmentLimits& bounds)
      : commitments(kept), requesters(known), desk(told), limits(bounds) {}

  Commitments& commitments;
  const Requesters& requesters;
  ReportDesk& desk;
  const CommitmentLimits limits;
  // References of requests that are being received, on all associations together.
  std::atomic<std::int64_t> references_in_flight{0};
};

// A connection to a requester. One thread. Destroyed, it is closed.
class ReportConnection {
 public:
  virtual ~ReportConnection() = default;
  // All of it. "report.timeout", "report.closed", "report.stopping" (transient).
  virtual Result<void> write(ByteSpan bytes, SteadyTime until) = 0;
  // At least one byte; 0 when the peer closed. Errors as write().
  virtual Result<std::size_t> read(MutableByteSpan into, SteadyTime until) = 0;
};

// Connects within the time, the look-up of the name included. "report.unreachable",
// "report.timeout", "report.tls" (transient).
using ConnectToRequester =
    std::function<Result<std::unique_ptr<ReportConnection>>(const Requester&, SteadyTime until)>;
// By TCP, and by TLS with a requester that wants it: its certificate must be of an authority of
// `certificates` (of tls::Role::client) and for its name, or be the one that is pinned; ours is
// shown when it asks. Without
// certificates it is refused with "report.tls". Every wait ends when the desk stops
// ("report.stopping"). References outlive it and its connections.
ConnectToRequester connect_by_tcp(Env& env, const ReportDesk& desk,
                                  const tls::Certificates* certificates);

struct ReportLineOptions {
  Milliseconds connect_timeout{10'000};  // until the connection stands
  Milliseconds associate_timeout{30'000};
  Milliseconds answer_timeout{60'000};  // for the answer to one report
};

// References outlive it.
std::unique_ptr<ReportLine> make_report_line(Env& env, Commitments& commitments,
                                             const Requesters& requesters,
                                             ConnectToRequester connect, ReportLineOptions options);

}  // namespace isthmus
