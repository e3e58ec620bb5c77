// Who may associate, and which presentation contexts are accepted with which transfer syntax
// (standards/01-storage-scp.md sections 1.1 to 1.5). Policy as data; pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dimse/guard/associate.h"
#include "senders/senders.h"

namespace isthmus::dimse {

struct Policy {
  bool accept_unknown_sop_classes = true;
  std::vector<std::string> extra_sop_classes = {};
  bool commitment = false;  // whether we are an SCP of storage commitment
};

// The rejection of a sender that is not let in (PS3.8 table 9-21): called or calling AE title not
// recognized. Whatever the true reason, a sender hears no more than that; logs and metrics say it.
std::optional<Refusal> refusal_of(SenderRefusal refusal);

// Results of a presentation context, PS3.8 table 9-18.
enum class ContextResult : std::uint8_t {
  accepted = 0,
  user_rejection = 1,
  abstract_syntax_not_supported = 3,
  transfer_syntaxes_not_supported = 4,
};

struct ContextDecision {
  std::uint8_t id = 0;
  ContextResult result = ContextResult::accepted;
  std::string abstract_syntax;
  std::string transfer_syntax;  // when accepted
  bool verification = false;    // C-ECHO
  bool commitment = false;      // N-ACTION, and our N-EVENT-REPORT
  bool role_answered = false;   // the requestor asked to be SCU by role selection
  bool stores() const { return !verification && !commitment; }
};

// One decision per offer, in their order: each context for itself, so that a sender which holds
// objects in several encodings can offer one class several times and sends each unchanged. An
// association with no acceptable context is accepted all the same: the peer then sees which of them
// failed.
std::vector<ContextDecision> decide_contexts(const AssociateRequest& request, const Policy& policy);

// What a request asks for, for a person who decides about it: the first classes by name, and how
// many transfer syntaxes. At most a few hundred bytes.
std::string summary_of(const AssociateRequest& request);

// Storage contexts of classes that this sender may not store become user rejections: the class is
// supported, but not for this sender.
void refuse_classes(std::vector<ContextDecision>& decisions, const Sender& sender);

// "Requester order": the first offered that we can carry, which is any but the JPIP-referenced
// ones; a lossy one only when nothing lossless is offered; Explicit rather than Implicit VR Little
// Endian when both are, because Implicit loses the VR of private elements. Empty: none.
std::string choose_transfer_syntax(const std::vector<std::string>& offered);

// Classes of accepted storage contexts for which SOP Class Extended Negotiation was asked: each is
// answered with level 2 (PS3.4 B.3.1).
std::vector<std::string> extended_answers(const AssociateRequest& request,
                                          const std::vector<ContextDecision>& decisions);

}  // namespace isthmus::dimse
