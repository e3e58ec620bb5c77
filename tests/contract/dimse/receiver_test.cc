#include "dimse/receiver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/failpoint.h"
#include "dicom/part10.h"
#include "support/matchers.h"
#include "support/receiver_under_test.h"

namespace isthmus::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kCt(kCtImageStorage);

// A small CT data set, its UID and an association that offers its class.
struct Ct {
  explicit Ct(std::string_view transfer_syntax = kExplicitLittle) {
    recipe.transfer_syntax_uid = transfer_syntax;
    dataset = make_dataset(recipe);
  }
  DicomRecipe recipe;
  std::string dataset;
};

RawResponse store_ct(ReceiverUnderTest& under_test, const Ct& ct, std::string_view uid = {}) {
  auto scu = under_test.associate(request_for(kCt, ct.recipe.transfer_syntax_uid));
  EXPECT_THAT(scu, IsOk());
  if (!scu.ok()) return {};
  const std::string instance(uid.empty() ? std::string_view(ct.recipe.sop_instance_uid) : uid);
  auto response = (*scu)->store(3, kCt, instance, ct.dataset);
  EXPECT_THAT(response, IsOk());
  EXPECT_THAT((*scu)->release(), IsOk());
  return response.ok() ? *response : RawResponse{};
}

std::string text_of(const RawResponse& response, std::uint16_t element) {
  const auto found = response.command.find(element);
  if (found == response.command.end()) return {};
  std::string text = found->second;
  while (!text.empty() && (text.back() == '\0' || text.back() == ' ')) text.pop_back();
  return text;
}

TEST(Receiver, AnswersEcho) {
  ReceiverUnderTest under_test;

  EXPECT_THAT(under_test.echo(), IsOk());
}

TEST(Receiver, KeepsADataSetByteForByte) {
  for (const auto syntax : {kExplicitLittle, kImplicitLittle, kExplicitBig, kDeflated,
                            kJpegBaseline, kHtj2kLossless, kRle}) {
    ReceiverUnderTest under_test;
    const Ct ct(syntax);

    const RawResponse response = store_ct(under_test, ct);

    EXPECT_EQ(response.status, 0) << syntax;
    ASSERT_EQ(under_test.spool.instances().size(), 1U) << syntax;
    const IntakeInstance instance = under_test.spool.instances()[0];
    EXPECT_EQ(instance.dataset(), ct.dataset) << syntax;
    EXPECT_EQ(instance.identified.transfer_syntax_uid, syntax);
    ASSERT_OK_AND_ASSIGN(const auto head, dicom::read_file_head(as_bytes(instance.bytes)));
    EXPECT_EQ(head.transfer_syntax_uid, syntax);
    EXPECT_EQ(head.media_storage_sop_instance_uid, ct.recipe.sop_instance_uid);
    EXPECT_EQ(head.dataset_offset_bytes, instance.dataset_began);
    EXPECT_EQ(instance.identified.dataset_offset_bytes, instance.dataset_began);
  }
}

TEST(Receiver, SaysWhoSentIt) {
  ReceiverUnderTest under_test;

  store_ct(under_test, Ct());

  const Origin origin = under_test.spool.instances().at(0).origin;
  EXPECT_EQ(origin.receiver, "dimse");
  EXPECT_EQ(origin.calling_ae_title, "RAWSCU");
  EXPECT_EQ(origin.called_ae_title, "ISTHMUS");
  EXPECT_EQ(origin.peer_address, "127.0.0.1");
  EXPECT_EQ(origin.association_id.size(), 32U);
}

TEST(Receiver, RepeatsWhatTheRequestNamed) {
  ReceiverUnderTest under_test;
  const Ct ct;

  const RawResponse response = store_ct(under_test, ct);

  EXPECT_EQ(raw_number(response.command, 0x0100), 0x8001);
  EXPECT_EQ(raw_number(response.command, 0x0120), 1);
  EXPECT_EQ(raw_number(response.command, 0x0800), 0x0101);
  EXPECT_EQ(text_of(response, 0x0002), kCt);
  EXPECT_EQ(text_of(response, 0x1000), ct.recipe.sop_instance_uid);
}

