// Updates of metadata in the ledger: orders, what is due, progress in one transaction, reverts, and
// whose a study is.
#include <gmock/gmock.h>

#include "contract/ledger/ledger_fixture.h"
#include "ledger/updates.h"

namespace isthmus::test {
namespace {

using testing::ElementsAre;

AttributeChange set_of(std::string key, std::string value) {
  AttributeChange change;
  change.level = MetadataLevel::patient;
  change.key = std::move(key);
  change.value = std::move(value);
  return change;
}

class LedgerUpdates : public LedgerTest {
 protected:
  MetadataUpdates& updates() { return *ledger_->metadata_updates(); }
  Uid study_of(int n) { return arrival(1, n).identity.study_instance_uid; }

  // One imported instance of a study of its own; its number.
  int import_study() {
    const Filled filled = batch_in(BatchState::settled);
    std::vector<OutcomeRecord> all = outcomes(filled, OutcomeKind::imported);
    all.front().outcome.image_set_id = "set-" + std::to_string(++sets_);
    all.front().outcome.primary = true;
    EXPECT_THAT(ledger_->record_outcomes(filled.batch, all), IsOk());
    imported_ = (*ledger_->instance(filled.instances.front()))->study_instance_uid;
    return sets_;
  }
  MetadataUpdateRequest request(const Uid& study, std::string value = "\"Synthetic^Other\"") {
    MetadataUpdateRequest made;
    made.destination = kCloud;
    made.study_instance_uid = study;
    made.change.attributes = {set_of("PatientName", std::move(value))};
    return made;
  }
  MetadataUpdateId ordered(const MetadataUpdateRequest& made) {
    auto result = updates().order({"change", "token:desk", {made}});
    EXPECT_THAT(result, IsOk());
    EXPECT_FALSE(result->order);
    return result->updates.at(0);
  }
  std::vector<MetadataUpdateId> due() {
    std::vector<MetadataUpdateId> ids;
    const auto rows = updates().due(kCloud, now(), 100).value();
    for (const MetadataUpdateRow& row : rows) ids.push_back(row.id);
    return ids;
  }
  static MetadataStep planned(std::int64_t place = 0) {
    MetadataStep step;
    step.place = step.carried_by = place;
    step.image_set_id = "set";
    step.primary = true;
    step.seen_version = 3;
    step.values = {{"\"Synthetic^Nobody\"", "\"Synthetic^Other\"", std::nullopt}};
    return step;
  }
  MetadataUpdateState state_of(const MetadataUpdateId& id) {
    return (*updates().update(id))->state;
  }
  void apply(const MetadataUpdateId& id) {
    ASSERT_THAT(updates().plan(id, {planned()}, MetadataUpdateEvent::planned, nullptr), IsOk());
    ASSERT_THAT(updates().record(id, {{{0, MetadataStepEvent::intended}}, {}, {}, {}}), IsOk());
    ASSERT_THAT(
        updates().record(
            id,
            {{{0, MetadataStepEvent::confirmed, {}, 4}}, MetadataUpdateEvent::all_applied, {}, {}}),
        IsOk());
  }

