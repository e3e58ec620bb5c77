// Every state × event pair, through the calls that steps and people make: the pairs of
// model/transitions.h succeed and leave a line of history, all others are refused and change
// nothing.
#include "contract/ledger/ledger_fixture.h"

namespace isthmus::test {
namespace {

class LedgerTransitions : public LedgerTest {
 protected:
  // A delivery in this state that has been in a batch: staged ones in a settled batch, the others
  // came out of one.
  struct Subject {
    BatchId batch;
    InstanceId instance;
    DeliveryId delivery;
  };
  Subject subject_in(DeliveryState state) {
    const Filled settled = batch_in(BatchState::settled);
    const Subject subject{settled.batch, settled.instances[0], settled.deliveries[0]};
    if (state == DeliveryState::staged) return subject;
    const bool was_rejected = state == DeliveryState::rejected || state == DeliveryState::discarded;
    const OutcomeKind kind = state == DeliveryState::imported ? OutcomeKind::imported
                             : was_rejected                   ? OutcomeKind::rejected
                                                              : OutcomeKind::unaccounted;
    const auto next = state == DeliveryState::waiting ? std::optional(now()) : std::nullopt;
    EXPECT_THAT(ledger_->record_outcomes(settled.batch, {outcome(subject.delivery, kind, next)}),
                IsOk());
    if (state == DeliveryState::discarded) {
      EXPECT_EQ(ledger_->order_discard(subject.delivery.text(), "a phantom").value(), 1);
    }
    EXPECT_EQ(delivery(subject.instance).state, state);
    return subject;
  }

  // Does to it what makes this event happen.
  Result<void> cause(const Subject& subject, DeliveryEvent event) {
    switch (event) {
      case DeliveryEvent::object_confirmed:
        if (const auto joined = ledger_->join(kCloud, std::nullopt, {subject.delivery});
            joined.ok()) {
          TRY(ledger_->advance(*joined, BatchEvent::seal, nullptr));
        }
        return ledger_->mark_staged(subject.delivery, "etag");
      case DeliveryEvent::outcome_imported:
        return conclude(subject, OutcomeKind::imported);
      case DeliveryEvent::outcome_rejected:
        return conclude(subject, OutcomeKind::rejected);
      case DeliveryEvent::outcome_unaccounted:
        return conclude(subject, OutcomeKind::unaccounted);
      case DeliveryEvent::attempts_exhausted:
      case DeliveryEvent::input_unusable:
        return ledger_->quarantine(subject.delivery, event, some_error());
      case DeliveryEvent::batch_abandoned:
        ignore(ledger_->advance(subject.batch, BatchEvent::give_up, nullptr),
               "fails where illegal");
        return ledger_->advance(subject.batch, BatchEvent::retry_ordered, nullptr);
      case DeliveryEvent::retry_ordered: {
        TRY_ASSIGN(const auto moved, ledger_->order_retry(subject.delivery.text()));
        if (moved == 1) return {};
        return permanent_error("ledger.no_transition", "An order moves what can be moved.");
      }
      case DeliveryEvent::discard_ordered: {
        TRY_ASSIGN(const auto moved, ledger_->order_discard(subject.delivery.text(), "a phantom"));
        if (moved == 1) return {};
        return permanent_error("ledger.no_transition", "An order moves what can be moved.");
      }
      case DeliveryEvent::received_again: {
        const auto before = events_of(subject.delivery.text()).size();
        TRY(ledger_->record(arrival_of(subject.instance), nullptr));
        if (events_of(subject.delivery.text()).size() > before) return {};
        return permanent_error("ledger.no_transition", "Nothing was to be done.");
      }
    }
    return permanent_error("test.unknown", "A new event needs a cause here.");
  }
  // The same identity and bytes once more.
  Arrival arrival_of(const InstanceId& id) {
    const std::string uid = ledger_->instance(id).value()->sop_instance_uid.text();
    return arrival(std::stoi(uid.substr(uid.rfind('.') + 1)));
  }
  Result<void> conclude(const Subject& subject, OutcomeKind kind) {
    return ledger_->record_outcomes(subject.batch, {outcome(subject.delivery, kind, in(1))});
  }

