#include "dimse/policy/negotiation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace isthmus::dimse {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::string kVerification = "1.2.840.10008.1.1";
const std::string kCt = "1.2.840.10008.5.1.4.1.1.2";
const std::string kFind = "1.2.840.10008.5.1.4.1.2.2.1";
const std::string kCommitment = "1.2.840.10008.1.20.1";
const std::string kDicomdir = "1.2.840.10008.1.3.10";
const std::string kPrivate = "1.2.276.0.7230010.3.1.77";

const std::string kImplicit = "1.2.840.10008.1.2";
const std::string kExplicit = "1.2.840.10008.1.2.1";
const std::string kBig = "1.2.840.10008.1.2.2";
const std::string kDeflated = "1.2.840.10008.1.2.1.99";
const std::string kJpeg = "1.2.840.10008.1.2.4.50";
const std::string kJpegLossless = "1.2.840.10008.1.2.4.70";
const std::string kJpeg2000 = "1.2.840.10008.1.2.4.91";
const std::string kHtj2k = "1.2.840.10008.1.2.4.201";
const std::string kJpip = "1.2.840.10008.1.2.4.94";
const std::string kJpipHtj2k = "1.2.840.10008.1.2.4.204";

struct Choice {
  const char* name;
  std::vector<std::string> offered;
  std::string chosen;
};

class TransferSyntaxChoice : public ::testing::TestWithParam<Choice> {};

TEST_P(TransferSyntaxChoice, IsTheRequestersUnlessItLosesSomething) {
  EXPECT_EQ(choose_transfer_syntax(GetParam().offered), GetParam().chosen);
}

INSTANTIATE_TEST_SUITE_P(
    Table, TransferSyntaxChoice,
    ::testing::Values(
        Choice{"only_implicit", {kImplicit}, kImplicit},
        Choice{"explicit_before_implicit", {kExplicit, kImplicit}, kExplicit},
        Choice{"explicit_rather_than_implicit", {kImplicit, kExplicit}, kExplicit},
        Choice{"big_endian_first", {kBig, kImplicit}, kBig},
        Choice{"implicit_before_big_endian", {kImplicit, kBig}, kImplicit},
        Choice{"compressed_first", {kJpegLossless, kExplicit, kImplicit}, kJpegLossless},
        Choice{"lossless_rather_than_lossy", {kJpeg, kJpegLossless}, kJpegLossless},
        Choice{"uncompressed_rather_than_lossy", {kJpeg, kJpeg2000, kImplicit}, kImplicit},
        Choice{"first_lossy_if_nothing_else", {kJpeg2000, kJpeg}, kJpeg2000},
        Choice{"deflated", {kDeflated}, kDeflated},
        Choice{"not_known_to_dcmtk", {kHtj2k, kImplicit}, kHtj2k},
        Choice{"of_tomorrow", {"1.2.840.10008.1.2.99"}, "1.2.840.10008.1.2.99"},
        Choice{"never_jpip", {kJpip, kJpipHtj2k}, ""},
        Choice{"other_than_jpip", {kJpip, kJpeg}, kJpeg},
        Choice{"not_a_uid", {"transfer-syntax"}, ""}, Choice{"nothing", {}, ""}),
    [](const auto& one) { return one.param.name; });

std::vector<ContextResult> results(const std::vector<std::string>& classes, const Policy& policy,
                                   std::vector<CommonExtended> common = {}) {
  AssociateRequest request;
  request.common_extended = std::move(common);
  std::uint8_t id = 1;
  for (const auto& uid : classes) {
    request.contexts.push_back({id, uid, {kImplicit}});
    id = static_cast<std::uint8_t>(id + 2);
  }
  std::vector<ContextResult> all;
  for (const auto& decision : decide_contexts(request, policy)) all.push_back(decision.result);
  return all;
}

constexpr auto kAccepted = ContextResult::accepted;
constexpr auto kNoClass = ContextResult::abstract_syntax_not_supported;
constexpr auto kNoSyntax = ContextResult::transfer_syntaxes_not_supported;

TEST(Contexts, AreForStorageAndVerification) {
  EXPECT_THAT(results({kVerification, kCt, kPrivate}, {}),
              ElementsAre(kAccepted, kAccepted, kAccepted));
  EXPECT_THAT(results({kFind, kCommitment, kDicomdir, "not.a.uid"}, {}),
              ElementsAre(kNoClass, kNoClass, kNoClass, kNoClass));
}

// PS3.4 J.2.1: without a role selection item the requestor is SCU.
TEST(Contexts, OfStorageCommitmentAreForScus) {
  Policy policy;
  policy.commitment = true;
  AssociateRequest request;
  request.contexts = {{1, kCommitment, {kExplicit, kImplicit}}};
  const auto decide = [&] { return decide_contexts(request, policy).front(); };

  EXPECT_EQ(decide().result, ContextResult::accepted);
  EXPECT_TRUE(decide().commitment);
  EXPECT_FALSE(decide().stores());
  EXPECT_FALSE(decide().role_answered);
  EXPECT_EQ(decide().transfer_syntax, kImplicit);
  request.roles = {{kCommitment, true, false}};
  EXPECT_EQ(decide().result, ContextResult::accepted);
  EXPECT_TRUE(decide().role_answered);
  request.roles = {{kCommitment, false, true}};
  EXPECT_EQ(decide().result, ContextResult::abstract_syntax_not_supported);
  request.roles.clear();
  request.contexts = {{1, kCommitment, {kJpeg}}};
  EXPECT_EQ(decide().result, ContextResult::transfer_syntaxes_not_supported);
}