  int sets_ = 0;
  Uid imported_;
};

TEST_F(LedgerUpdates, AnOrderIsKeptWithWhoAndWhenAndWhat) {
  receive(1);
  MetadataUpdateRequest made = request(study_of(1));
  made.change.force = true;
  made.change.attributes.push_back(made.change.attributes.front());
  made.change.attributes.back().action = AttributeAction::remove;
  made.change.attributes.back().value.reset();
  made.change.attributes.back().expected = "\"before\"";

  const MetadataUpdateId id = ordered(made);
  close();
  open();

  ASSERT_OK_AND_ASSIGN(const MetadataUpdateDetails details, updates().details(id));
  EXPECT_EQ(details.row.requested_by, "token:desk");
  EXPECT_EQ(details.row.requested_at, now());
  EXPECT_EQ(details.row.state, MetadataUpdateState::pending);
  EXPECT_EQ(details.change.attributes, made.change.attributes);
  EXPECT_TRUE(details.change.force);
  EXPECT_EQ(updates().update_history(id, 10)->size(), 1U);
  expect_sound();
}

TEST_F(LedgerUpdates, AStudyThatNeverCameIsNotUpdated) {
  receive(1);

  EXPECT_THAT(updates().order({"change", "x", {request(study_of(2))}}),
              FailsWith("ledger.not_found"));
  MetadataUpdateRequest elsewhere = request(study_of(1));
  elsewhere.destination = "other";
  EXPECT_THAT(updates().order({"change", "x", {elsewhere}}), FailsWith("ledger.not_found"));
  EXPECT_TRUE(updates().list({}, 10)->empty());
}

TEST_F(LedgerUpdates, IsDueWhenItsStudyIsImportedAndNothingOfItIsOnItsWay) {
  receive(1, 7);
  ordered(request(study_of(7)));
  EXPECT_TRUE(due().empty());

  import_study();
  const MetadataUpdateId id = ordered(request(imported_));

  EXPECT_THAT(due(), ElementsAre(id));
  receive(2);  // one more of that study is on its way
  EXPECT_TRUE(due().empty());
}

TEST_F(LedgerUpdates, OfOneStudyOnlyTheFirstIsDue) {
  import_study();
  const MetadataUpdateId first = ordered(request(imported_));
  const MetadataUpdateId second = ordered(request(imported_));
  EXPECT_THAT(due(), ElementsAre(first));

  apply(first);

  EXPECT_THAT(due(), ElementsAre(second));
}

TEST_F(LedgerUpdates, ProgressIsOneTransaction) {
  import_study();
  const MetadataUpdateId id = ordered(request(imported_));
  ASSERT_THAT(updates().plan(id, {planned()}, MetadataUpdateEvent::planned, nullptr), IsOk());

  // The second move is not in the table: nothing of it happens.
  EXPECT_THAT(
      updates().record(
          id, {{{0, MetadataStepEvent::intended}}, MetadataUpdateEvent::retry_ordered, {}, {}}),
      FailsWith("ledger.no_transition"));

  EXPECT_EQ(updates().details(id)->steps.at(0).state, MetadataStepState::planned);
  ASSERT_THAT(updates().record(id, {{{0, MetadataStepEvent::intended}}, {}, {}, in(5)}), IsOk());
  EXPECT_EQ(updates().details(id)->steps.at(0).state, MetadataStepState::sent);
  EXPECT_TRUE(due().empty());
  EXPECT_EQ(updates().next_at(kCloud, now()).value(), in(5));
  advance_clock(5);
  EXPECT_THAT(due(), ElementsAre(id));
}

TEST_F(LedgerUpdates, AConflictKeepsBothValuesAndIsRetriedFromTheBeginning) {
  import_study();
  const MetadataUpdateId id = ordered(request(imported_));
  MetadataStep done = planned(0);
  ASSERT_THAT(updates().plan(id, {done, planned(1)}, MetadataUpdateEvent::planned, nullptr),
              IsOk());
  ASSERT_THAT(updates().record(id, {{{0, MetadataStepEvent::confirmed, {}, 4}}, {}, {}, {}}),
              IsOk());
  const Error why = permanent_error("metadata.conflict", "Somebody else was first.");
  MetadataStepChange conflict{1, MetadataStepEvent::values_differ};
  conflict.values = {{"\"a\"", "\"b\"", "\"c\""}};

  ASSERT_THAT(updates().record(id, {{conflict}, MetadataUpdateEvent::values_differ, why, {}}),
              IsOk());

  EXPECT_EQ(updates().details(id)->steps.at(1).values, *conflict.values);
  const auto asks = ledger_->asks(10).value();
  ASSERT_EQ(asks.size(), 1U);
  EXPECT_EQ(asks.front().subject, "metadata_update");
  EXPECT_EQ(asks.front().reason_code, "metadata.conflict");
  EXPECT_THAT(updates().record(id, {}), FailsWith("ledger.no_transition"));
  ASSERT_THAT(updates().order_retry(id), IsOk());
  EXPECT_THAT(due(), ElementsAre(id));
  ASSERT_THAT(updates().plan(id, {planned(1)}, MetadataUpdateEvent::planned, nullptr), IsOk());
  EXPECT_EQ(updates().details(id)->steps.at(0).state, MetadataStepState::applied);
  EXPECT_EQ(updates().details(id)->steps.at(1).state, MetadataStepState::planned);
  expect_sound();
}

TEST_F(LedgerUpdates, ARevertIsAnUpdateOfItsOwnAndMovesTheOriginal) {
  import_study();
  const MetadataUpdateId id = ordered(request(imported_));
  EXPECT_THAT(updates().order_revert({id}, "token:desk"), FailsWith("ledger.no_transition"));
  apply(id);

  ASSERT_OK_AND_ASSIGN(const OrderedMetadata revert, updates().order_revert({id}, "token:chief"));
  ASSERT_OK_AND_ASSIGN(const OrderedMetadata again, updates().order_revert({id}, "token:desk"));

  EXPECT_EQ(revert.updates, again.updates);
  EXPECT_EQ(updates().details(revert.updates.at(0))->row.reverts, id);
  EXPECT_EQ(updates().details(revert.updates.at(0))->change.attributes.size(), 1U);
  EXPECT_EQ(state_of(id), MetadataUpdateState::applied);
  apply(revert.updates.at(0));
  EXPECT_EQ(state_of(id), MetadataUpdateState::reverted);
  EXPECT_THAT(updates().order_revert({id}, "token:desk"), FailsWith("ledger.no_transition"));
  expect_sound();
}

TEST_F(LedgerUpdates, OfSeveralThoseAreRevertedThatCanBe) {
  import_study();
  const MetadataUpdateId applied = ordered(request(imported_));
  const MetadataUpdateId waiting = ordered(request(imported_));
  EXPECT_THAT(updates().order_revert({waiting, waiting}, "token:desk"),
              FailsWith("ledger.no_transition"));
  apply(applied);

  ASSERT_OK_AND_ASSIGN(const OrderedMetadata reverts,
                       updates().order_revert({applied, waiting}, "token:desk"));

  ASSERT_EQ(reverts.updates.size(), 1U);
  EXPECT_EQ((*updates().update(reverts.updates.at(0)))->reverts, applied);
  EXPECT_EQ((*updates().order_row(*reverts.order))->what, "revert");
}

TEST_F(LedgerUpdates, SeveralOrderedTogetherHaveAParent) {
  receive(1, 1);
  receive(2, 2);

  ASSERT_OK_AND_ASSIGN(
      const OrderedMetadata together,
      updates().order({"merge", "token:desk", {request(study_of(1)), request(study_of(2))}}));

  ASSERT_TRUE(together.order);
  EXPECT_EQ((*updates().order_row(*together.order))->what, "merge");
  MetadataUpdateFilter of_parent;
  of_parent.order = together.order;
  EXPECT_EQ(updates().list(of_parent, 10)->size(), 2U);
  MetadataUpdateFilter older;
  older.before = together.updates.at(1);
  ASSERT_OK_AND_ASSIGN(const auto rest, updates().list(older, 10));
  ASSERT_EQ(rest.size(), 1U);
  EXPECT_EQ(rest.front().id, together.updates.at(0));
}

TEST_F(LedgerUpdates, KnowsImageSetsOfAStudyAndTheStudyOfAnImageSet) {
  import_study();
  const std::string set = "set-1";

  ASSERT_OK_AND_ASSIGN(const auto sets, updates().image_sets({kCloud, imported_}, "", ""));
  ASSERT_EQ(sets.size(), 1U);
  EXPECT_EQ(sets.front().image_set_id, set);
  EXPECT_TRUE(sets.front().primary);
  EXPECT_TRUE(updates().image_sets({kCloud, imported_}, "1.2.3.4.5", "")->empty());
  EXPECT_EQ((*updates().study_of(set))->study_instance_uid, imported_);
  EXPECT_FALSE(*updates().study_of("unknown"));
  EXPECT_THAT(*updates().destinations_of(imported_), ElementsAre(kCloud));
}

TEST_F(LedgerUpdates, KnowsWhoseAStudyIsNow) {
  import_study();
  const std::string first =
      arrival(1).identity.patient_id;  // every arrival of the fixture has this one
  ASSERT_EQ(updates().studies_of_patient(first)->size(), 1U);
  MetadataUpdateRequest move = request(imported_);
  move.patient_id = "SURVIVOR";

  const MetadataUpdateId id = ordered(move);

  EXPECT_TRUE(updates().studies_of_patient(first)->empty());
  EXPECT_EQ(updates().studies_of_patient("SURVIVOR")->size(), 1U);
  apply(id);
  ASSERT_OK_AND_ASSIGN(const auto revert, updates().order_revert({id}, "token:desk"));
  apply(revert.updates.at(0));
  EXPECT_EQ(updates().studies_of_patient(first)->size(), 1U);
  EXPECT_TRUE(updates().studies_of_patient("SURVIVOR")->empty());
}

}  // namespace
}  // namespace isthmus::test
