// An Orthanc and a ledger that know the same instances of one study, for what reads the ledger's
// news.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/digest.h"
#include "dicom/part10.h"
#include "support/matchers.h"
#include "support/memory_ledger.h"
#include "support/test_env.h"
#include "unit/plugin/fake_archive.h"

namespace isthmus::test {

inline constexpr const char* kStudy = "1.2.4";
inline constexpr const char* kSeries = "1.2.3";

class PluginFixture : public testing::Test {
 protected:
  static std::string file_of(const std::string& dataset) {
    dicom::FileMeta meta;
    meta.media_storage_sop_class_uid = "1.2.840.10008.5.1.4.1.1.2";
    meta.media_storage_sop_instance_uid = "1.5";
    meta.transfer_syntax_uid = "1.2.840.10008.1.2.1";
    return std::string(as_text(dicom::make_file_header(meta))) + dataset;
  }
  // In Orthanc and in the ledger, and known there by /tools/lookup.
  void receive(int number, const std::string& uid, const std::string& dataset) {
    archive_.store(number, file_of(dataset));
    archive_.know(uid, "Instance", number);
    archive_.know(kStudy, "Study", 900);
    archive_.know(kSeries, "Series", 800);
    record(uid, dataset);
  }
  void record(const std::string& uid, const std::string& dataset) {
    Arrival arrival;
    arrival.id = InstanceId::make(env_);
    arrival.identity.sop_class_uid = *Uid::parse("1.2.840.10008.5.1.4.1.1.2");
    arrival.identity.sop_instance_uid = *Uid::parse(uid);
    arrival.identity.series_instance_uid = *Uid::parse(kSeries);
    arrival.identity.study_instance_uid = *Uid::parse(kStudy);
    arrival.origin.receiver = "orthanc";
    arrival.transfer_syntax_uid = "1.2.840.10008.1.2.1";
    arrival.dataset_digest = sha256(as_bytes(dataset));
    arrival.file_digest = sha256(as_bytes(uid));
    arrival.spool_ref = {uid + dataset};
    arrival.received_at = env_.clock.wall_now();
    ASSERT_THAT(ledger_.record(arrival, nullptr), IsOk());
  }
  // All that waits becomes imported, in one batch.
  void import_all() { conclude_all(OutcomeKind::imported); }
  void conclude_all(OutcomeKind kind) {
    std::vector<DeliveryId> ids;
    for (const auto& one :
         ledger_.waiting_deliveries("cloud", env_.clock.wall_now(), 100).value()) {
      ids.push_back(one.id);
    }
    const BatchId batch = ledger_.join("cloud", std::nullopt, ids).value();
    ASSERT_THAT(ledger_.advance(batch, BatchEvent::seal, nullptr), IsOk());
    for (const DeliveryId& id : ids) ASSERT_THAT(ledger_.mark_staged(id, "etag"), IsOk());
    ASSERT_THAT(ledger_.conclude_staging("cloud"), IsOk());
    const ImportIntent intent = ledger_.intend(batch, "").value();
    RemoteJob remote;
    remote.id = "job-1";
    ASSERT_THAT(ledger_.job_started(intent.id, remote, env_.clock.wall_now()), IsOk());
    ASSERT_THAT(
        ledger_.job_ended(intent.id, ImportJobEvent::ended_well, "", "out/", env_.clock.wall_now()),
        IsOk());
    std::vector<OutcomeRecord> outcomes;
    for (const DeliveryId& id : ids) {
      OutcomeRecord record;
      record.outcome.delivery = id;
      record.outcome.kind = kind;
      if (kind == OutcomeKind::imported) record.outcome.image_set_id = "set-1";
      outcomes.push_back(record);
    }
    ASSERT_THAT(ledger_.record_outcomes(batch, outcomes), IsOk());
  }

  TestEnv env_;
  MemoryLedger ledger_{env_, {"cloud"}};
  FakeArchive archive_;
};

}  // namespace isthmus::test
