#include "dimse/guard/associate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/dicom_factory.h"
#include "support/raw_pdu.h"

namespace isthmus::dimse {
namespace {

using test::raw_associate_rq;
using test::raw_item;
using test::RawAssociate;
using test::RawContext;
using ::testing::ElementsAre;

std::vector<RawContext> echo_and_ct() {
  return {{1, std::string(test::kVerification), {std::string(test::kImplicitLittle)}},
          {3,
           std::string(test::kCtImageStorage),
           {std::string(test::kExplicitLittle), std::string(test::kImplicitLittle)}}};
}

RawAssociate valid_request() {
  RawAssociate request;
  request.contexts = echo_and_ct();
  return request;
}

std::variant<AssociateRequest, Refusal> examine(const std::string& pdu) {
  return examine_associate_request(as_bytes(pdu));
}
std::variant<AssociateRequest, Refusal> examine(const RawAssociate& request) {
  return examine(raw_associate_rq(request));
}

AssociateRequest accepted(const std::variant<AssociateRequest, Refusal>& verdict) {
  if (const auto* refusal = std::get_if<Refusal>(&verdict)) {
    ADD_FAILURE() << "refused: " << refusal->why;
    return {};
  }
  return std::get<AssociateRequest>(verdict);
}

Refusal refused(const std::variant<AssociateRequest, Refusal>& verdict) {
  if (std::holds_alternative<AssociateRequest>(verdict)) {
    ADD_FAILURE() << "accepted";
    return {};
  }
  return std::get<Refusal>(verdict);
}

TEST(AssociateRequest, ReadsWhatWasAskedFor) {
  const AssociateRequest request = accepted(examine(valid_request()));

  EXPECT_EQ(request.called_ae_title, "ISTHMUS");
  EXPECT_EQ(request.calling_ae_title, "RAWSCU");
  EXPECT_EQ(request.peer_max_pdu_bytes, 131072U);
  ASSERT_EQ(request.contexts.size(), 2U);
  EXPECT_EQ(request.contexts[1].id, 3);
  EXPECT_EQ(request.contexts[1].abstract_syntax, test::kCtImageStorage);
  EXPECT_THAT(request.contexts[1].transfer_syntaxes,
              ElementsAre(test::kExplicitLittle, test::kImplicitLittle));
}

TEST(AssociateRequest, TrimsPaddingOfNamesAndTitles) {
  RawAssociate raw = valid_request();
  raw.called_ae_title = "  GATE";
  raw.contexts[0].abstract_syntax += '\0';
  raw.contexts[1].transfer_syntaxes[0] += ' ';

  const AssociateRequest request = accepted(examine(raw));

  EXPECT_EQ(request.called_ae_title, "GATE");
  EXPECT_EQ(request.contexts[0].abstract_syntax, test::kVerification);
  EXPECT_EQ(request.contexts[1].transfer_syntaxes[0], test::kExplicitLittle);
}

TEST(AssociateRequest, AcceptsAllOf128Contexts) {
  RawAssociate raw;
  for (int id = 1; id <= 255; id += 2) {
    raw.contexts.push_back({id, std::string(test::kCtImageStorage), {"1.2.840.10008.1.2"}});
  }

  EXPECT_EQ(accepted(examine(raw)).contexts.size(), 128U);
}

TEST(AssociateRequest, KeepsEachTransferSyntaxOnce) {
  RawAssociate raw = valid_request();
  raw.contexts[0].transfer_syntaxes = std::vector<std::string>(2500, "1.2.840.10008.1.2");

  EXPECT_EQ(accepted(examine(raw)).contexts[0].transfer_syntaxes.size(), 1U);
}

TEST(AssociateRequest, IgnoresItemsOfUnknownTypes) {
  RawAssociate raw = valid_request();
  raw.more_items = raw_item(0x7e, "whatever");
  raw.more_user_items = raw_item(0x7f, "whatever");

  accepted(examine(raw));
}

TEST(AssociateRequest, ReadsNegotiationOfServices) {
  RawAssociate raw = valid_request();
  const std::string uid = "1.2.3";
  const std::string length = std::string(1, 0) + std::string(1, 5);
  raw.more_user_items = raw_item(0x56, length + uid + "xx") +
                        raw_item(0x57, length + uid + length + "1.2.4" + std::string(2, 0)) +
                        raw_item(0x58, std::string("\1\0\0\2ab\0\0", 8));

  const AssociateRequest request = accepted(examine(raw));

  EXPECT_THAT(request.extended_sop_classes, ElementsAre("1.2.3"));
  ASSERT_EQ(request.common_extended.size(), 1U);
  EXPECT_EQ(request.common_extended[0].service_class_uid, "1.2.4");
  EXPECT_EQ(request.user_identity_type, 1);
}

struct Case {
  const char* name;
  std::function<void(RawAssociate&)> spoil;
  Refusal expected;
};

class RefusedRequest : public ::testing::TestWithParam<Case> {};

TEST_P(RefusedRequest, IsAnsweredAsTheStandardSays) {
  RawAssociate raw = valid_request();
  GetParam().spoil(raw);

  const Refusal refusal = refused(examine(raw));

  EXPECT_EQ(refusal, GetParam().expected) << refusal.why;
}

const Refusal kInvalid = abort_with(AbortReason::invalid_parameter, "");

INSTANTIATE_TEST_SUITE_P(
    Table, RefusedRequest,
    ::testing::Values(
        Case{"version", [](RawAssociate& r) { r.version = 2; }, reject_with(1, 2, 2, "")},
        Case{"application_context", [](RawAssociate& r) { r.application_context = "1.2.3"; },
             reject_with(1, 1, 2, "")},
        Case{"no_application_context", [](RawAssociate& r) { r.application_context.reset(); },
             reject_with(1, 1, 2, "")},
        Case{"called_title_empty", [](RawAssociate& r) { r.called_ae_title = " "; },
             reject_with(1, 1, 7, "")},
        Case{"calling_title_empty", [](RawAssociate& r) { r.calling_ae_title = ""; },
             reject_with(1, 1, 3, "")},
        Case{"called_title_control", [](RawAssociate& r) { r.called_ae_title = "A\nB"; },
             reject_with(1, 1, 7, "")},
        Case{"calling_title_backslash", [](RawAssociate& r) { r.calling_ae_title = "A\\B"; },
             reject_with(1, 1, 3, "")},
        Case{"calling_title_not_ascii", [](RawAssociate& r) { r.calling_ae_title = "A\xe4"; },
             reject_with(1, 1, 3, "")},
        Case{"even_id", [](RawAssociate& r) { r.contexts[0].id = 2; }, kInvalid},
        Case{"zero_id", [](RawAssociate& r) { r.contexts[0].id = 0; }, kInvalid},
        Case{"doubled_id", [](RawAssociate& r) { r.contexts[0].id = 3; }, kInvalid},
        Case{"no_contexts", [](RawAssociate& r) { r.contexts.clear(); }, kInvalid},
        Case{"no_transfer_syntax", [](RawAssociate& r) { r.contexts[0].transfer_syntaxes = {}; },
             kInvalid},
        Case{"no_abstract_syntax", [](RawAssociate& r) { r.contexts[0].abstract_syntax = ""; },
             kInvalid},
        Case{"long_uid",
             [](RawAssociate& r) { r.contexts[0].abstract_syntax = std::string(65, '1'); },
             kInvalid},
        Case{"uid_with_control",
             [](RawAssociate& r) { r.contexts[0].transfer_syntaxes = {"1.2\x1b[2J"}; }, kInvalid},
        Case{"many_syntaxes",
             [](RawAssociate& r) {
               for (int i = 0; i < 200; ++i) {
                 r.contexts[0].transfer_syntaxes.push_back("1.2." + std::to_string(i));
               }
             },
             kInvalid},
        Case{"no_maximum_length", [](RawAssociate& r) { r.max_pdu_bytes.reset(); }, kInvalid},
        Case{"maximum_length_of_no_use", [](RawAssociate& r) { r.max_pdu_bytes = 13; },
             reject_with(1, 1, 1, "")},
        Case{"two_application_contexts",
             [](RawAssociate& r) { r.more_items = raw_item(0x10, "1.2.840.10008.3.1.1.1"); },
             kInvalid},
        Case{"two_user_informations",
             [](RawAssociate& r) { r.more_items = raw_item(0x50, raw_item(0x51, "abcd")); },
             kInvalid},
        Case{"item_too_long",
             [](RawAssociate& r) { r.more_items = std::string("\x20\0\xff\xff", 4); }, kInvalid},
        Case{"user_item_too_long",
             [](RawAssociate& r) { r.more_user_items = std::string("\x55\0\x01\0", 4); }, kInvalid},
        Case{"role_too_short", [](RawAssociate& r) { r.more_user_items = raw_item(0x54, "ab"); },
             kInvalid},
        Case{"identity_too_long",
             [](RawAssociate&
                    r) { r.more_user_items = raw_item(0x58, std::string("\1\0\xff\xff", 4)); },
             kInvalid}),
    [](const auto& one) { return one.param.name; });

TEST(AssociateRequest, RefusesEveryTruncation) {
  const std::string whole = raw_associate_rq(valid_request());

  for (std::size_t length = 0; length < whole.size(); ++length) {
    const auto verdict = examine(whole.substr(0, length));
    EXPECT_TRUE(std::holds_alternative<Refusal>(verdict)) << "cut at " << length;
  }
}

TEST(AssociateRequest, SurvivesEveryChangedByte) {
  const std::string whole = raw_associate_rq(valid_request());

  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int value : {0x00, 0x01, 0x20, 0x50, 0x7f, 0xff}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(value);
      const auto verdict = examine(changed);
      // Whatever is accepted can be written again, and then reads the same.
      if (const auto* request = std::get_if<AssociateRequest>(&verdict)) {
        const Bytes again = encode_for_dcmtk(*request);
        EXPECT_TRUE(std::holds_alternative<AssociateRequest>(examine_associate_request(again)));
      }
    }
  }
}

