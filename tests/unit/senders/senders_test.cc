#include "senders/senders.h"

#include <gmock/gmock.h>

namespace isthmus {
namespace {

using testing::ElementsAre;
using testing::Optional;

Sender named(std::string name, std::vector<std::string> calling) {
  Sender sender;
  sender.name = std::move(name);
  sender.calling_ae_titles = std::move(calling);
  return sender;
}

Sender scanner() {
  Sender sender = named("scanner", {"CT_1"});
  sender.addresses = {*AddressRange::parse("10.1.0.0/16")};
  return sender;
}

SenderRequest request(std::string calling = "CT_1", std::string address = "10.1.2.3") {
  return {std::move(calling), "ISTHMUS", std::move(address), std::nullopt};
}

Senders policy_of(std::vector<Sender> senders, SenderMode mode = SenderMode::discover) {
  SenderPolicy policy;
  policy.mode = mode;
  policy.senders = std::move(senders);
  return Senders(std::move(policy));
}

TEST(Senders, AKnownSenderIsLetIn) {
  const Senders senders = policy_of({named("a", {"OTHER"}), scanner()});

  const SenderDecision decision = senders.admit(request());

  EXPECT_TRUE(decision.admitted());
  EXPECT_EQ(decision.sender.name, "scanner");
}

TEST(Senders, TheReasonIsTheFurthestThatAnySenderGot) {
  Sender secure = scanner();
  secure.name = "secure";
  secure.addresses = {*AddressRange::parse("10.2.0.0/16")};
  secure.tls_identities = {"ct.example"};
  Sender bound = named("bound", {"BOUND"});
  bound.called_ae_titles = {"ELSE"};
  const Senders senders = policy_of({scanner(), secure, bound});

  EXPECT_EQ(senders.admit(request("NOBODY")).refusal, SenderRefusal::unknown_sender);
  EXPECT_EQ(senders.admit(request("CT_1", "10.3.0.1")).refusal, SenderRefusal::sender_address);
  EXPECT_EQ(senders.admit(request("CT_1", "10.2.0.1")).refusal, SenderRefusal::sender_tls);
  EXPECT_EQ(senders.admit(request("BOUND")).refusal, SenderRefusal::called_ae_title);
}

TEST(Senders, CaseAndLengthOfAeTitlesMatter) {
  const Senders senders = policy_of({scanner()});

  EXPECT_EQ(senders.admit(request("ct_1")).refusal, SenderRefusal::unknown_sender);
  EXPECT_EQ(senders.admit(request("CT_1 ")).refusal, SenderRefusal::unknown_sender);
}

TEST(Senders, OnlyOurOwnTitlesAnswer) {
  SenderPolicy policy;
  policy.mode = SenderMode::open;
  policy.ae_titles = {"ARCHIVE"};
  const Senders senders(policy);

  EXPECT_EQ(senders.admit(request()).refusal, SenderRefusal::called_ae_title);
  SenderRequest right = request();
  right.called_ae_title = "ARCHIVE";
  EXPECT_TRUE(senders.admit(right).admitted());
}

TEST(Senders, WhoComesByHttpCallsNoTitleOfOurs) {
  SenderPolicy policy;
  policy.ae_titles = {"ARCHIVE"};
  Sender bound = scanner();
  bound.called_ae_titles = {"ARCHIVE"};
  policy.senders = {bound};
  const Senders senders(policy);
  SenderRequest by_http = request();
  by_http.called_ae_title = "";
  by_http.has_called_ae_title = false;

  EXPECT_EQ(senders.admit(by_http).sender.name, "scanner");
  by_http.calling_ae_title = "NOBODY";
  EXPECT_EQ(senders.admit(by_http).refusal, SenderRefusal::unknown_sender);
}

TEST(Senders, OpenLetsInWhomNobodyKnowsAndKnowsWhoIsKnown) {
  const Senders senders = policy_of({scanner()}, SenderMode::open);

  const SenderDecision nobody = senders.admit(request("NOBODY"));
  const SenderDecision known = senders.admit(request());

  EXPECT_TRUE(nobody.admitted());
  EXPECT_EQ(nobody.sender.name, "");
  EXPECT_EQ(known.sender.name, "scanner");
}

TEST(Senders, ACertificateBindsByFingerprintOrName) {
  const std::string fingerprint = std::string(62, '0') + "ab";
  const TlsIdentity identity{fingerprint, "CT One", {"ct1.example", "10.1.2.3"}};
  const auto admits = [&](std::string expected) {
    Sender sender = scanner();
    sender.tls_identities = {std::move(expected)};
    SenderRequest asked = request();
    asked.tls = identity;
    return policy_of({sender}).admit(asked).admitted();
  };
  std::string with_colons;
  for (std::size_t i = 0; i < 64; i += 2) with_colons += (i ? ":" : "") + fingerprint.substr(i, 2);
  with_colons.replace(with_colons.size() - 2, 2, "AB");

  EXPECT_TRUE(admits(fingerprint));
  EXPECT_TRUE(admits(with_colons));
  EXPECT_TRUE(admits("ct one"));
  EXPECT_TRUE(admits("CT1.example"));
  EXPECT_FALSE(admits(std::string(64, '0')));
  EXPECT_FALSE(admits("ct2.example"));
  EXPECT_FALSE(admits(""));
}

TEST(Senders, WhoeverMustShowACertificateDoesNotComeWithoutOne) {
  Sender sender = scanner();
  sender.tls_identities = {"ct1.example"};
  const Senders senders = policy_of({sender});
  SenderRequest nameless = request();
  nameless.tls = TlsIdentity{std::string(64, '0'), "", {}};

  EXPECT_EQ(senders.admit(request()).refusal, SenderRefusal::sender_tls);
  EXPECT_EQ(senders.admit(nameless).refusal, SenderRefusal::sender_tls);
}

TEST(Senders, WhoIsAdmittedLaterIsLetInAtOnceAndWhoIsBlockedIsNot) {
  Senders senders = policy_of({scanner()}, SenderMode::open);

  senders.set_admitted({named("mr", {"MR_1"})}, {named("bad", {"BAD"})});

  EXPECT_EQ(senders.admit(request("MR_1")).sender.name, "mr");
  EXPECT_EQ(senders.admit(request("BAD")).refusal, SenderRefusal::sender_blocked);
  EXPECT_EQ(senders.admit(request()).sender.name, "scanner");
  senders.set_admitted({}, {});
  EXPECT_EQ(senders.admit(request("MR_1")).sender.name, "");
  EXPECT_TRUE(senders.admit(request("BAD")).admitted());
}

TEST(Senders, TheConfigurationWinsOverAnAdmittedSenderOfTheSameName) {
  Senders senders = policy_of({scanner()});

  senders.set_admitted({named("scanner", {"MR_1"})}, {});

  EXPECT_FALSE(senders.admit(request("MR_1")).admitted());
  EXPECT_THAT(senders.find("scanner")->calling_ae_titles, ElementsAre("CT_1"));
}

TEST(Senders, AreFoundByNameAndByTitle) {
  const Senders senders = policy_of({named("b", {"SAME"}), named("a", {"SAME"}), named("any", {})});

  EXPECT_EQ(senders.find("b")->name, "b");
  EXPECT_EQ(senders.find("nobody"), std::nullopt);
  EXPECT_EQ(senders.find_by_ae_title("SAME")->name, "a");
  EXPECT_EQ(senders.find_by_ae_title("ELSE"), std::nullopt);
}

TEST(Senders, ARouteThatMatchesWinsOverTheSendersDestinations) {
  SenderPolicy policy;
  policy.routes =
      Routes({{"mammography", {RouteCondition::parse("modality equals MG").value()}, {"breast"}}});
  Sender sender = scanner();
  sender.destinations = {"radiology"};
  const Senders senders(policy);
  RouteAttributes attributes;
  attributes.modality = "MG";

  EXPECT_THAT(senders.route(sender, attributes).destinations, Optional(ElementsAre("breast")));
  attributes.modality = "CT";
  EXPECT_THAT(senders.route(sender, attributes).destinations, Optional(ElementsAre("radiology")));
}

constexpr const char* kCt = "1.2.840.10008.5.1.4.1.1.2";
constexpr const char* kEnhancedCt = "1.2.840.10008.5.1.4.1.1.2.1";
constexpr const char* kBasicTextSr = "1.2.840.10008.5.1.4.1.1.88.11";
constexpr const char* kSecondaryCaptureArcNeighbour = "1.2.840.10008.5.1.4.1.1.79.1";
constexpr const char* kRtImage = "1.2.840.10008.5.1.4.1.1.481.1";
constexpr const char* kRtPlan = "1.2.840.10008.5.1.4.1.1.481.5";
constexpr const char* kPrivate = "1.2.840.113619.4.26";

bool allows(std::vector<std::string> rules, std::string_view uid) {
  Sender sender;
  sender.sop_classes = std::move(rules);
  return allows_sop_class(sender, uid);
}

TEST(SopClassRules, NoneAllowEverything) {
  EXPECT_TRUE(allows({}, kCt));
  EXPECT_TRUE(allows({}, kPrivate));
}

TEST(SopClassRules, AUidOrItsNameIsThatClassOnly) {
  EXPECT_TRUE(allows({kCt}, kCt));
  EXPECT_FALSE(allows({kCt}, kEnhancedCt));
  EXPECT_TRUE(allows({"CTImageStorage"}, kCt));
  EXPECT_FALSE(allows({"CTImageStorage"}, kEnhancedCt));
}

TEST(SopClassRules, GroupsHoldWhatTheirNamesSay) {
  EXPECT_TRUE(allows({"images"}, kEnhancedCt));
  EXPECT_TRUE(allows({"images"}, kRtImage));
  EXPECT_TRUE(allows({"radiotherapy"}, kRtImage));
  EXPECT_FALSE(allows({"images"}, kRtPlan));
  EXPECT_FALSE(allows({"images"}, kBasicTextSr));
  EXPECT_FALSE(allows({"images"}, kSecondaryCaptureArcNeighbour));
  EXPECT_TRUE(allows({"images", "reports"}, kBasicTextSr));
  EXPECT_FALSE(allows({"images"}, kPrivate));
  EXPECT_TRUE(allows({"other"}, kPrivate));
  EXPECT_FALSE(allows({"other"}, kCt));
}

TEST(SopClassRules, KnowWhatIsARule) {
  for (const char* rule : {"images", "other", "CTImageStorage", kCt, kPrivate}) {
    EXPECT_TRUE(is_sop_class_rule(rule)) << rule;
  }
  for (const char* rule : {"", "image", "CT", "1.2.", "*"}) {
    EXPECT_FALSE(is_sop_class_rule(rule)) << rule;
  }
}

TEST(ReportAddress, ReadsAndWritesHostAndPort) {
  EXPECT_EQ(ReportAddress::parse("pacs.example:11112"),
            (ReportAddress{"pacs.example", 11112, false}));
  EXPECT_EQ(ReportAddress::parse("[2001:db8::7]:104", true),
            (ReportAddress{"2001:db8::7", 104, true}));
  EXPECT_EQ(ReportAddress::parse("[2001:db8::7]:104")->text(), "[2001:db8::7]:104");
  for (const char* text : {"", "pacs", ":104", "pacs:", "pacs:0", "pacs:65536", "pacs:104x",
                           "2001:db8::7:104", "pa cs:104", "user@pacs:104"}) {
    EXPECT_EQ(ReportAddress::parse(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace isthmus
