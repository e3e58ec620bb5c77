#include "contract/ledger/ledger_fixture.h"

namespace isthmus::test {

Error some_error(std::string code) {
  return transient_error(std::move(code), "The bucket asks for fewer requests.");
}

void LedgerTest::open(std::vector<std::string> destinations) {
  LedgerOptions options;
  options.directory = env_.folder() / "ledger";
  options.destinations = std::move(destinations);
  auto opened = open_sqlite_ledger(env_, options);
  ASSERT_THAT(opened, IsOk());
  ledger_ = std::move(opened).value();
}

Arrival LedgerTest::arrival(int n, int study, std::string_view bytes) {
  Arrival arrival;
  arrival.id = InstanceId::make(env_);
  const std::string root = "1.2.826." + std::to_string(study);
  arrival.identity.sop_class_uid = *Uid::parse("1.2.840.10008.5.1.4.1.1.2");
  arrival.identity.sop_instance_uid = *Uid::parse("1.2.826.9." + std::to_string(n));
  arrival.identity.series_instance_uid = *Uid::parse(root + ".1");
  arrival.identity.study_instance_uid = *Uid::parse(root);
  arrival.identity.patient_id = "P" + std::to_string(study);
  arrival.identity.modality = "CT";
  arrival.origin = {"dimse", "MODALITY", "ISTHMUS", "192.0.2.7", "a1"};
  arrival.transfer_syntax_uid = "1.2.840.10008.1.2.1";
  arrival.size_bytes = 1000;
  arrival.dataset_offset_bytes = 400;
  arrival.dataset_digest = sha256(std::to_string(n) + std::string(bytes));
  arrival.file_digest = sha256("file" + std::to_string(n) + std::string(bytes));
  arrival.spool_ref = {"ab/" + arrival.id.text() + ".dcm"};
  arrival.received_at = now();
  return arrival;
}

InstanceId LedgerTest::receive(int n, int study) {
  const auto receipt = ledger_->record(arrival(n, study), nullptr);
  EXPECT_THAT(receipt, IsOk());
  EXPECT_FALSE(receipt->known);
  return receipt->id;
}

Delivery LedgerTest::delivery(const InstanceId& instance) {
  const auto views = ledger_->instances(instance.text(), 1);
  EXPECT_THAT(views, IsOk());
  if (views->size() != 1 || views->front().deliveries.size() != 1) {
    ADD_FAILURE() << "no such delivery";
    return {};
  }
  return views->front().deliveries.front();
}

Batch LedgerTest::batch(const BatchId& id) {
  const auto batch = ledger_->batch(id);
  EXPECT_THAT(batch, IsOk());
  EXPECT_TRUE(batch->has_value());
  return batch->value_or(Batch{});
}

LedgerTest::Filled LedgerTest::batch_in(BatchState state, int members) {
  Filled filled;
  for (int i = 0; i < members; ++i) {
    filled.instances.push_back(receive(next_number_++));
    filled.deliveries.push_back(delivery(filled.instances.back()).id);
  }
  filled.batch = ledger_->join(kCloud, std::nullopt, filled.deliveries).value();
  if (state == BatchState::open) return filled;
  EXPECT_THAT(ledger_->advance(filled.batch, BatchEvent::seal, nullptr), IsOk());
  if (state == BatchState::sealed) return filled;
  for (const DeliveryId& id : filled.deliveries) {
    EXPECT_THAT(ledger_->mark_staged(id, "etag"), IsOk());
  }
  EXPECT_THAT(ledger_->conclude_staging(kCloud).value(), testing::Contains(filled.batch));
  if (state == BatchState::staged) return filled;
  const Error why = some_error("import.denied");
  if (state == BatchState::stuck || state == BatchState::abandoned) {
    EXPECT_THAT(ledger_->advance(filled.batch, BatchEvent::give_up, &why), IsOk());
    if (state == BatchState::stuck) return filled;
    EXPECT_THAT(ledger_->advance(filled.batch, BatchEvent::retry_ordered, nullptr), IsOk());
    return filled;
  }
  filled.job = ledger_->intend(filled.batch, "prefix").value().id;
  const RemoteJob remote{"remote-" + filled.job->text(), ""};
  EXPECT_THAT(ledger_->job_started(*filled.job, remote, in(1)), IsOk());
  if (state == BatchState::submitted) return filled;
  EXPECT_THAT(ledger_->job_ended(*filled.job, ImportJobEvent::ended_well, "", "prefix/out/", in(1)),
              IsOk());
  if (state == BatchState::settled) return filled;
  EXPECT_THAT(ledger_->record_outcomes(filled.batch, outcomes(filled, OutcomeKind::imported)),
              IsOk());
  return filled;
}

DeliveryId LedgerTest::delivery_in(DeliveryState state) {
  if (state == DeliveryState::waiting) return delivery(receive(next_number_++)).id;
  if (state == DeliveryState::quarantined) {
    const DeliveryId id = delivery(receive(next_number_++)).id;
    EXPECT_THAT(ledger_->quarantine(id, DeliveryEvent::input_unusable, some_error("unusable")),
                IsOk());
    return id;
  }
  if (state == DeliveryState::discarded) {
    const DeliveryId id = delivery_in(DeliveryState::quarantined);
    EXPECT_EQ(ledger_->order_discard(id.text(), "a phantom").value(), 1);
    return id;
  }
  if (state == DeliveryState::staged) return batch_in(BatchState::staged).deliveries.front();
  const Filled settled = batch_in(BatchState::settled);
  const auto kind =
      state == DeliveryState::imported ? OutcomeKind::imported : OutcomeKind::rejected;
  EXPECT_THAT(ledger_->record_outcomes(settled.batch, outcomes(settled, kind)), IsOk());
  return settled.deliveries.front();
}

LedgerTest::Filled LedgerTest::job_in(ImportJobState state) {
  Filled filled = batch_in(BatchState::staged);
  filled.job = ledger_->intend(filled.batch, "prefix").value().id;
  if (state == ImportJobState::intended) return filled;
  EXPECT_THAT(ledger_->job_started(*filled.job, {"remote", ""}, in(1)), IsOk());
  if (state == ImportJobState::running) return filled;
  const auto event = state == ImportJobState::succeeded ? ImportJobEvent::ended_well
                     : state == ImportJobState::failed  ? ImportJobEvent::ended_badly
                                                        : ImportJobEvent::not_found;
  EXPECT_THAT(ledger_->job_ended(*filled.job, event, "message", "", in(1)), IsOk());
  return filled;
}

OutcomeRecord LedgerTest::outcome(const DeliveryId& delivery, OutcomeKind kind,
                                  std::optional<WallTime> next) {
  OutcomeRecord record;
  record.outcome.delivery = delivery;
  record.outcome.kind = kind;
  if (kind == OutcomeKind::imported) {
    record.outcome.image_set_id = "0123456789abcdef0123456789abcdef";
    record.outcome.image_set_version = 1;
    record.outcome.primary = true;
  } else {
    record.outcome.reason_code =
        kind == OutcomeKind::rejected ? "ValidationException" : "InternalServerException";
    record.outcome.reason = "The service's words.";
  }
  record.next_attempt_at = next;
  return record;
}

std::vector<OutcomeRecord> LedgerTest::outcomes(const Filled& batch, OutcomeKind kind) {
  std::vector<OutcomeRecord> records;
  for (const DeliveryId& id : batch.deliveries) records.push_back(outcome(id, kind, in(60)));
  return records;
}

std::vector<std::string> LedgerTest::events_of(std::string_view id) {
  const auto entries = ledger_->history(id, 1000);
  EXPECT_THAT(entries, IsOk());
  std::vector<std::string> events;
  for (const HistoryEntry& entry : *entries) {
    if (entry.subject_id == id) events.push_back(entry.event);
  }
  return events;
}

void LedgerTest::expect_sound() {
  EXPECT_THAT(ledger_->check().value(), testing::ElementsAre());
}

}  // namespace isthmus::test
