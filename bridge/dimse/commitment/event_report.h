// N-EVENT-REPORT of the Storage Commitment Push Model as bytes (PS3.7 section 10.3.1, PS3.4 table
// J.3-2).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "ledger/commitments.h"

namespace isthmus::dimse {

constexpr std::string_view kCommitmentClass = "1.2.840.10008.1.20.1";
constexpr std::string_view kCommitmentInstance = "1.2.840.10008.1.20.1.1";
constexpr std::uint16_t kEventReportRequest = 0x0100;
constexpr std::uint16_t kActionRequest = 0x0130;
constexpr std::uint16_t kRequestStorageCommitment = 1;  // Action Type ID

struct EventReport {
  Bytes command;  // Implicit VR Little Endian, with its group length
  Bytes dataset;
};

// The whole result of one request: event type 1 when all is committed, else 2; each reference
// exactly once. There is no Retrieve AE Title: we cannot be queried (PS3.4 J.3.3.1.1). Errors are
// the ledger's.
Result<EventReport> make_event_report(Commitments& commitments, const Commitment& commitment,
                                      std::uint16_t message_id, bool implicit_vr);

}  // namespace isthmus::dimse
