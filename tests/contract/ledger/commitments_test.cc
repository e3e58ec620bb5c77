// What storage commitment may rely on, on the real ledger and on the one in memory.
#include "ledger/commitments.h"

#include "contract/ledger/ledger_fixture.h"
#include "support/memory_ledger.h"

namespace isthmus::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr const char* kCt = "1.2.840.10008.5.1.4.1.1.2";
constexpr const char* kMr = "1.2.840.10008.5.1.4.1.1.4";
constexpr std::int64_t kMany = 1000;

std::string uid_of(int n) {
  return "1.2.826.9." + std::to_string(n);
}

class CommitmentsContract : public LedgerTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override { open_with({kCloud}); }

  bool on_disk() const { return std::string_view(GetParam()) == "sqlite"; }
  void open_with(std::vector<std::string> destinations) {
    close();
    if (on_disk()) {
      open(std::move(destinations));
    } else {
      ledger_ = std::make_unique<MemoryLedger>(env_, std::move(destinations));
    }
  }
  Commitments& commitments() { return ledger_->commitments(); }

  // References to instances by number, of class CT.
  static SopReferences references(std::initializer_list<int> numbers, const char* sop_class = kCt) {
    SopReferences list;
    for (const int n : numbers) {
      EXPECT_TRUE(list.add(*Uid::parse(sop_class), *Uid::parse(uid_of(n))));
    }
    list.sort_and_unite();
    return list;
  }
  CommitmentRequest request(SopReferences list, const std::string& transaction = "1.2.3.4") {
    CommitmentRequest request;
    request.transaction_uid = *Uid::parse(transaction);
    request.calling_ae_title = "MODALITY";
    request.called_ae_title = "ISTHMUS";
    request.peer_address = "192.0.2.7";
    request.references = std::move(list);
    request.unknown_until = in(3600);
    request.answer_until = in(86'400);
    return request;
  }
  CommitmentId ask(SopReferences list, const std::string& transaction = "1.2.3.4") {
    const auto recorded = commitments().request(request(std::move(list), transaction), kMany);
    EXPECT_THAT(recorded, IsOk());
    return recorded->id;
  }
  Commitment conclude(const CommitmentId& id, const CommitmentLevels& levels = {}) {
    const auto concluded = commitments().conclude(id, levels, in(1000));
    EXPECT_THAT(concluded, IsOk());
    return *concluded;
  }
  Commitment load(const CommitmentId& id) { return **commitments().commitment(id); }
  // "number:reason", in order of UIDs.
  std::vector<std::string> results(const CommitmentId& id) {
    std::vector<std::string> all;
    EXPECT_THAT(commitments().each_result(id,
                                          [&](const CommitmentResult& result) {
                                            const auto& uid = result.sop_instance_uid;
                                            char text[32];
                                            std::snprintf(text, sizeof(text), ":%04x",
                                                          static_cast<unsigned>(result.reason));
                                            all.push_back(uid.substr(uid.rfind('.') + 1) + text);
                                          }),
                IsOk());
    std::ranges::sort(all);
    return all;
  }
  // An instance of this number whose delivery is in this state.
  void instance_in(int n, DeliveryState state) {
    const DeliveryId id = delivery(receive(n)).id;
    if (state == DeliveryState::waiting) return;
    if (state == DeliveryState::quarantined) {
      ASSERT_THAT(ledger_->quarantine(id, DeliveryEvent::input_unusable, some_error("unusable")),
                  IsOk());
      return;
    }
    const BatchId batch = ledger_->join(kCloud, std::nullopt, {id}).value();
    ASSERT_THAT(ledger_->advance(batch, BatchEvent::seal, nullptr), IsOk());
    ASSERT_THAT(ledger_->mark_staged(id, "etag"), IsOk());
    ASSERT_THAT(ledger_->conclude_staging(kCloud), IsOk());
    if (state == DeliveryState::staged) return;
    const auto intent = ledger_->intend(batch, "prefix").value();
    ASSERT_THAT(ledger_->job_started(intent.id, {"remote", ""}, now()), IsOk());
    ASSERT_THAT(ledger_->job_ended(intent.id, ImportJobEvent::ended_well, "", "", now()), IsOk());
    const auto kind =
        state == DeliveryState::imported ? OutcomeKind::imported : OutcomeKind::rejected;
    ASSERT_THAT(ledger_->record_outcomes(batch, {outcome(id, kind)}), IsOk());
  }
  CommitmentId answered(const std::string& transaction = "1.2.3.4") {
    const CommitmentId id = ask(references({1}), transaction);
    advance_clock(3600);
    EXPECT_EQ(conclude(id).state, CommitmentState::answered);
    return id;
  }
  CommitmentId in_state(CommitmentState state, const std::string& transaction) {
    if (state == CommitmentState::pending) return ask(references({1}), transaction);
    const CommitmentId id = answered(transaction);
    const Error why = some_error("report.refused");
    if (state == CommitmentState::delivered) {
      EXPECT_THAT(commitments().advance(id, CommitmentEvent::acknowledged, nullptr), IsOk());
    } else if (state == CommitmentState::refused) {
      EXPECT_THAT(commitments().advance(id, CommitmentEvent::report_refused, &why), IsOk());
    } else if (state == CommitmentState::expired) {
      EXPECT_THAT(commitments().advance(id, CommitmentEvent::deliveries_expired, &why), IsOk());
    }
    return id;
  }
  void expect_sound_file() {
    if (on_disk()) expect_sound();
  }
};