TEST(Contexts, OfUnknownClassesCanBeRefused) {
  Policy policy;
  policy.accept_unknown_sop_classes = false;
  EXPECT_THAT(results({kCt, kPrivate}, policy), ElementsAre(kAccepted, kNoClass));

  EXPECT_THAT(results({kPrivate}, policy, {{kPrivate, "1.2.840.10008.4.2"}}),
              ElementsAre(kAccepted));
  EXPECT_THAT(results({kPrivate}, policy, {{kPrivate, "1.2.840.10008.5.1.4.31"}}),
              ElementsAre(kNoClass));

  policy.extra_sop_classes = {kPrivate, kFind};
  EXPECT_THAT(results({kPrivate, kFind}, policy), ElementsAre(kAccepted, kNoClass));
}

TEST(Contexts, AreDecidedEachForItself) {
  AssociateRequest request;
  request.contexts = {{1, kCt, {kJpip}}, {3, kCt, {kJpeg}}, {5, kCt, {kImplicit, kExplicit}}};

  const auto decisions = decide_contexts(request, {});

  ASSERT_EQ(decisions.size(), 3U);
  EXPECT_EQ(decisions[0].result, kNoSyntax);
  EXPECT_EQ(decisions[1].transfer_syntax, kJpeg);
  EXPECT_EQ(decisions[2].transfer_syntax, kExplicit);
}

TEST(Contexts, OfVerificationTakeUncompressedSyntaxes) {
  AssociateRequest request;
  request.contexts = {{1, kVerification, {kJpeg}}, {3, kVerification, {kExplicit, kImplicit}}};

  const auto decisions = decide_contexts(request, {});

  EXPECT_EQ(decisions[0].result, kNoSyntax);
  EXPECT_EQ(decisions[1].transfer_syntax, kImplicit);
  EXPECT_TRUE(decisions[1].verification);
}

TEST(ExtendedNegotiation, IsAnsweredForAcceptedStorageClassesOnce) {
  AssociateRequest request;
  request.contexts = {
      {1, kCt, {kImplicit}}, {3, kFind, {kImplicit}}, {5, kVerification, {kImplicit}}};
  request.extended_sop_classes = {kCt, kFind, kVerification, kCt, "1.2.3"};

  EXPECT_THAT(extended_answers(request, decide_contexts(request, {})), ElementsAre(kCt));
  EXPECT_THAT(extended_answers(request, {}), IsEmpty());
}

TEST(RefusedSenders, HearWhichTitleIsNotRecognizedAndNoMore) {
  EXPECT_FALSE(refusal_of(SenderRefusal::none));
  EXPECT_EQ(refusal_of(SenderRefusal::called_ae_title), reject_with(1, 1, 7, ""));
  for (const auto refusal : {SenderRefusal::unknown_sender, SenderRefusal::sender_address,
                             SenderRefusal::sender_tls, SenderRefusal::sender_blocked}) {
    EXPECT_EQ(refusal_of(refusal), reject_with(1, 1, 3, ""));
    EXPECT_EQ(refusal_of(refusal)->why, to_string(refusal));
  }
}

TEST(RequestSummary, NamesAFewClassesAndCountsTheRest) {
  AssociateRequest request;
  request.contexts = {{1, kVerification, {kImplicit}},
                      {3, kCt, {kImplicit, kExplicit}},
                      {5, kCt, {kJpeg}},
                      {7, kPrivate, {kImplicit}}};
  EXPECT_EQ(summary_of(request),
            "VerificationSOPClass, CTImageStorage, " + kPrivate + " in 3 transfer syntaxes");
  for (int i = 0; i < 100; ++i) {
    request.contexts.push_back({9, "1.2.3." + std::to_string(i), {kImplicit}});
  }
  EXPECT_THAT(summary_of(request), ::testing::HasSubstr("and 97 more"));
  EXPECT_LT(summary_of(request).size(), 400u);
}

TEST(RefusedClasses, AreUserRejectionsOfStorageContextsOnly) {
  Sender sender;
  sender.sop_classes = {"reports"};
  std::vector<ContextDecision> decisions{
      {1, ContextResult::accepted, kVerification, kImplicit, true},
      {3, ContextResult::accepted, kCt, kExplicit, false},
      {5, ContextResult::transfer_syntaxes_not_supported, kCt, "", false}};

  refuse_classes(decisions, sender);

  EXPECT_EQ(decisions[0].result, ContextResult::accepted);
  EXPECT_EQ(decisions[1].result, ContextResult::user_rejection);
  EXPECT_EQ(decisions[1].transfer_syntax, "");
  EXPECT_EQ(decisions[2].result, ContextResult::transfer_syntaxes_not_supported);
}

}  // namespace
}  // namespace isthmus::dimse