  Result<void> cause(const Filled& filled, BatchState state, BatchEvent event) {
    switch (event) {
      case BatchEvent::seal:
      case BatchEvent::give_up:
      case BatchEvent::retry_ordered:
        return ledger_->advance(filled.batch, event, nullptr);
      case BatchEvent::all_staged:
        if (state == BatchState::sealed) TRY(ledger_->mark_staged(filled.deliveries[0], "etag"));
        return concluded(filled.batch);
      case BatchEvent::emptied:
        if (state == BatchState::sealed) {
          TRY(ledger_->quarantine(filled.deliveries[0], DeliveryEvent::input_unusable,
                                  some_error()));
        }
        return concluded(filled.batch);
      case BatchEvent::job_started: {
        TRY_ASSIGN(const ImportJobId job, job_of(filled));
        return ledger_->job_started(job, {"remote", ""}, in(1));
      }
      case BatchEvent::job_ended: {
        TRY_ASSIGN(const ImportJobId job, job_of(filled));
        return ledger_->job_ended(job, ImportJobEvent::ended_well, "", "", in(1));
      }
      case BatchEvent::job_failed: {
        TRY_ASSIGN(const ImportJobId job, job_of(filled));
        return ledger_->job_ended(job, ImportJobEvent::ended_badly, "", "", in(1));
      }
      case BatchEvent::outcomes_recorded:
        return ledger_->record_outcomes(filled.batch, outcomes(filled, OutcomeKind::imported));
    }
    return permanent_error("test.unknown", "A new event needs a cause here.");
  }
  Result<void> concluded(const BatchId& id) {
    const BatchState before = batch(id).state;
    TRY(ledger_->conclude_staging(kCloud));
    if (batch(id).state != before) return {};
    return permanent_error("ledger.no_transition", "Nothing to conclude.");
  }
  Result<ImportJobId> job_of(const Filled& filled) {
    if (filled.job) return *filled.job;
    TRY_ASSIGN(const ImportIntent intent, ledger_->intend(filled.batch, ""));
    return intent.id;
  }