INSTANTIATE_TEST_SUITE_P(On, CommitmentsContract, testing::Values("sqlite", "memory"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST_P(CommitmentsContract, ARequestIsKeptAsItWasAsked) {
  const CommitmentId id = ask(references({2, 1, 2}));

  const Commitment row = load(id);
  EXPECT_EQ(row.transaction_uid.text(), "1.2.3.4");
  EXPECT_EQ(row.calling_ae_title, "MODALITY");
  EXPECT_EQ(row.called_ae_title, "ISTHMUS");
  EXPECT_EQ(row.peer_address, "192.0.2.7");
  EXPECT_EQ(row.references, 2);
  EXPECT_EQ(row.state, CommitmentState::pending);
  EXPECT_EQ(row.unknown_until, in(3600));
  EXPECT_EQ(row.answer_until, in(86'400));
  EXPECT_EQ(row.next_attempt_at, now());
  EXPECT_THAT(results(id), ElementsAre("1:0000", "2:0000"));
  EXPECT_THAT(*commitments().due_pending(now(), 10), SizeIs(1));
  expect_sound_file();
}

TEST_P(CommitmentsContract, EachStandingOfAnInstanceHasItsResult) {
  instance_in(1, DeliveryState::imported);
  instance_in(2, DeliveryState::rejected);
  instance_in(3, DeliveryState::quarantined);
  instance_in(5, DeliveryState::imported);
  SopReferences list = references({1, 2, 3, 4});
  ASSERT_TRUE(list.add(*Uid::parse(kMr), *Uid::parse(uid_of(5))));
  list.sort_and_unite();
  const CommitmentId id = ask(std::move(list));

  const auto progress = commitments().progress(id, {}).value();
  EXPECT_EQ(progress.committed, 1);
  EXPECT_EQ(progress.failed, 3);
  EXPECT_EQ(progress.unknown, 1);
  EXPECT_EQ(progress.on_way, 0);
  EXPECT_EQ(conclude(id).state, CommitmentState::pending) << "one may still come";
  advance_clock(3600);
  const Commitment concluded = conclude(id);

  EXPECT_EQ(concluded.state, CommitmentState::answered);
  EXPECT_EQ(concluded.failed, 4);
  EXPECT_EQ(concluded.report_until, in(1000));
  EXPECT_EQ(concluded.next_attempt_at, now());
  EXPECT_THAT(results(id), ElementsAre("1:0000", "2:0110", "3:0110", "4:0112", "5:0119"));
  expect_sound_file();
}

TEST_P(CommitmentsContract, TheServicesOwnWordsAreKeptWithARejection) {
  instance_in(1, DeliveryState::rejected);
  const CommitmentId id = ask(references({1}));
  conclude(id);

  std::string detail;
  ASSERT_THAT(commitments().each_result(
                  id, [&](const CommitmentResult& result) { detail = result.detail; }),
              IsOk());

  EXPECT_EQ(detail, "cloud: ValidationException: The service's words.");
}

TEST_P(CommitmentsContract, WhatWasDiscardedIsNeverCommittedAndItsReasonIsTold) {
  instance_in(1, DeliveryState::quarantined);
  ASSERT_EQ(ledger_->order_discard("1.2.826.9.1", "a phantom").value(), 1);
  for (const auto level : {CommitmentLevel::spooled, CommitmentLevel::imported}) {
    CommitmentRequest one =
        request(references({1}), level == CommitmentLevel::spooled ? "1.8" : "1.9");
    one.level = level;
    const CommitmentId id = commitments().request(one, kMany)->id;
    EXPECT_EQ(conclude(id).state, CommitmentState::answered);
    EXPECT_THAT(results(id), ElementsAre("1:0110"));
    std::string detail;
    ASSERT_THAT(commitments().each_result(
                    id, [&](const CommitmentResult& result) { detail = result.detail; }),
                IsOk());
    EXPECT_EQ(detail, "cloud: discarded: a phantom");
  }
}

TEST_P(CommitmentsContract, WhatIsOnItsWayIsWaitedForUntilTheDeadlineThenFailsForNow) {
  instance_in(1, DeliveryState::waiting);
  instance_in(2, DeliveryState::staged);
  instance_in(3, DeliveryState::imported);
  const CommitmentId id = ask(references({1, 2, 3}));
  EXPECT_EQ(commitments().progress(id, {})->on_way, 2);
  advance_clock(86'399);
  EXPECT_EQ(conclude(id).state, CommitmentState::pending);

  advance_clock(1);
  EXPECT_EQ(conclude(id).state, CommitmentState::answered);

  EXPECT_THAT(results(id), ElementsAre("1:0110", "2:0110", "3:0000"));
}

TEST_P(CommitmentsContract, AnInstanceThatComesAfterTheRequestCounts) {
  const CommitmentId id = ask(references({1}));
  EXPECT_EQ(commitments().progress(id, {})->unknown, 1);

  instance_in(1, DeliveryState::imported);

  EXPECT_EQ(conclude(id).state, CommitmentState::answered);
  EXPECT_THAT(results(id), ElementsAre("1:0000"));
}

TEST_P(CommitmentsContract, TheLevelDecidesWhatIsEnough) {
  instance_in(1, DeliveryState::waiting);
  instance_in(2, DeliveryState::staged);
  instance_in(3, DeliveryState::imported);
  instance_in(4, DeliveryState::rejected);
  const auto committed_at = [&](std::optional<CommitmentLevel> level,
                                const CommitmentLevels& levels) {
    static int transaction = 0;
    CommitmentRequest one =
        request(references({1, 2, 3, 4}), "1.9." + std::to_string(++transaction));
    one.level = level;
    const CommitmentId id = commitments().request(one, kMany)->id;
    return commitments().progress(id, levels)->committed;
  };

  EXPECT_EQ(committed_at(std::nullopt, {}), 1);
  EXPECT_EQ(committed_at(CommitmentLevel::imported, {{kCloud, CommitmentLevel::spooled}}), 1);
  EXPECT_EQ(committed_at(CommitmentLevel::staged, {}), 2);
  EXPECT_EQ(committed_at(CommitmentLevel::spooled, {}), 4);
  EXPECT_EQ(committed_at(std::nullopt, {{kCloud, CommitmentLevel::staged}}), 2);
  EXPECT_EQ(committed_at(std::nullopt, {{kCloud, CommitmentLevel::spooled}}), 4);
  EXPECT_EQ(committed_at(std::nullopt, {{"other", CommitmentLevel::spooled}}), 1);
}

TEST_P(CommitmentsContract, EveryDestinationHasToHaveIt) {
  open_with({kCloud, "second"});
  receive(1);
  const CommitmentId id = ask(references({1}));

  EXPECT_EQ(commitments().progress(id, {{kCloud, CommitmentLevel::spooled}})->on_way, 1);
  EXPECT_EQ(
      commitments()
          .progress(id, {{kCloud, CommitmentLevel::spooled}, {"second", CommitmentLevel::spooled}})
          ->committed,
      1);
}

TEST_P(CommitmentsContract, WhatGoesNowhereIsNeverImported) {
  open_with({});
  ASSERT_THAT(ledger_->record(arrival(1), nullptr), IsOk());
  const CommitmentId id = ask(references({1}));
  CommitmentRequest lenient = request(references({1}), "1.2.3.5");
  lenient.level = CommitmentLevel::spooled;
  const CommitmentId spooled = commitments().request(lenient, kMany)->id;

  EXPECT_EQ(conclude(id).failed, 1);
  EXPECT_EQ(conclude(spooled).failed, 0);

  EXPECT_THAT(results(id), ElementsAre("1:0213"));
}

TEST_P(CommitmentsContract, AllInstancesWithTheUidHaveToBeSafe) {
  instance_in(1, DeliveryState::imported);
  ASSERT_THAT(ledger_->record(arrival(1, 1, "other bytes"), nullptr), IsOk());
  const CommitmentId id = ask(references({1}));

  EXPECT_EQ(commitments().progress(id, {})->on_way, 1);
}

TEST_P(CommitmentsContract, TheSameListUnderItsTransactionIsOneRequestWhileItIsActive) {
  const CommitmentId first = ask(references({1, 2}));

  const auto again = commitments().request(request(references({2, 1})), kMany);

  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->receipt, CommitmentReceipt::repeated);
  EXPECT_EQ(again->id, first);
  EXPECT_THAT(*commitments().list("", 10), SizeIs(1));
  const CommitmentId other = answered("1.2.3.5");
  EXPECT_EQ(commitments().request(request(references({1}), "1.2.3.5"), kMany)->receipt,
            CommitmentReceipt::repeated);
  EXPECT_EQ(load(other).state, CommitmentState::answered);
}

TEST_P(CommitmentsContract, AskedAgainAfterItsReportItIsEvaluatedAnew) {
  int n = 0;
  for (const CommitmentState state :
       {CommitmentState::delivered, CommitmentState::refused, CommitmentState::expired}) {
    const std::string transaction = "1.7." + std::to_string(++n);
    const CommitmentId id = in_state(state, transaction);
    EXPECT_THAT(results(id), ElementsAre("1:0112"));

    const auto again = commitments().request(request(references({1}), transaction), kMany);

    ASSERT_THAT(again, IsOk());
    EXPECT_EQ(again->receipt, CommitmentReceipt::requested_again);
    EXPECT_EQ(again->id, id);
    const Commitment row = load(id);
    EXPECT_EQ(row.state, CommitmentState::pending);
    EXPECT_EQ(row.attempts, 0);
    EXPECT_EQ(row.failed, 0);
    EXPECT_EQ(row.error_code, "");
    EXPECT_EQ(row.unknown_until, in(3600));
    EXPECT_THAT(results(id), ElementsAre("1:0000"));
  }
  expect_sound_file();
}

TEST_P(CommitmentsContract, AnotherListUnderAnActiveTransactionFailsAsDuplicate) {
  instance_in(1, DeliveryState::imported);
  instance_in(2, DeliveryState::imported);
  const CommitmentId first = ask(references({1}));

  const auto second = commitments().request(request(references({1, 2})), kMany);

  ASSERT_THAT(second, IsOk());
  EXPECT_EQ(second->receipt, CommitmentReceipt::duplicate);
  EXPECT_EQ(conclude(second->id).failed, 2);
  EXPECT_THAT(results(second->id), ElementsAre("1:0131", "2:0131"));
  EXPECT_EQ(conclude(first).failed, 0);
  EXPECT_THAT(results(first), ElementsAre("1:0000"));
  expect_sound_file();
}

TEST_P(CommitmentsContract, ATransactionBelongsToWhoAsked) {
  ask(references({1}));
  CommitmentRequest theirs = request(references({2}));
  theirs.calling_ae_title = "ANOTHER";

  EXPECT_EQ(commitments().request(theirs, kMany)->receipt, CommitmentReceipt::fresh);
}

TEST_P(CommitmentsContract, OnceReportedATransactionUidIsFreeAgain) {
  in_state(CommitmentState::delivered, "1.2.3.4");

  const auto other = commitments().request(request(references({7})), kMany);

  EXPECT_EQ(other->receipt, CommitmentReceipt::fresh);
}

TEST_P(CommitmentsContract, NoMoreRequestsAreTakenThanMayBeActive) {
  ask(references({1}), "1.1");
  ask(references({1}), "1.2");

  EXPECT_THAT(commitments().request(request(references({1}), "1.3"), 2),
              FailsWith("ledger.busy", Fate::transient));
  EXPECT_THAT(commitments().request(request(references({1}), "1.2"), 2), IsOk())
      << "one that is known costs nothing";

  advance_clock(3600);
  const CommitmentId id = commitments().list("1.1", 1)->front().id;
  conclude(id);
  ASSERT_THAT(commitments().advance(id, CommitmentEvent::acknowledged, nullptr), IsOk());
  EXPECT_THAT(commitments().request(request(references({1}), "1.3"), 2), IsOk());
}

TEST_P(CommitmentsContract, PendingOnesAreLookedAtAgainWhenTheyAreDue) {
  const CommitmentId one = ask(references({1}), "1.1");
  const CommitmentId two = ask(references({1}), "1.2");

  ASSERT_THAT(commitments().look_again({{one, in(10)}, {two, in(10)}}), IsOk());

  EXPECT_THAT(*commitments().due_pending(in(9), 10), IsEmpty());
  EXPECT_EQ(*commitments().next_pending_at(), in(10));
  EXPECT_THAT(*commitments().due_pending(in(10), 10), SizeIs(2));
  EXPECT_THAT(*commitments().due_pending(in(10), 1), SizeIs(1));
  EXPECT_EQ(*commitments().next_report_at(), std::nullopt);
}

TEST_P(CommitmentsContract, WhatImportsAnInstanceHasItsRequestsLookedAtAtOnce) {
  const CommitmentId waits = ask(references({1, 2}), "1.1");
  const CommitmentId for_others = ask(references({3}), "1.2");
  ASSERT_THAT(commitments().look_again({{waits, in(60)}, {for_others, in(60)}}), IsOk());

  instance_in(2, DeliveryState::staged);

  EXPECT_EQ(load(waits).next_attempt_at, now());
  ASSERT_THAT(commitments().look_again({{waits, in(60)}}), IsOk());

  instance_in(1, DeliveryState::imported);

  EXPECT_EQ(load(waits).next_attempt_at, now());
  EXPECT_EQ(load(for_others).next_attempt_at, in(60));
}

TEST_P(CommitmentsContract, WhoLookedBeforeDoesNotPutOffWhatIsDueSince) {
  const CommitmentId id = ask(references({1}));
  const auto seen = load(id).next_attempt_at;
  advance_clock(1);
  instance_in(1, DeliveryState::imported);

  ASSERT_THAT(commitments().look_again({{id, in(60), seen}}), IsOk());

  EXPECT_EQ(load(id).next_attempt_at, now());
  ASSERT_THAT(commitments().look_again({{id, in(60), now()}}), IsOk());
  EXPECT_EQ(load(id).next_attempt_at, in(60));
}

TEST_P(CommitmentsContract, ReportsAreDueByPeerUntilTheyAreAcknowledged) {
  const CommitmentId one = answered("1.1");
  const CommitmentId two = answered("1.2");
  const ReportPeer peer{"MODALITY", "ISTHMUS"};
  EXPECT_THAT(*commitments().due_peers(now(), 10), ElementsAre(peer));
  EXPECT_THAT(*commitments().due_reports(peer, now(), 10), SizeIs(2));
  EXPECT_THAT(*commitments().due_reports({"MODALITY", "OTHER"}, now(), 10), IsEmpty());

  ASSERT_THAT(commitments().postpone_reports({{one, in(60)}}, some_error("report.unreachable")),
              IsOk());
  ASSERT_THAT(commitments().advance(two, CommitmentEvent::acknowledged, nullptr), IsOk());

  EXPECT_THAT(*commitments().due_peers(in(59), 10), IsEmpty());
  EXPECT_EQ(*commitments().next_report_at(), in(60));
  EXPECT_THAT(*commitments().due_reports(peer, std::nullopt, 10), SizeIs(1));
  EXPECT_THAT(*commitments().due_reports(peer, in(60), 10), SizeIs(1));
  const Commitment row = load(one);
  EXPECT_EQ(row.attempts, 1);
  EXPECT_EQ(row.error_code, "report.unreachable");
  ASSERT_THAT(commitments().advance(one, CommitmentEvent::acknowledged, nullptr), IsOk());
  EXPECT_EQ(load(one).error_code, "");
  EXPECT_THAT(*commitments().due_peers(in(10'000), 10), IsEmpty());
}

TEST_P(CommitmentsContract, EveryEventInEveryState) {
  int n = 0;
  for (const CommitmentState state : all_commitment_states()) {
    for (const CommitmentEvent event : all_commitment_events()) {
      const CommitmentId id = in_state(state, "1.6." + std::to_string(++n));
      const bool ours = event == CommitmentEvent::acknowledged ||
                        event == CommitmentEvent::report_refused ||
                        event == CommitmentEvent::deliveries_expired;

      const Result<void> advanced = commitments().advance(id, event, nullptr);

      const auto to = next(state, event);
      EXPECT_EQ(advanced.ok(), ours && to.has_value()) << to_string(state) << to_string(event);
      if (!advanced.ok()) {
        EXPECT_THAT(advanced, FailsWith("ledger.no_transition"));
      }
      const Commitment row = load(id);
      EXPECT_EQ(row.state, advanced.ok() ? *to : state);
      EXPECT_EQ(row.next_attempt_at.has_value(),
                !is_final(row.state) && !asks_for_person(row.state))
          << "I2";
    }
  }
  expect_sound_file();
}

TEST_P(CommitmentsContract, WhatWasConcludedIsNotConcludedAgain) {
  const CommitmentId id = answered();
  instance_in(1, DeliveryState::imported);

  EXPECT_EQ(conclude(id).state, CommitmentState::answered);

  EXPECT_THAT(results(id), ElementsAre("1:0112")) << "a result that may have been told stays";
  const CommitmentId pending = ask(references({3}), "1.5");
  EXPECT_THAT(commitments().postpone_reports({{pending, in(9)}}, some_error()), IsOk());
  EXPECT_EQ(load(pending).next_attempt_at, now()) << "nothing was to be reported of it";
}

TEST_P(CommitmentsContract, AnOperatorMayHaveItReportedAgain) {
  const CommitmentId id = in_state(CommitmentState::refused, "1.1");
  EXPECT_THAT(*ledger_->asks(10), SizeIs(on_disk() ? 1 : 0));
  instance_in(1, DeliveryState::imported);

  EXPECT_EQ(*commitments().order_resend("1.1"), 1);

  EXPECT_EQ(load(id).state, CommitmentState::pending);
  EXPECT_EQ(conclude(id).state, CommitmentState::answered)
      << "deadlines are over: nothing is awaited";
  EXPECT_THAT(results(id), ElementsAre("1:0000"));
  ASSERT_THAT(commitments().postpone_reports({{id, in(3600)}}, some_error()), IsOk());
  EXPECT_EQ(*commitments().order_resend("1.1"), 1);
  EXPECT_EQ(load(id).next_attempt_at, now());
  EXPECT_THAT(commitments().order_resend("1.9"), FailsWith("ledger.not_found"));
}

TEST_P(CommitmentsContract, TheStoryIsTold) {
  const CommitmentId id = in_state(CommitmentState::delivered, "1.1");
  ask(references({1}), "1.2");

  ASSERT_OK_AND_ASSIGN(const auto story, commitments().commitment_history("1.1", 10));

  std::vector<std::string> events;
  for (const HistoryEntry& entry : story) {
    EXPECT_EQ(entry.subject, "commitment");
    EXPECT_EQ(entry.subject_id, id.text());
    events.push_back(entry.event);
  }
  EXPECT_THAT(events, ElementsAre("requested", "evaluated", "acknowledged"));
  EXPECT_THAT(*commitments().commitment_history(id.text(), 10), SizeIs(3));
  EXPECT_THAT(*commitments().list("", 10), SizeIs(2));
  EXPECT_THAT(*commitments().list("1.1", 10), SizeIs(1));
}

TEST_P(CommitmentsContract, ListsOfDeliveredRequestsMayBeForgotten) {
  const CommitmentId refused = in_state(CommitmentState::refused, "1.2");
  const CommitmentId done = in_state(CommitmentState::delivered, "1.1");

  EXPECT_EQ(*commitments().forget_references(now(), 10), 0) << "not before";
  EXPECT_EQ(*commitments().forget_references(in(1), 10), 1);

  EXPECT_THAT(results(done), IsEmpty());
  EXPECT_THAT(results(refused), SizeIs(1));
  EXPECT_EQ(*commitments().order_resend("1.1"), 0) << "only its requester still knows the list";
  expect_sound_file();
  EXPECT_EQ(commitments().request(request(references({1}), "1.1"), kMany)->receipt,
            CommitmentReceipt::requested_again);
  EXPECT_THAT(results(done), SizeIs(1));
  expect_sound_file();
}

class CommitmentsOnDisk : public LedgerTest {};

TEST_F(CommitmentsOnDisk, TwentyThousandReferencesAreOneEvaluation) {
  SopReferences list;
  for (int n = 0; n < 20'000; ++n) {
    ASSERT_TRUE(list.add(*Uid::parse(kCt), *Uid::parse(uid_of(n))));
  }
  list.sort_and_unite();
  receive(5);
  CommitmentRequest request;
  request.transaction_uid = *Uid::parse("1.2.3");
  request.calling_ae_title = "CT";
  request.references = std::move(list);
  request.unknown_until = now();
  request.answer_until = now();

  ASSERT_OK_AND_ASSIGN(const auto recorded, ledger_->commitments().request(request, 10));
  ASSERT_OK_AND_ASSIGN(const auto concluded,
                       ledger_->commitments().conclude(recorded.id, {}, in(10)));

  EXPECT_EQ(concluded.failed, 20'000);
  std::int64_t unknown = 0;
  std::int64_t late = 0;
  ASSERT_THAT(ledger_->commitments().each_result(
                  recorded.id,
                  [&](const CommitmentResult& result) {
                    unknown += result.reason == FailureReason::no_such_instance ? 1 : 0;
                    late += result.reason == FailureReason::processing_failure ? 1 : 0;
                  }),
              IsOk());
  EXPECT_EQ(unknown, 19'999);
  EXPECT_EQ(late, 1);
}

TEST_F(CommitmentsOnDisk, RequestsSurviveARestart) {
  CommitmentRequest request;
  request.transaction_uid = *Uid::parse("1.2.3");
  request.calling_ae_title = "CT";
  ASSERT_TRUE(request.references.add(*Uid::parse(kCt), *Uid::parse("1.2.9")));
  request.unknown_until = in(5);
  request.answer_until = in(5);
  ASSERT_THAT(ledger_->commitments().request(request, 10), IsOk());

  close();
  open();

  EXPECT_THAT(*ledger_->commitments().due_pending(now(), 10), SizeIs(1));
  const auto counts = ledger_->counts().value();
  ASSERT_THAT(counts, SizeIs(1));
  EXPECT_EQ(counts[0].subject, "commitment");
  EXPECT_EQ(counts[0].state, "pending");
  EXPECT_EQ(counts[0].count, 1);
  EXPECT_EQ(counts[0].oldest_since, now());
}

}  // namespace
}  // namespace isthmus::test