TEST(Receiver, DoesNotCareHowADataSetIsCut) {
  const Ct ct;
  for (const std::uint32_t pdu : {8U, 14U, 100U, 4096U, 131072U}) {
    ReceiverUnderTest under_test;
    ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(kCt, kExplicitLittle)));
    scu->set_pdu_bytes(pdu);

    ASSERT_OK_AND_ASSIGN(const auto response,
                         scu->store(3, kCt, ct.recipe.sop_instance_uid, ct.dataset));

    EXPECT_EQ(response.status, 0) << pdu;
    EXPECT_EQ(under_test.spool.instances().at(0).dataset(), ct.dataset) << pdu;
  }
}

TEST(Receiver, TakesCommandAndDataInOnePdu) {
  ReceiverUnderTest under_test;
  const Ct ct;
  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(kCt, kExplicitLittle)));
  const std::string command = raw_command(c_store_command(9, kCt, ct.recipe.sop_instance_uid));

  ASSERT_THAT(
      scu->socket().send(raw_pdu(4, raw_pdv(3, true, true, command) + raw_pdv(3, false, false, "") +
                                        raw_pdv(3, false, true, ct.dataset))),
      IsOk());

  ASSERT_OK_AND_ASSIGN(const auto response, scu->receive_response());
  EXPECT_EQ(response.status, 0);
  EXPECT_EQ(raw_number(response.command, 0x0120), 9);
}

TEST(Receiver, SendsThroughTheSmallestPdu) {
  ReceiverUnderTest under_test;
  RawAssociate request = request_for(kCt, kExplicitLittle);
  request.max_pdu_bytes = 14;
  const Ct ct;
  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request));

  ASSERT_OK_AND_ASSIGN(const auto response,
                       scu->store(3, kCt, ct.recipe.sop_instance_uid, ct.dataset));

  EXPECT_EQ(response.status, 0);
  EXPECT_EQ(text_of(response, 0x1000), ct.recipe.sop_instance_uid);
}

TEST(Receiver, RefusesWhatIsNotWhatItWasCalled) {
  ReceiverUnderTest under_test;

  const RawResponse response = store_ct(under_test, Ct(), "2.25.9.9.9");

  EXPECT_EQ(response.status, 0xA900);
  EXPECT_EQ(text_of(response, 0x1000), "2.25.9.9.9");
  EXPECT_EQ(response.command.at(0x0901), std::string("\x08\x00\x18\x00", 4));
  EXPECT_TRUE(under_test.spool.instances().empty());
  EXPECT_EQ(under_test.spool.under_way(), 0U);
}

TEST(Receiver, RefusesAnotherClassThanThatOfTheContext) {
  ReceiverUnderTest under_test;
  const Ct ct;
  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(kCt, kExplicitLittle)));

  ASSERT_OK_AND_ASSIGN(auto of_command, scu->store(3, std::string(kSecondaryCapture),
                                                   ct.recipe.sop_instance_uid, ct.dataset));
  ASSERT_OK_AND_ASSIGN(auto on_verification,
                       scu->store(1, kCt, ct.recipe.sop_instance_uid, ct.dataset));

  EXPECT_EQ(of_command.status, 0xA900);
  EXPECT_EQ(on_verification.status, 0x0122);
}

TEST(Receiver, RefusesUidsThatAreNone) {
  ReceiverUnderTest under_test;
  for (const auto* uid : {"../../../../tmp/evil", "1.2..3", "1.2\\1.3", "", "1.2.3."}) {
    EXPECT_EQ(store_ct(under_test, Ct(), uid).status,
              *uid == '\0' ? 0 : 0x0117)  // "" makes store_ct use the right one
        << uid;
  }
  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(kCt, kExplicitLittle)));
  ASSERT_OK_AND_ASSIGN(const auto empty, scu->store(3, kCt, "", Ct().dataset));
  EXPECT_EQ(empty.status, 0x0117);
}

TEST(Receiver, RefusesWhatCannotBeRead) {
  ReceiverUnderTest under_test;
  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(kCt, kExplicitLittle)));
  DicomWriter no_series;
  no_series.element(0x00080016, "UI", kCt)
      .element(0x00080018, "UI", "1.2.3")
      .element(0x0020000D, "UI", "1.2")
      .us(0x00280010, 1);

  for (const std::string& dataset : {std::string(), std::string("not a data set at all."),
                                     no_series.bytes(), Ct().dataset.substr(0, 60)}) {
    ASSERT_OK_AND_ASSIGN(const auto response, scu->store(3, kCt, "1.2.3", dataset));
    EXPECT_EQ(response.status & 0xF000, 0xC000) << response.status;
    EXPECT_FALSE(text_of(response, 0x0902).empty());
  }
  EXPECT_EQ(under_test.spool.under_way(), 0U);
  EXPECT_EQ(scu->echo(1).value().status, 0);
}