  // Everything that anybody can see of a row, as text.
  std::string picture(const InstanceId& id) {
    const Delivery d = delivery(id);
    return std::string(to_string(d.state)) + "|" + (d.batch ? d.batch->text() : "") + "|" +
           std::to_string(d.attempts) + "|" +
           (d.next_attempt_at ? to_rfc3339(*d.next_attempt_at) : "") + "|" + d.reason_code + "|" +
           d.image_set_id + "|" + to_rfc3339(d.changed_at);
  }
  std::string picture(const BatchId& id) {
    const Batch b = batch(id);
    return std::string(to_string(b.state)) + "|" + std::to_string(b.members) + "|" +
           std::to_string(b.size_bytes) + "|" + std::to_string(b.attempts) + "|" +
           (b.next_attempt_at ? to_rfc3339(*b.next_attempt_at) : "") + "|" + b.reason_code;
  }
  std::string state_of_job(const Filled& filled) {
    ImportJobState found{};
    const auto entries = ledger_->history(filled.job->text(), 100).value();
    EXPECT_FALSE(entries.empty());
    found = import_job_state_from(entries.back().to_state).value();
    return std::string(to_string(found));
  }
};

TEST_F(LedgerTransitions, EveryDeliveryStateTimesEveryEvent) {
  for (const DeliveryState state : all_delivery_states()) {
    for (const DeliveryEvent event : all_delivery_events()) {
      SCOPED_TRACE(std::string(to_string(state)) + " × " + std::string(to_string(event)));
      const Subject subject = subject_in(state);
      const auto expected = next(state, event);
      const auto history_before = events_of(subject.delivery.text());
      const std::string before = picture(subject.instance);

      const Result<void> done = cause(subject, event);

      const auto history_after = events_of(subject.delivery.text());
      if (expected) {
        EXPECT_THAT(done, IsOk());
        EXPECT_EQ(delivery(subject.instance).state, *expected);
        ASSERT_EQ(history_after.size(), history_before.size() + 1);
        EXPECT_EQ(history_after.back(), to_string(event));
      } else {
        EXPECT_THAT(done, FailsWith("ledger.no_transition", Fate::permanent));
        EXPECT_EQ(delivery(subject.instance).state, state);
        EXPECT_EQ(history_after, history_before);
        if (event != DeliveryEvent::object_confirmed) {
          EXPECT_EQ(picture(subject.instance), before);
        }
      }
    }
  }
  expect_sound();
}

TEST_F(LedgerTransitions, QuarantineTakesOnlyTheEventsThatLeadThere) {
  for (const DeliveryEvent event : all_delivery_events()) {
    const Subject subject = subject_in(DeliveryState::staged);
    const bool leads_there = next(DeliveryState::staged, event) == DeliveryState::quarantined;

    const Result<void> done = ledger_->quarantine(subject.delivery, event, some_error());

    EXPECT_EQ(done.ok(), leads_there) << to_string(event);
    EXPECT_EQ(delivery(subject.instance).state == DeliveryState::quarantined, leads_there);
  }
}

TEST_F(LedgerTransitions, EveryBatchStateTimesEveryEvent) {
  for (const BatchState state : all_batch_states()) {
    for (const BatchEvent event : all_batch_events()) {
      SCOPED_TRACE(std::string(to_string(state)) + " × " + std::string(to_string(event)));
      const Filled filled = batch_in(state);
      ASSERT_EQ(batch(filled.batch).state, state);
      const auto expected = next(state, event);
      const auto history_before = events_of(filled.batch.text());
      const std::string before = picture(filled.batch);

      const Result<void> done = cause(filled, state, event);

      const auto history_after = events_of(filled.batch.text());
      if (expected) {
        EXPECT_THAT(done, IsOk());
        EXPECT_EQ(batch(filled.batch).state, *expected);
        ASSERT_EQ(history_after.size(), history_before.size() + 1);
        EXPECT_EQ(history_after.back(), to_string(event));
      } else {
        EXPECT_THAT(done, FailsWith("ledger.no_transition", Fate::permanent));
        EXPECT_EQ(picture(filled.batch), before);
        EXPECT_EQ(history_after, history_before);
      }
    }
  }
  expect_sound();
}

TEST_F(LedgerTransitions, AdvanceRefusesEventsThatHaveCallsOfTheirOwn) {
  for (const BatchState state : all_batch_states()) {
    for (const BatchEvent event :
         {BatchEvent::all_staged, BatchEvent::emptied, BatchEvent::job_started,
          BatchEvent::job_ended, BatchEvent::job_failed, BatchEvent::outcomes_recorded}) {
      const Filled filled = batch_in(state);

      EXPECT_THAT(ledger_->advance(filled.batch, event, nullptr),
                  FailsWith("ledger.no_transition"));

      EXPECT_EQ(batch(filled.batch).state, state);
    }
  }
}

TEST_F(LedgerTransitions, EveryImportJobStateTimesEveryEvent) {
  for (const ImportJobState state : all_import_job_states()) {
    for (const ImportJobEvent event : all_import_job_events()) {
      SCOPED_TRACE(std::string(to_string(state)) + " × " + std::string(to_string(event)));
      const Filled filled = job_in(state);
      const auto expected = next(state, event);
      const auto history_before = events_of(filled.job->text());
      const std::string before = picture(filled.batch);

      const Result<void> done = event == ImportJobEvent::started
                                    ? ledger_->job_started(*filled.job, {"remote", ""}, in(1))
                                    : ledger_->job_ended(*filled.job, event, "", "", in(1));

      const auto history_after = events_of(filled.job->text());
      if (expected) {
        EXPECT_THAT(done, IsOk());
        EXPECT_EQ(state_of_job(filled), to_string(*expected));
        ASSERT_EQ(history_after.size(), history_before.size() + 1);
        EXPECT_EQ(history_after.back(), to_string(event));
      } else {
        EXPECT_THAT(done, FailsWith("ledger.no_transition", Fate::permanent));
        EXPECT_EQ(state_of_job(filled), to_string(state));
        EXPECT_EQ(history_after, history_before);
        EXPECT_EQ(picture(filled.batch), before);
      }
    }
  }
  expect_sound();
}

TEST_F(LedgerTransitions, WhatIsNotThereIsNotFound) {
  const auto batch_id = BatchId::make(env_);
  const auto delivery_id = DeliveryId::make(env_);
  const auto job_id = ImportJobId::make(env_);
  const Error error = some_error();

  EXPECT_THAT(ledger_->advance(batch_id, BatchEvent::seal, nullptr), FailsWith("ledger.not_found"));
  EXPECT_THAT(ledger_->mark_staged(delivery_id, ""), FailsWith("ledger.not_found"));
  EXPECT_THAT(ledger_->postpone(delivery_id, error, now()), FailsWith("ledger.not_found"));
  EXPECT_THAT(ledger_->quarantine(delivery_id, DeliveryEvent::input_unusable, error),
              FailsWith("ledger.not_found"));
  EXPECT_THAT(ledger_->intend(batch_id, ""), FailsWith("ledger.not_found"));
  EXPECT_THAT(ledger_->job_started(job_id, {}, now()), FailsWith("ledger.not_found"));
  EXPECT_THAT(ledger_->postpone_batch(batch_id, error, now()), FailsWith("ledger.not_found"));
  EXPECT_THAT(ledger_->postpone_poll(job_id, now()), FailsWith("ledger.not_found"));
  EXPECT_THAT(ledger_->job_ended(job_id, ImportJobEvent::ended_well, "", "", now()),
              FailsWith("ledger.not_found"));
  EXPECT_THAT(ledger_->record_outcomes(batch_id, {}), FailsWith("ledger.not_found"));
  EXPECT_THAT(ledger_->note_objects_removed(batch_id), FailsWith("ledger.not_found"));
  EXPECT_THAT(ledger_->claim_freeing(InstanceId::make(env_)), FailsWith("ledger.not_found"));
  EXPECT_EQ(ledger_->batch(batch_id).value(), std::nullopt);
  EXPECT_EQ(ledger_->instance(InstanceId::make(env_)).value(), std::nullopt);
}

}  // namespace
}  // namespace isthmus::test
