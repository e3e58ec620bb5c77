// A complete A-ASSOCIATE-RQ, checked before DCMTK may see it: DCMTK 3.6.7 leaks on malformed
// requests (MEASURED.md section 10) and accepts what the standard forbids. Pure functions over
// bytes; what comes out is handed on in a form that we wrote ourselves (encode_for_dcmtk), never as
// received.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"

namespace isthmus::dimse {

constexpr std::size_t kPduHeaderBytes = 6;  // type, reserved, length (PS3.8 section 9.3.1)
// No valid request comes near it: 128 contexts with 30 transfer syntaxes each are about 110 KB.
constexpr std::uint32_t kMaxAssociateBytes = 256 * KiB;
constexpr std::size_t kMaxTransferSyntaxesPerContext = 128;  // the standard has about 60
// DCMTK cannot send through less than 12 bytes of headers and 2 of content.
constexpr std::uint32_t kLeastPeerPduBytes = 14;

// PDU types (PS3.8 section 9.3).
enum class PduType : std::uint8_t {
  associate_rq = 1,
  associate_ac = 2,
  associate_rj = 3,
  data = 4,
  release_rq = 5,
  release_rp = 6,
  abort = 7,
};

// How an association, or an attempt at one, is refused.
struct Refusal {
  enum class Kind { reject, abort };
  Kind kind = Kind::abort;
  std::uint8_t result = 0;  // reject: 1 permanent, 2 transient (PS3.8 table 9-21)
  std::uint8_t source = 0;  // reject: 1 user, 2 ACSE, 3 presentation; abort: 0 user, 2 provider
  std::uint8_t reason = 0;
  const char* why = "";  // a stable word for logs and metrics: "context_id"

  bool operator==(const Refusal& other) const {
    return kind == other.kind && result == other.result && source == other.source &&
           reason == other.reason;
  }
};

// A-ABORT of the provider, PS3.8 table 9-26.
enum class AbortReason : std::uint8_t {
  not_specified = 0,
  unrecognized_pdu = 1,
  unexpected_pdu = 2,
  unrecognized_parameter = 4,
  unexpected_parameter = 5,
  invalid_parameter = 6,
};
Refusal abort_with(AbortReason reason, const char* why);
Refusal reject_with(std::uint8_t result, std::uint8_t source, std::uint8_t reason, const char* why);

struct ContextOffer {
  std::uint8_t id = 0;
  std::string abstract_syntax;
  std::vector<std::string> transfer_syntaxes;  // in the order offered, doubles left out
};

// SOP Class Common Extended Negotiation (PS3.7 D.3.3.6): says which service an unknown class is of.
struct CommonExtended {
  std::string sop_class_uid;
  std::string service_class_uid;
};

// SCP/SCU Role Selection (PS3.7 D.3.3.4), as the requestor proposes it for itself.
struct RoleOffer {
  std::string sop_class_uid;
  bool scu = false;
  bool scp = false;
};

struct AssociateRequest {
  std::string called_ae_title;   // trimmed
  std::string calling_ae_title;  // trimmed
  std::vector<ContextOffer> contexts;
  std::uint32_t peer_max_pdu_bytes = 0;  // what the peer takes; 0: no limit
  std::string implementation_class_uid;
  std::string implementation_version_name;
  std::vector<std::string> extended_sop_classes;  // SOP Class Extended Negotiation (56H) asked for
  std::vector<CommonExtended> common_extended;
  std::vector<RoleOffer> roles;
  std::uint8_t user_identity_type = 0;  // 0: none. Values are never kept
};

// `pdu` is the whole PDU with its header; its length was read from the header. Never allocates more
// than a small multiple of what is in `pdu`.
std::variant<AssociateRequest, Refusal> examine_associate_request(ByteSpan pdu);

// The request as DCMTK gets it: the items that it needs, in canonical form. Only what was examined.
// Of roles that of storage commitment: no other is answered.
Bytes encode_for_dcmtk(const AssociateRequest& request);

// A-ASSOCIATE-RJ or A-ABORT, ten bytes.
Bytes encode_refusal(const Refusal& refusal);

struct PduHeader {
  std::uint8_t type = 0;
  std::uint32_t length_bytes = 0;  // of what follows the header
};
// The first six bytes.
PduHeader read_pdu_header(ByteSpan six_bytes);
// What a first PDU has to be: a request within the limit. Nothing: go on reading.
std::optional<Refusal> examine_first_header(const PduHeader& header);

}  // namespace isthmus::dimse