TEST(Receiver, AsksToTryAgainWhenTheSpoolRefuses) {
  ReceiverUnderTest under_test;
  under_test.spool.refuse_begin(transient_error("spool.full", "The disk is full."));

  const RawResponse response = store_ct(under_test, Ct());

  EXPECT_EQ(response.status, 0xA700);
  EXPECT_LE(text_of(response, 0x0902).size(), 64U);
  const std::string comment = text_of(response, 0x0902);
  const std::string correlation = comment.substr(comment.size() - 35, 32);
  EXPECT_TRUE(under_test.env.log.contains(correlation)) << comment;
  EXPECT_EQ(under_test.instances("out_of_resources"), 1);

  under_test.spool.refuse_begin({});
  EXPECT_EQ(store_ct(under_test, Ct()).status, 0);
}

TEST(Receiver, TakesTheRestWhenTheSpoolFailsMidway) {
  ReceiverUnderTest under_test;
  under_test.spool.fail_append_beyond(1000, transient_error("spool.io", "broken"));
  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(kCt, kExplicitLittle)));
  DicomRecipe recipe;
  recipe.rows = recipe.columns = 1024;

  ASSERT_OK_AND_ASSIGN(const auto failed,
                       scu->store(3, kCt, recipe.sop_instance_uid, make_dataset(recipe)));
  EXPECT_EQ(failed.status, 0xA700);
  EXPECT_EQ(under_test.spool.under_way(), 0U);
  under_test.spool.fail_append_beyond({}, {});
  ASSERT_OK_AND_ASSIGN(const auto stored,
                       scu->store(3, kCt, recipe.sop_instance_uid, make_dataset(recipe)));
  EXPECT_EQ(stored.status, 0);
}

TEST(Receiver, AnswersOnlyAfterTheCommit) {
  ReceiverUnderTest under_test;
  under_test.spool.close_gate();
  const Ct ct;
  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(kCt, kExplicitLittle)));
  ASSERT_THAT(scu->send_command(3, c_store_command(1, kCt, ct.recipe.sop_instance_uid)), IsOk());
  ASSERT_THAT(scu->send_data(3, ct.dataset, true), IsOk());
  under_test.spool.wait_for_commits_at_gate(1);

  EXPECT_THAT(scu->socket().receive_pdu(Milliseconds(100)), FailsWith("raw.timeout"));
  std::atomic<bool> reached{false};
  arm_failpoint(Failpoint::dimse_before_answer, 1, [&] {
    EXPECT_THAT(scu->socket().receive_pdu(Milliseconds(50)), FailsWith("raw.timeout"));
    EXPECT_EQ(under_test.spool.instances().size(), 1U);
    reached = true;
  });
  under_test.spool.open_gate();

  std::string pdu;
  for (int i = 0; i < 100 && pdu.empty(); ++i) {
    under_test.env.env().clock.sleep_for(Milliseconds(10));
    if (!reached) continue;
    ASSERT_OK_AND_ASSIGN(pdu, scu->socket().receive_pdu(Milliseconds(5000)));
  }
  EXPECT_TRUE(reached);
  disarm_failpoints();
}

TEST(Receiver, SaysNotStoredWhenTheCommitFails) {
  ReceiverUnderTest under_test;
  under_test.spool.fail_commit(transient_error("ledger.full", "no space"));

  EXPECT_EQ(store_ct(under_test, Ct()).status, 0xA700);
}

TEST(Receiver, RefusesInstancesBeyondTheLimit) {
  DimseOptions options;
  options.max_instance_bytes = 64 * KiB;
  ReceiverUnderTest under_test(options);
  DicomRecipe recipe;
  recipe.rows = recipe.columns = 200;  // 80 KB of pixels
  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(kCt, kExplicitLittle)));

  ASSERT_OK_AND_ASSIGN(const auto response,
                       scu->store(3, kCt, recipe.sop_instance_uid, make_dataset(recipe)));
  EXPECT_EQ(response.status, 0xA700);
  EXPECT_EQ(under_test.spool.under_way(), 0U);

  recipe.rows = recipe.columns = 1000;  // 2 MB: nobody has to listen to all of it
  (void)scu->store(3, kCt, recipe.sop_instance_uid, make_dataset(recipe)).ok();
  EXPECT_TRUE(scu->socket().is_closed_within(Milliseconds(2000)));
}

