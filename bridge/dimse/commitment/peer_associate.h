// The association that we open to tell a requester: its A-ASSOCIATE-RQ and the answer to it, as
// bytes. We are requestor and SCP: role selection says so (PS3.7 D.3.3.4, PS3.4 J.2.1).
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "base/bytes.h"
#include "dimse/guard/associate.h"

namespace isthmus::dimse {

constexpr std::uint8_t kReportContext = 1;

// `called_ae_title` is the requester's, `calling_ae_title` ours as it knows us.
Bytes encode_report_request(const std::string& called_ae_title, const std::string& calling_ae_title,
                            std::uint32_t max_pdu_bytes);

struct ReportAcceptance {
  std::optional<bool> implicit_vr;  // nothing: the presentation context was not accepted
  std::optional<bool> scp_role;     // what the role selection item says; nothing: there is none
  std::uint32_t peer_max_pdu_bytes = 0;  // 0: no limit
};

// A whole A-ASSOCIATE-AC with its header; nothing when it is malformed.
std::optional<ReportAcceptance> examine_report_acceptance(ByteSpan pdu);

// P-DATA-TF PDUs of one command set or data set, none longer than the peer takes.
Bytes encode_data_pdus(ByteSpan content, std::uint8_t context_id, bool is_command,
                       std::uint32_t peer_max_pdu_bytes);

}  // namespace isthmus::dimse
