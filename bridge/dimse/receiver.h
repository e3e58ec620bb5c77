// The C-STORE SCP: listens, checks, receives, commits, answers. DCMTK behind a guard that hands it
// nothing unchecked (DESIGN section 6a; standards/01-storage-scp.md).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/env.h"
#include "senders/senders.h"
#include "senders/shares.h"
#include "spool/admission.h"
#include "spool/spool.h"
#include "tls/certificates.h"

namespace isthmus {

struct CommitmentMeans;

struct DimseOptions {
  std::string address = "127.0.0.1";
  bool plain = true;                       // listen on `port`, without TLS
  std::uint16_t port = 11112;              // 0: any free one; see port()
  const tls::Certificates* tls = nullptr;  // listen on tls_port too, where only TLS is spoken
  std::uint16_t tls_port = 2762;           // PS3.15 B.12: "dicom-tls"; 0: any free one
  std::size_t max_associations = 64;     // beyond: A-ASSOCIATE-RJ, transient, local limit exceeded
  std::size_t max_connections = 1024;    // sockets that wait for their A-ASSOCIATE-RQ included
  std::uint32_t max_pdu_bytes = 131072;  // announced; 4096 to 131072
  Milliseconds artim_timeout{15'000};    // PS3.8 section 9.1.5
  Milliseconds idle_timeout{600'000};    // between messages of an association
  Milliseconds pdu_timeout{60'000};      // between PDUs of one message
  Milliseconds message_timeout{14'400'000};      // for the whole of one message
  Milliseconds association_timeout{86'400'000};  // after which an association ends
  std::uint64_t max_instance_bytes = 4 * GiB;
  bool tcp_quick_ack = true;  // re-arm TCP_QUICKACK after each read (MEASURED section 12)
  bool accept_unknown_sop_classes =
      true;  // abstract syntaxes that are not a known non-storage service
  std::vector<std::string> extra_sop_classes;
  // What senders hold by other ways in, too; outlives the receiver.
  SenderCounts* counts = nullptr;
  // Storage commitment (dimse/commitment.h); null: its class is not accepted. Outlives the
  // receiver.
  CommitmentMeans* commitment = nullptr;
};

class DimseReceiver {
 public:
  virtual ~DimseReceiver() = default;
  // 0: does not listen there.
  virtual std::uint16_t port() const = 0;
  virtual std::uint16_t tls_port() const = 0;
  virtual std::size_t associations() const = 0;
  // Stops accepting, aborts what is open after a short grace, joins every thread. Safe twice.
  virtual void stop() = 0;
};

// Listens at once. "dimse.bind" (permanent) when the address is taken. References outlive it, the
// certificates too.
Result<std::unique_ptr<DimseReceiver>> open_dimse_receiver(Env& env, Spool& spool,
                                                           Admission& admission, Senders& senders,
                                                           DimseOptions options);

}  // namespace isthmus