TEST(Receiver, AnswersOperationsItDoesNotOffer) {
  ReceiverUnderTest under_test;
  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(kCt, kExplicitLittle)));
  RawCommand find = c_store_command(5, kCt, "1.2.3");
  find[0x0100] = raw_u16(0x0020);

  ASSERT_THAT(scu->send_command(3, find), IsOk());
  ASSERT_THAT(scu->send_data(3, "identifier", true), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto response, scu->receive_response());
  EXPECT_EQ(response.status, 0x0211);
  EXPECT_EQ(raw_number(response.command, 0x0100), 0x8020);
  EXPECT_EQ(scu->echo(1).value().status, 0);

  RawCommand without_data = c_store_command(6, kCt, "1.2.3");
  without_data[0x0800] = raw_u16(0x0101);
  ASSERT_THAT(scu->send_command(3, without_data), IsOk());
  EXPECT_EQ(scu->receive_response().value().status, 0x0212);

  RawCommand cancel = c_echo_command(7);
  cancel[0x0100] = raw_u16(0x0FFF);
  ASSERT_THAT(scu->send_command(1, cancel), IsOk());
  EXPECT_EQ(raw_number(scu->echo(1).value().command, 0x0100), 0x8030);
}

TEST(Receiver, RefusesEchoOfAnotherClass) {
  ReceiverUnderTest under_test;
  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(kCt, kExplicitLittle)));

  EXPECT_EQ(scu->echo(3).value().status, 0x0122);
}

// Of a site with one scanner, which it knows.
SenderPolicy one_scanner() {
  Sender scanner;
  scanner.name = "scanner";
  scanner.calling_ae_titles = {"CT1"};
  scanner.addresses = {*AddressRange::parse("127.0.0.0/8")};
  SenderPolicy policy;
  policy.ae_titles = {"GATE", "OTHER"};
  policy.senders = {scanner};
  return policy;
}

TEST(Receiver, RejectsWhomThePolicyDoesNotLetIn) {
  ReceiverUnderTest under_test({}, one_scanner());
  RawAssociate request = request_for(kCt, kExplicitLittle);

  EXPECT_THAT(under_test.associate(request).error().message, "1/1/7");
  request.called_ae_title = "OTHER";
  EXPECT_THAT(under_test.associate(request).error().message, "1/1/3");
  request.calling_ae_title = " CT1 ";
  EXPECT_THAT(under_test.associate(request), IsOk());
  EXPECT_EQ(under_test.refused("called_ae_title"), 1);
  EXPECT_EQ(under_test.refused("unknown_sender"), 1);
}

TEST(Receiver, AKnownTitleFromElsewhereIsAStranger) {
  SenderPolicy policy = one_scanner();
  policy.senders[0].addresses = {*AddressRange::parse("192.0.2.0/24")};
  ReceiverUnderTest under_test({}, policy);
  RawAssociate request = request_for(kCt, kExplicitLittle);
  request.called_ae_title = "GATE";
  request.calling_ae_title = "CT1";

  EXPECT_THAT(under_test.associate(request).error().message, "1/1/3");
  EXPECT_EQ(under_test.refused("sender_address"), 1);
}

TEST(Receiver, WhomSomebodyAdmitsMeanwhileIsLetIn) {
  ReceiverUnderTest under_test({}, one_scanner());
  RawAssociate request = request_for(kCt, kExplicitLittle);
  request.called_ae_title = "GATE";
  request.calling_ae_title = "MR1";
  ASSERT_THAT(under_test.associate(request).error().message, "1/1/3");
  Sender magnet;
  magnet.name = "magnet";
  magnet.calling_ae_titles = {"MR1"};

  under_test.senders.set_admitted({magnet}, {});

  EXPECT_THAT(under_test.associate(request), IsOk());
}