TEST(AssociateRequest, IsHandedOnInCanonicalForm) {
  RawAssociate raw = valid_request();
  raw.more_items = raw_item(0x7e, "unknown");
  raw.more_user_items = raw_item(0x58, std::string("\2\0\0\4user\0\6secret", 16));

  const Bytes handed_on = encode_for_dcmtk(accepted(examine(raw)));

  EXPECT_THAT(std::string(as_text(handed_on)), ::testing::Not(::testing::HasSubstr("secret")));
  const AssociateRequest again = accepted(examine_associate_request(handed_on));
  EXPECT_EQ(again.contexts.size(), 2U);
  EXPECT_EQ(again.called_ae_title, "ISTHMUS");
  EXPECT_EQ(read_pdu_header(ByteSpan(handed_on).first(6)).length_bytes + 6, handed_on.size());
}

TEST(FirstHeader, TellsRequestsFromAnythingElse) {
  EXPECT_FALSE(examine_first_header({1, 200}));
  EXPECT_FALSE(examine_first_header({1, kMaxAssociateBytes}));
  EXPECT_EQ(examine_first_header({1, kMaxAssociateBytes + 1}), kInvalid);
  EXPECT_EQ(examine_first_header({1, 0xffffffff}), kInvalid);
  EXPECT_EQ(examine_first_header({4, 10}), abort_with(AbortReason::unexpected_pdu, ""));
  EXPECT_EQ(examine_first_header({'G', 10}), abort_with(AbortReason::unrecognized_pdu, ""));
  EXPECT_EQ(examine_first_header({0x16, 10}), abort_with(AbortReason::unrecognized_pdu, ""));
}

TEST(Refusal, IsTenBytes) {
  EXPECT_EQ(as_text(encode_refusal(reject_with(2, 3, 2, ""))),
            std::string_view("\x03\x00\x00\x00\x00\x04\x00\x02\x03\x02", 10));
  EXPECT_EQ(as_text(encode_refusal(abort_with(AbortReason::unexpected_pdu, ""))),
            std::string_view("\x07\x00\x00\x00\x00\x04\x00\x00\x02\x02", 10));
}

}  // namespace
}  // namespace isthmus::dimse
