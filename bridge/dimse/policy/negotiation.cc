#include "dimse/policy/negotiation.h"

#include <algorithm>

#include "base/ids.h"
#include "dicom/sop_class.h"
#include "dicom/transfer_syntax.h"

namespace isthmus::dimse {
namespace {

constexpr std::string_view kVerification = "1.2.840.10008.1.1";
constexpr std::string_view kStorageCommitment = "1.2.840.10008.1.20.1";
constexpr std::string_view kStorageServiceClass = "1.2.840.10008.4.2";
constexpr std::string_view kImplicitLittleEndian = "1.2.840.10008.1.2";
constexpr std::string_view kExplicitLittleEndian = "1.2.840.10008.1.2.1";

bool contains(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

bool is_storage(const std::string& abstract_syntax, const AssociateRequest& request,
                const Policy& policy) {
  if (!Uid::parse(abstract_syntax)) return false;
  switch (dicom::sop_class_kind(abstract_syntax)) {
    case dicom::SopClassKind::storage:
      return true;
    case dicom::SopClassKind::not_storage:
      return false;
    case dicom::SopClassKind::unknown:
      break;
  }
  if (policy.accept_unknown_sop_classes || contains(policy.extra_sop_classes, abstract_syntax)) {
    return true;
  }
  return std::any_of(request.common_extended.begin(), request.common_extended.end(),
                     [&](const CommonExtended& extended) {
                       return extended.sop_class_uid == abstract_syntax &&
                              extended.service_class_uid == kStorageServiceClass;
                     });
}

std::string choose_uncompressed(const std::vector<std::string>& offered) {
  for (const auto syntax : {kImplicitLittleEndian, kExplicitLittleEndian}) {
    if (contains(offered, syntax)) return std::string(syntax);
  }
  return {};
}

// Of storage commitment we are SCP alone. Without a role selection item the requestor is SCU; who
// wants to be SCP and nothing else has come to tell us something that we never asked.
bool is_commitment(const AssociateRequest& request, const Policy& policy,
                   ContextDecision& decision) {
  if (!policy.commitment || decision.abstract_syntax != kStorageCommitment) return false;
  for (const RoleOffer& role : request.roles) {
    if (role.sop_class_uid != kStorageCommitment) continue;
    if (!role.scu) return false;
    decision.role_answered = true;
  }
  return true;
}

}  // namespace

std::optional<Refusal> refusal_of(SenderRefusal refusal) {
  constexpr std::uint8_t kCallingNotRecognized = 3;
  constexpr std::uint8_t kCalledNotRecognized = 7;
  if (refusal == SenderRefusal::none) return std::nullopt;
  return reject_with(
      1, 1,
      refusal == SenderRefusal::called_ae_title ? kCalledNotRecognized : kCallingNotRecognized,
      to_string(refusal).data());  // of a literal: ends with a NUL
}

std::string summary_of(const AssociateRequest& request) {
  constexpr std::size_t kMostNamed = 6;
  std::vector<std::string> classes, syntaxes;
  for (const ContextOffer& offer : request.contexts) {
    if (!contains(classes, offer.abstract_syntax)) classes.push_back(offer.abstract_syntax);
    for (const std::string& uid : offer.transfer_syntaxes) {
      if (!contains(syntaxes, uid)) syntaxes.push_back(uid);
    }
  }
  std::string text;
  for (std::size_t i = 0; i < std::min(classes.size(), kMostNamed); ++i) {
    const std::string_view name = dicom::sop_class_name(classes[i]);
    text += i == 0 ? "" : ", ";
    text += name.empty() ? classes[i].substr(0, 64) : std::string(name);
  }
  if (classes.size() > kMostNamed) {
    text += " and " + std::to_string(classes.size() - kMostNamed) + " more";
  }
  return text + " in " + std::to_string(syntaxes.size()) + " transfer syntaxes";
}

void refuse_classes(std::vector<ContextDecision>& decisions, const Sender& sender) {
  for (ContextDecision& decision : decisions) {
    if (decision.result != ContextResult::accepted || !decision.stores() ||
        allows_sop_class(sender, decision.abstract_syntax)) {
      continue;
    }
    decision.result = ContextResult::user_rejection;
    decision.transfer_syntax.clear();
  }
}

std::string choose_transfer_syntax(const std::vector<std::string>& offered) {
  std::string lossless, lossy;
  for (const std::string& uid : offered) {
    const auto& syntax = dicom::transfer_syntax_or_default(uid);
    if (syntax.jpip || !Uid::parse(uid)) continue;
    std::string& best = syntax.lossy ? lossy : lossless;
    if (best.empty()) best = uid;
  }
  if (lossless == kImplicitLittleEndian && contains(offered, kExplicitLittleEndian)) {
    return std::string(kExplicitLittleEndian);
  }
  return lossless.empty() ? lossy : lossless;
}

std::vector<ContextDecision> decide_contexts(const AssociateRequest& request,
                                             const Policy& policy) {
  std::vector<ContextDecision> decisions;
  decisions.reserve(request.contexts.size());
  for (const ContextOffer& offer : request.contexts) {
    ContextDecision decision;
    decision.id = offer.id;
    decision.abstract_syntax = offer.abstract_syntax;
    decision.verification = offer.abstract_syntax == kVerification;
    decision.commitment = is_commitment(request, policy, decision);
    if (decision.stores() && !is_storage(offer.abstract_syntax, request, policy)) {
      decision.result = ContextResult::abstract_syntax_not_supported;
    } else {
      decision.transfer_syntax = decision.stores() ? choose_transfer_syntax(offer.transfer_syntaxes)
                                                   : choose_uncompressed(offer.transfer_syntaxes);
      if (decision.transfer_syntax.empty()) {
        decision.result = ContextResult::transfer_syntaxes_not_supported;
      }
    }
    decisions.push_back(std::move(decision));
  }
  return decisions;
}

std::vector<std::string> extended_answers(const AssociateRequest& request,
                                          const std::vector<ContextDecision>& decisions) {
  std::vector<std::string> answers;
  for (const std::string& uid : request.extended_sop_classes) {
    const bool stored =
        std::any_of(decisions.begin(), decisions.end(), [&](const ContextDecision& decision) {
          return decision.result == ContextResult::accepted && decision.stores() &&
                 decision.abstract_syntax == uid;
        });
    if (stored && !contains(answers, uid)) answers.push_back(uid);
  }
  return answers;
}

}  // namespace isthmus::dimse