TEST(Receiver, WhomSomebodyBlocksMeanwhileLosesItsAssociations) {
  SenderPolicy policy = one_scanner();
  Sender magnet = policy.senders[0];
  magnet.name = "magnet";
  magnet.calling_ae_titles = {"MR1"};
  policy.senders.push_back(magnet);
  ReceiverUnderTest under_test({}, policy);
  RawAssociate request = request_for(kCt, kExplicitLittle);
  request.called_ae_title = "GATE";
  request.calling_ae_title = "MR1";
  ASSERT_OK_AND_ASSIGN(auto other, under_test.associate(request));
  request.calling_ae_title = "CT1";
  ASSERT_OK_AND_ASSIGN(auto silent, under_test.associate(request));
  ASSERT_OK_AND_ASSIGN(auto storing, under_test.associate(request));
  ASSERT_THAT(storing->send_command(3, c_store_command(1, kCt, "1.2.3")), IsOk());

  under_test.senders.set_admitted({}, {policy.senders[0]});

  EXPECT_TRUE(silent->socket().is_closed_within(Milliseconds(10'000)));
  EXPECT_TRUE(storing->socket().is_closed_within(Milliseconds(10'000)));
  EXPECT_EQ(under_test.refused("sender_blocked"), 2);
  EXPECT_THAT(other->echo(1), IsOk());
  EXPECT_EQ(under_test.spool.under_way(), 0U);
}

TEST(Receiver, NotesWhomItRefusesForAPersonToDecide) {
  SenderPolicy policy = one_scanner();
  Sender rogue;
  rogue.name = "rogue";
  rogue.calling_ae_titles = {"ROGUE"};
  ReceiverUnderTest under_test({}, policy);
  std::vector<std::string> noted;
  under_test.senders.on_refused(
      [&](const SenderRequest& asked, SenderRefusal refusal, std::string_view what) {
        noted.push_back(asked.calling_ae_title + " " + asked.peer_address + " " +
                        std::string(to_string(refusal)) + ": " + std::string(what));
      });
  under_test.senders.set_admitted({}, {rogue});
  RawAssociate request = request_for(kCt, kExplicitLittle);
  request.called_ae_title = "GATE";

  for (const char* title : {"MR1", "ROGUE", "CT1"}) {
    request.calling_ae_title = title;
    ignore(under_test.associate(request), "refused, or not");
  }

  EXPECT_THAT(noted, testing::ElementsAre("MR1 127.0.0.1 unknown_sender: VerificationSOPClass, "
                                          "CTImageStorage in 2 transfer syntaxes"));
}

TEST(Receiver, RejectsForAWhileWhenASenderHasAllThatItMay) {
  SenderPolicy policy = open_policy();
  policy.senders = one_scanner().senders;
  policy.senders[0].limits.associations = 1;
  ReceiverUnderTest under_test({}, policy);
  RawAssociate request = request_for(kCt, kExplicitLittle);
  request.calling_ae_title = "CT1";
  ASSERT_OK_AND_ASSIGN(auto first, under_test.associate(request));

  EXPECT_EQ(under_test.associate(request).error().message, "2/3/2");
  EXPECT_EQ(under_test.refused("sender_associations"), 1);
  request.calling_ae_title = "ELSE";
  EXPECT_THAT(under_test.associate(request), IsOk());
}

TEST(Receiver, RefusesClassesThatASenderMayNotStore) {
  SenderPolicy policy = one_scanner();
  policy.senders[0].sop_classes = {"reports"};
  ReceiverUnderTest under_test({}, policy);
  RawAssociate request = request_for(kCt, kExplicitLittle);
  request.called_ae_title = "GATE";
  request.calling_ae_title = "CT1";
  request.contexts.push_back({5, "1.2.840.10008.5.1.4.1.1.88.11", {std::string(kExplicitLittle)}});

  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request));

  EXPECT_EQ(scu->results().at(1), 0);
  EXPECT_EQ(scu->results().at(3), 1);
  EXPECT_EQ(scu->results().at(5), 0);
}

TEST(Receiver, RoutesByWhoSentItAndWhatItsHeadSays) {
  SenderPolicy policy = one_scanner();
  policy.routes = Routes(
      {{"10-study",
        {RouteCondition::parse("study_description equals synthetic study").value(),
         RouteCondition::parse("modality equals MR").value()},
        {"research"}},
       {"20-scanner", {RouteCondition::parse("sender equals scanner").value()}, {"archive"}}});
  ReceiverUnderTest under_test({}, policy);
  RawAssociate request = request_for(kCt, kExplicitLittle);
  request.called_ae_title = "GATE";
  request.calling_ae_title = "CT1";
  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request));
  const DicomRecipe ct{.sop_instance_uid = "2.25.1"};
  const DicomRecipe mr{.sop_instance_uid = "2.25.2", .modality = "MR"};

  for (const DicomRecipe& recipe : {ct, mr}) {
    ASSERT_EQ(scu->store(3, recipe.sop_class_uid, recipe.sop_instance_uid, make_dataset(recipe))
                  .value()
                  .status,
              0);
  }

  EXPECT_THAT(under_test.spool.instance("2.25.1")->identified.destinations,
              testing::Optional(testing::ElementsAre("archive")));
  EXPECT_THAT(under_test.spool.instance("2.25.2")->identified.destinations,
              testing::Optional(testing::ElementsAre("research")));
}

TEST(Receiver, RejectsForAWhileWhenAllAssociationsAreTaken) {
  DimseOptions options;
  options.max_associations = 2;
  ReceiverUnderTest under_test(options);
  const RawAssociate request = request_for(kCt, kExplicitLittle);
  ASSERT_OK_AND_ASSIGN(auto first, under_test.associate(request));
  ASSERT_OK_AND_ASSIGN(auto second, under_test.associate(request));

  EXPECT_EQ(under_test.associate(request).error().message, "2/3/2");
  EXPECT_EQ(under_test.refused("max_associations"), 1);

  // Whoever has heard the answer to its release may come again at once.
  for (int i = 0; i < 200; ++i) {
    ASSERT_THAT(first->release(), IsOk());
    ASSERT_OK_AND_ASSIGN(first, under_test.associate(request));
  }
}

TEST(Receiver, RejectsForAWhileWhenStopping) {
  ReceiverUnderTest under_test;
  under_test.admission.close(AdmissionState::stopping);

  EXPECT_EQ(under_test.associate(request_for(kCt, kExplicitLittle)).error().message, "2/3/1");
}

TEST(Receiver, RejectsForAWhileWhenSpaceRunsOutAndLetsOpenAssociationsGoOn) {
  AdmissionOptions marks;
  marks.reserve_bytes = marks.resume_bytes = 0;
  marks.refuse_bytes = marks.warn_bytes = 1'000'000'000'000'000;  // more than any disk has
  ReceiverUnderTest under_test({}, open_policy(), marks);
  const RawAssociate request = request_for(kCt, kExplicitLittle);
  ASSERT_OK_AND_ASSIGN(auto open, under_test.associate(request));

  under_test.admission.refresh();

  ASSERT_EQ(under_test.admission.state(), AdmissionState::refusing);
  EXPECT_EQ(under_test.associate(request).error().message, "2/3/1");
  EXPECT_EQ(under_test.refused("no_space"), 1);
  DicomRecipe recipe;
  EXPECT_EQ(open->store(3, kCt, recipe.sop_instance_uid, make_dataset(recipe)).value().status, 0);
}

TEST(Receiver, EndsAssociationsThatSayNothing) {
  DimseOptions options;
  options.idle_timeout = Milliseconds(200);
  options.pdu_timeout = Milliseconds(200);
  ReceiverUnderTest under_test(options);
  const RawAssociate request = request_for(kCt, kExplicitLittle);
  ASSERT_OK_AND_ASSIGN(auto idle, under_test.associate(request));
  ASSERT_OK_AND_ASSIGN(auto in_message, under_test.associate(request));
  ASSERT_OK_AND_ASSIGN(auto in_pdu, under_test.associate(request));

  ASSERT_THAT(in_message->send_command(3, c_store_command(1, kCt, "1.2.3")), IsOk());
  ASSERT_THAT(in_pdu->socket().send(std::string("\x04\x00\x00\x00", 4)), IsOk());

  for (auto* scu : {&idle, &in_message, &in_pdu}) {
    ASSERT_OK_AND_ASSIGN(const auto pdu, (*scu)->socket().receive_pdu(Milliseconds(3000)));
    EXPECT_EQ(pdu[0], 7);
    EXPECT_TRUE((*scu)->socket().is_closed_within(Milliseconds(1000)));
  }
  EXPECT_TRUE(under_test.becomes_idle());
  EXPECT_EQ(under_test.spool.under_way(), 0U);
  EXPECT_EQ(under_test.refused("idle_timeout"), 1);
  EXPECT_EQ(under_test.refused("pdu_timeout"), 2);
}

TEST(Receiver, EndsMessagesThatOnlyHoldAThread) {
  DimseOptions options;
  options.pdu_timeout = Milliseconds(400);
  ReceiverUnderTest under_test(options);
  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(kCt, kExplicitLittle)));
  ASSERT_THAT(scu->send_command(3, c_store_command(1, kCt, "1.2.3")), IsOk());

  bool ended = false;
  for (int i = 0; i < 50 && !ended; ++i) {  // never silent for long, and never getting anywhere
    ended =
        !scu->send_data(3, "ab", false).ok() || scu->socket().is_closed_within(Milliseconds(100));
  }

  EXPECT_TRUE(ended);
  EXPECT_EQ(under_test.refused("too_slow"), 1);
}

