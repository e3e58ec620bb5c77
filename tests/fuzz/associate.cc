// A-ASSOCIATE-RQ: what is accepted keeps to the standard's bounds, and what DCMTK is given of it is
// a request that means the same.
#include "dimse/guard/associate.h"

#include <algorithm>
#include <set>

#include "dimse/policy/negotiation.h"
#include "fuzz/fuzz.h"
#include "support/dicom_factory.h"
#include "support/raw_pdu.h"

namespace isthmus::fuzz {
namespace {

using dimse::AssociateRequest;
using dimse::ContextDecision;
using dimse::ContextResult;
using dimse::Refusal;

void check_refusal(const Refusal& refusal) {
  const Bytes pdu = dimse::encode_refusal(refusal);
  check_equal(pdu.size(), std::size_t{10}, "a refusal is ten bytes");
  const bool reject = refusal.kind == Refusal::Kind::reject;
  check_equal(std::to_integer<int>(pdu[0]), reject ? 3 : 7, "its type is RJ or ABORT");
  if (reject) {
    check(refusal.result == 1 || refusal.result == 2, "PS3.8 table 9-21: result");
    check(refusal.source >= 1 && refusal.source <= 3, "PS3.8 table 9-21: source");
  }
  check(*refusal.why != '\0', "a refusal has its word for the log");
}

void check_bounds(const AssociateRequest& request) {
  for (const std::string* title : {&request.called_ae_title, &request.calling_ae_title}) {
    check(!title->empty() && title->size() <= 16, "AE titles have 1 to 16 characters");
  }
  check(!request.contexts.empty() && request.contexts.size() <= 128, "1 to 128 contexts");
  std::set<int> ids;
  for (const auto& context : request.contexts) {
    check(context.id % 2 == 1, "context ids are odd");
    check(ids.insert(context.id).second, "context ids are unique");
    check(!context.abstract_syntax.empty() && context.abstract_syntax.size() <= 64, "a name");
    check(!context.transfer_syntaxes.empty(), "at least one transfer syntax");
    check(context.transfer_syntaxes.size() <= dimse::kMaxTransferSyntaxesPerContext, "bounded");
  }
}

void check_same(const AssociateRequest& left, const AssociateRequest& right) {
  check_equal(left.called_ae_title, right.called_ae_title, "called AE title");
  check_equal(left.calling_ae_title, right.calling_ae_title, "calling AE title");
  check_equal(left.peer_max_pdu_bytes, right.peer_max_pdu_bytes, "maximum length");
  check_equal(left.contexts.size(), right.contexts.size(), "contexts");
  for (std::size_t i = 0; i < left.contexts.size(); ++i) {
    check_equal(left.contexts[i].id, right.contexts[i].id, "context id");
    check_equal(left.contexts[i].abstract_syntax, right.contexts[i].abstract_syntax, "class");
    check_equal(left.contexts[i].transfer_syntaxes, right.contexts[i].transfer_syntaxes,
                "transfer syntaxes");
  }
}

void check_decisions(const AssociateRequest& request) {
  const std::vector<ContextDecision> decisions = dimse::decide_contexts(request, {});
  check_equal(decisions.size(), request.contexts.size(), "one decision per offer");
  for (std::size_t i = 0; i < decisions.size(); ++i) {
    check_equal(decisions[i].id, request.contexts[i].id, "in the order of the offers");
    const auto& offered = request.contexts[i].transfer_syntaxes;
    const bool is_offered =
        std::find(offered.begin(), offered.end(), decisions[i].transfer_syntax) != offered.end();
    check_equal(decisions[i].result == ContextResult::accepted, is_offered,
                "what is accepted was offered");
  }
}

void run(ByteSpan input) {
  if (input.size() >= dimse::kPduHeaderBytes) {
    const auto header = dimse::read_pdu_header(input.first(dimse::kPduHeaderBytes));
    if (const auto refusal = dimse::examine_first_header(header)) check_refusal(*refusal);
  }
  const auto verdict = dimse::examine_associate_request(input);
  if (const auto* refusal = std::get_if<Refusal>(&verdict)) return check_refusal(*refusal);
  const auto& request = std::get<AssociateRequest>(verdict);
  check_bounds(request);
  check_decisions(request);

  const Bytes canonical = dimse::encode_for_dcmtk(request);

  const auto again = dimse::examine_associate_request(canonical);
  const auto* same = std::get_if<AssociateRequest>(&again);
  check(same != nullptr, "what DCMTK is given would be accepted");
  check_same(request, *same);
  check(dimse::encode_for_dcmtk(*same) == canonical, "and is canonical");
}

std::vector<std::string> seeds() {
  std::vector<std::string> seeds = shared_files("dicom/pdu-seeds", 64 * KiB);
  test::RawAssociate request;
  request.contexts = {{1, std::string(test::kVerification), {std::string(test::kImplicitLittle)}}};
  seeds.push_back(test::raw_associate_rq(request));
  request.contexts.push_back(
      {3,
       std::string(test::kCtImageStorage),
       {std::string(test::kExplicitLittle), std::string(test::kJpegBaseline)}});
  // Role, extended and common extended negotiation, user identity (PS3.7 annex D.3.3).
  const auto counted = [](std::string_view text) {
    return std::string(1, '\0') + static_cast<char>(text.size()) + std::string(text);
  };
  request.more_user_items =
      test::raw_item(0x53, std::string("\0\1\0\1", 4)) +
      test::raw_item(0x54, counted(test::kCtImageStorage) + std::string("\1\1", 2)) +
      test::raw_item(0x56, counted(test::kCtImageStorage) + std::string("\2\0\0\0\0\0", 6)) +
      test::raw_item(0x57, counted("1.2.3.4") + counted("1.2.840.10008.4.2") + counted("")) +
      test::raw_item(0x58, std::string("\1\0", 2) + counted("user") + counted(""));
  seeds.push_back(test::raw_associate_rq(request));
  return seeds;
}

}  // namespace

Harness associate_harness() {
  return {"associate", run, 64 * KiB, seeds};
}

}  // namespace isthmus::fuzz
