// Updates of metadata on SQLite.
#pragma once

#include "ledger/ledger.h"
#include "ledger/sqlite/rows.h"
#include "ledger/updates.h"

namespace isthmus {

class SqliteLedger;

class SqliteMetadataUpdates final : public MetadataUpdates {
 public:
  explicit SqliteMetadataUpdates(SqliteLedger& ledger) : ledger_(ledger) {}

  Result<OrderedMetadata> order(const MetadataOrder& order) override;
  Result<OrderedMetadata> order_revert(const std::vector<MetadataUpdateId>& updates,
                                       const std::string& requested_by) override;
  Result<void> order_retry(const MetadataUpdateId& id) override;
  Result<std::vector<MetadataUpdateRow>> due(std::string_view destination, WallTime now,
                                             std::size_t limit) override;
  Result<std::optional<WallTime>> next_at(std::string_view destination, WallTime now) override;
  Result<MetadataUpdateDetails> details(const MetadataUpdateId& id) override;
  Result<void> plan(const MetadataUpdateId& id, const std::vector<MetadataStep>& steps,
                    MetadataUpdateEvent event, const Error* why) override;
  Result<void> record(const MetadataUpdateId& id, const MetadataProgress& progress) override;
  Result<std::vector<StudyImageSet>> image_sets(const StudyAt& study,
                                                std::string_view series_instance_uid,
                                                std::string_view sop_instance_uid) override;
  Result<std::optional<MetadataUpdateRow>> update(const MetadataUpdateId& id) override;
  Result<std::optional<MetadataOrderRow>> order_row(const MetadataOrderId& id) override;
  Result<std::vector<MetadataUpdateRow>> list(const MetadataUpdateFilter& filter,
                                              std::size_t limit) override;
  Result<std::vector<HistoryEntry>> update_history(const MetadataUpdateId& id,
                                                   std::size_t limit) override;
  Result<std::vector<std::string>> destinations_of(const Uid& study_instance_uid) override;
  Result<std::optional<StudyAt>> study_of(std::string_view image_set_id) override;
  Result<std::vector<StudyAt>> studies_of_patient(const std::string& patient_id) override;

 private:
  Result<MetadataUpdateId> order_one(Write& write, const MetadataUpdateRequest& request,
                                     const std::optional<MetadataOrderId>& parent,
                                     const std::string& requested_by);
  Result<MetadataUpdateId> revert_one(Write& write, const MetadataUpdateId& id,
                                      const std::optional<MetadataOrderId>& parent,
                                      const std::string& requested_by);

  SqliteLedger& ledger_;
};

}  // namespace isthmus