TEST(Receiver, ClosesConnectionsThatNeverAsk) {
  DimseOptions options;
  options.artim_timeout = Milliseconds(300);
  ReceiverUnderTest under_test(options);
  ASSERT_OK_AND_ASSIGN(auto silent, RawSocket::connect("127.0.0.1", under_test.port()));
  ASSERT_OK_AND_ASSIGN(auto half, RawSocket::connect("127.0.0.1", under_test.port()));
  ASSERT_THAT(half->send(raw_associate_rq(request_for(kCt, kExplicitLittle)).substr(0, 100)),
              IsOk());

  EXPECT_TRUE(silent->is_closed_within(Milliseconds(2000)));
  EXPECT_TRUE(half->is_closed_within(Milliseconds(2000)));
  EXPECT_EQ(under_test.refused("artim"), 2);
}

TEST(Receiver, FiveHundredSilentPeersDelayNobody) {
  ReceiverUnderTest under_test;
  std::vector<std::unique_ptr<RawSocket>> silent;
  for (int i = 0; i < 500; ++i) {
    ASSERT_OK_AND_ASSIGN(auto socket, RawSocket::connect("127.0.0.1", under_test.port()));
    if (i % 2 == 0) {
      ASSERT_THAT(socket->send("\x01"), IsOk());
    }
    silent.push_back(std::move(socket));
  }

  ASSERT_OK_AND_ASSIGN(const auto took, under_test.echo());

  EXPECT_LT(took.count(), kSoonMs);
  RecordProperty("echo_ms", std::to_string(took.count()));
}

