// Who may associate, and which presentation contexts are accepted with which transfer syntax
// (standards/01-storage-scp.md sections 1.1 to 1.5). Policy as data; pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dimse/guard/associate.h"

namespace isthmus::dimse {

struct Policy {
  std::vector<std::string> ae_titles = {};          // called; empty: any
  std::vector<std::string> calling_ae_titles = {};  // empty: any
  bool accept_unknown_sop_classes = true;
  std::vector<std::string> extra_sop_classes = {};
};

// The rejection for AE titles that are not ours to talk to.
std::optional<Refusal> refuse_titles(const AssociateRequest& request, const Policy& policy);

// Results of a presentation context, PS3.8 table 9-18.
enum class ContextResult : std::uint8_t {
  accepted = 0,
  abstract_syntax_not_supported = 3,
  transfer_syntaxes_not_supported = 4,
};

struct ContextDecision {
  std::uint8_t id = 0;
  ContextResult result = ContextResult::accepted;
  std::string abstract_syntax;
  std::string transfer_syntax;  // when accepted
  bool verification = false;    // C-ECHO; everything else that is accepted is for storing
};

// One decision per offer, in their order: each context for itself, so that a sender which holds
// objects in several encodings can offer one class several times and sends each unchanged. An
// association with no acceptable context is accepted all the same: the peer then sees which of them
// failed.
std::vector<ContextDecision> decide_contexts(const AssociateRequest& request, const Policy& policy);

// "Requester order": the first offered that we can carry, which is any but the JPIP-referenced
// ones; a lossy one only when nothing lossless is offered; Explicit rather than Implicit VR Little
// Endian when both are, because Implicit loses the VR of private elements. Empty: none.
std::string choose_transfer_syntax(const std::vector<std::string>& offered);

// Classes of accepted storage contexts for which SOP Class Extended Negotiation was asked: each is
// answered with level 2 (PS3.4 B.3.1).
std::vector<std::string> extended_answers(const AssociateRequest& request,
                                          const std::vector<ContextDecision>& decisions);

}  // namespace isthmus::dimse