TEST(Receiver, CrowdsOutWhoWaitsLongest) {
  DimseOptions options;
  options.max_connections = 10;
  ReceiverUnderTest under_test(options);
  std::vector<std::unique_ptr<RawSocket>> silent;
  for (int i = 0; i < 30; ++i) {
    ASSERT_OK_AND_ASSIGN(auto socket, RawSocket::connect("127.0.0.1", under_test.port()));
    silent.push_back(std::move(socket));
  }

  EXPECT_THAT(under_test.echo(), IsOk());
  EXPECT_TRUE(silent.front()->is_closed_within(Milliseconds(1000)));
}

TEST(Receiver, StopsWhileAssociationsAreOpen) {
  ReceiverUnderTest under_test;
  ASSERT_OK_AND_ASSIGN(auto idle, under_test.associate(request_for(kCt, kExplicitLittle)));
  ASSERT_OK_AND_ASSIGN(auto silent, RawSocket::connect("127.0.0.1", under_test.port()));
  const auto began = std::chrono::steady_clock::now();

  under_test.receiver->stop();
  under_test.receiver->stop();

  EXPECT_LT(std::chrono::steady_clock::now() - began, 2 * Milliseconds(kSoonMs));
  EXPECT_EQ(under_test.receiver->associations(), 0U);
  EXPECT_TRUE(idle->socket().is_closed_within(Milliseconds(500)));
  EXPECT_TRUE(silent->is_closed_within(Milliseconds(500)));
  EXPECT_THAT(under_test.echo(), FailsWith("raw.connect"));
}

TEST(Receiver, LetsAMessageComeToItsEndWhenItStops) {
  ReceiverUnderTest under_test;
  const Ct ct;
  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(kCt, kExplicitLittle)));
  ASSERT_THAT(scu->send_command(3, c_store_command(1, kCt, ct.recipe.sop_instance_uid)), IsOk());
  ASSERT_THAT(scu->send_data(3, std::string_view(ct.dataset).substr(0, 100), false), IsOk());
  while (under_test.spool.under_way() == 0) std::this_thread::yield();

  std::thread stopper([&] { under_test.receiver->stop(); });
  under_test.env.env().clock.sleep_for(Milliseconds(100));
  ASSERT_THAT(scu->send_data(3, std::string_view(ct.dataset).substr(100), true), IsOk());
  const auto response = scu->receive_response();
  stopper.join();

  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->status, 0);
}

TEST(Receiver, AnswersExtendedNegotiation) {
  ReceiverUnderTest under_test;
  RawAssociate request = request_for(kCt, kExplicitLittle);
  const std::string uid = std::string(1, 0) + static_cast<char>(kCt.size()) + kCt;
  request.more_user_items = raw_item(0x53, std::string("\0\5\0\5", 4)) +
                            raw_item(0x56, uid + std::string(6, 0)) +
                            raw_item(0x54, uid + std::string("\1\1", 2));

  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request));

  EXPECT_EQ(scu->user_items().count(0x53), 0U);  // one operation at a time
  EXPECT_EQ(scu->user_items().count(0x54), 0U);  // the default roles
  ASSERT_EQ(scu->user_items().count(0x56), 1U);
  EXPECT_EQ(scu->user_items().find(0x56)->second, uid + std::string("\2\0\1\0\0\0", 6));
  EXPECT_EQ(scu->user_items().find(0x52)->second, dicom::implementation_class_uid());
  EXPECT_EQ(scu->peer_max_pdu_bytes(), 131072U);
}

TEST(Receiver, AcceptsEachContextForItself) {
  ReceiverUnderTest under_test;
  RawAssociate request;
  const std::string explicit_little(kExplicitLittle), implicit(kImplicitLittle);
  request.contexts = {{1, kCt, {implicit, explicit_little}},
                      {3, kCt, {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70"}},
                      {5, "1.2.840.10008.5.1.4.1.2.2.1", {implicit}},
                      {7, kCt, {"1.2.840.10008.1.2.4.94"}},
                      {9, "1.2.276.0.7230010.3.1.99", {"1.2.3.4.5"}}};

  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request));

  EXPECT_THAT(scu->results(), ::testing::ElementsAre(::testing::Pair(1, 0), ::testing::Pair(3, 0),
                                                     ::testing::Pair(5, 3), ::testing::Pair(7, 4),
                                                     ::testing::Pair(9, 0)));
  EXPECT_EQ(scu->accepted().at(1), explicit_little);
  EXPECT_EQ(scu->accepted().at(3), "1.2.840.10008.1.2.4.70");
  EXPECT_EQ(scu->accepted().at(9), "1.2.3.4.5");
}

TEST(Receiver, AcceptsAnAssociationWithNothingUsable) {
  ReceiverUnderTest under_test;
  RawAssociate request;
  request.contexts = {{1, "1.2.840.10008.5.1.4.31", {std::string(kImplicitLittle)}}};

  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request));

  EXPECT_EQ(scu->results().at(1), 3);
  EXPECT_THAT(scu->release(), IsOk());
}

TEST(Receiver, LeavesNothingBehindWhenTheSenderGoes) {
  ReceiverUnderTest under_test;
  {
    ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(kCt, kExplicitLittle)));
    ASSERT_THAT(scu->send_command(3, c_store_command(1, kCt, "1.2.3")), IsOk());
    ASSERT_THAT(scu->send_data(3, Ct().dataset, false), IsOk());
    while (under_test.spool.under_way() == 0) std::this_thread::yield();
  }

  EXPECT_TRUE(under_test.becomes_idle());
  EXPECT_EQ(under_test.spool.under_way(), 0U);
  EXPECT_TRUE(under_test.spool.instances().empty());
  EXPECT_TRUE(under_test.env.log.contains("end=closed"));
}

TEST(Receiver, WritesNoPatientDataIntoItsLog) {
  ReceiverUnderTest under_test;
  Ct ct;
  store_ct(under_test, ct);
  store_ct(under_test, ct, "2.25.9.9.9");

  for (const std::string& line : under_test.env.log.lines()) {
    EXPECT_THAT(line, Not(HasSubstr("Nobody")));
    EXPECT_THAT(line, Not(HasSubstr("SYNTHETIC")));
  }
  EXPECT_TRUE(under_test.becomes_idle());
  EXPECT_TRUE(under_test.env.log.contains("association.accepted"));
  EXPECT_TRUE(under_test.env.log.contains("association.closed"));
  EXPECT_TRUE(under_test.env.log.contains("status=0xa900"));
}

TEST(Receiver, SaysWhenItsPortIsTaken) {
  ReceiverUnderTest under_test;
  DimseOptions options;
  options.port = under_test.port();
  TestEnv other;
  IntakeSpool spool(other);
  Admission admission(other, AdmissionOptions{other.folder()});
  Senders senders(open_policy());

  EXPECT_THAT(open_dimse_receiver(other, spool, admission, senders, options),
              FailsWith("dimse.bind", Fate::permanent));
}

}  // namespace
}  // namespace isthmus::test
