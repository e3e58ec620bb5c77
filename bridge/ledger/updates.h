// Updates of imported metadata in the ledger: what was ordered and by whom, what each image set
// held before and is to hold, and how far it is. Threads, durability and errors are those of
// ledger.h; every change of an update's state writes a line of its history in the same transaction.
//
// Values of attributes are patient data. They stand in tables of their own, no history and no error
// repeats them, and only details() gives them: whoever calls it shows them to nobody who may not
// read patient data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "model/metadata_update.h"

namespace isthmus {

struct HistoryEntry;

// What one person ordered at once: several updates under one parent, unless it is a single one.
struct MetadataOrder {
  std::string what;  // "change", "merge", "revert": of the parent
  std::string requested_by;
  std::vector<MetadataUpdateRequest> updates;
};

struct OrderedMetadata {
  std::optional<MetadataOrderId> order;  // the parent; none of a single update
  std::vector<MetadataUpdateId> updates;
};

struct MetadataOrderRow {
  MetadataOrderId id;
  std::string what;
  std::string requested_by;
  WallTime requested_at;
};

// What happened to one image set of an update. `next` is its state from now on by `event`; without
// one only what is told is kept. A step that is given values has them instead of those it had.
struct MetadataStepChange {
  std::int64_t place = 0;
  std::optional<MetadataStepEvent> event;
  std::optional<std::int64_t> seen_version = std::nullopt;
  std::optional<std::int64_t> version = std::nullopt;
  std::optional<std::vector<MetadataStepValue>> values = std::nullopt;
  std::string error_code = {};
  std::string error = {};
  std::string detail = {};
};

// All of it in one transaction.
struct MetadataProgress {
  std::vector<MetadataStepChange> steps;
  std::optional<MetadataUpdateEvent> event;  // of the update itself
  std::optional<Error> why;                  // kept as the last error; no value in it
  // When to look again; nothing: at once. Of a state that does not go on it has none.
  std::optional<WallTime> next;
  bool counts_as_failure = false;  // one more attempt; otherwise attempts start over
};

// An image set as reconciliation told of it.
struct StudyImageSet {
  std::string image_set_id;
  bool primary = false;
};

// One study at one destination.
struct StudyAt {
  std::string destination;
  Uid study_instance_uid;
};

struct MetadataUpdateFilter {
  std::string study_instance_uid;  // empty: of every study
  std::optional<MetadataUpdateState> state;
  std::optional<MetadataOrderId> order;
  // Of an earlier answer's last row: the older ones follow.
  std::optional<MetadataUpdateId> before;
};

class MetadataUpdates {
 public:
  virtual ~MetadataUpdates() = default;

  // --- orders ---------------------------------------------------------------------------------
  // Durable when it returns. "ledger.not_found": a study was never received for its destination.
  virtual Result<OrderedMetadata> order(const MetadataOrder& order) = 0;
  // A revert of each update: of those that were applied to some image set at least. One that is
  // being reverted already is not reverted twice; its revert is named. "ledger.not_found",
  // "ledger.no_transition" (there is nothing to revert, or it is still on its way; of several: of
  // each of them, the others are reverted).
  virtual Result<OrderedMetadata> order_revert(const std::vector<MetadataUpdateId>& updates,
                                               const std::string& requested_by) = 0;
  // conflict or failed → pending: planned anew, from what is stored then. "ledger.not_found",
  // "ledger.no_transition".
  virtual Result<void> order_retry(const MetadataUpdateId& id) = 0;

  // --- updater --------------------------------------------------------------------------------
  // What can go on now, the longest due first: pending ones whose study is imported (something of
  // it is, and nothing is on its way), applying ones whose date has come; and of each study only
  // the update that was ordered first.
  virtual Result<std::vector<MetadataUpdateRow>> due(std::string_view destination, WallTime now,
                                                     std::size_t limit) = 0;
  // The first date that is still to come. That a study was imported is a change that wakes.
  virtual Result<std::optional<WallTime>> next_at(std::string_view destination, WallTime now) = 0;
  // With its attributes, steps and values. "ledger.not_found".
  virtual Result<MetadataUpdateDetails> details(const MetadataUpdateId& id) = 0;
  // pending → applying, conflict or failed by `event`, with the steps that were planned: they take
  // the place of all steps that were not applied.
  virtual Result<void> plan(const MetadataUpdateId& id, const std::vector<MetadataStep>& steps,
                            MetadataUpdateEvent event, const Error* why) = 0;
  virtual Result<void> record(const MetadataUpdateId& id, const MetadataProgress& progress) = 0;
  // Image sets with imported instances of the study; of one series or instance when they are named.
  virtual Result<std::vector<StudyImageSet>> image_sets(const StudyAt& study,
                                                        std::string_view series_instance_uid,
                                                        std::string_view sop_instance_uid) = 0;

  // --- people ---------------------------------------------------------------------------------
  virtual Result<std::optional<MetadataUpdateRow>> update(const MetadataUpdateId& id) = 0;
  virtual Result<std::optional<MetadataOrderRow>> order_row(const MetadataOrderId& id) = 0;
  // The newest first.
  virtual Result<std::vector<MetadataUpdateRow>> list(const MetadataUpdateFilter& filter,
                                                      std::size_t limit) = 0;
  virtual Result<std::vector<HistoryEntry>> update_history(const MetadataUpdateId& id,
                                                           std::size_t limit) = 0;
  // Where the study was received for; empty when it never was.
  virtual Result<std::vector<std::string>> destinations_of(const Uid& study_instance_uid) = 0;
  virtual Result<std::optional<StudyAt>> study_of(std::string_view image_set_id) = 0;
  // Studies that are this patient's: as they were received, unless an update gave them to another
  // one, and those that an update gave to it.
  virtual Result<std::vector<StudyAt>> studies_of_patient(const std::string& patient_id) = 0;
};

}  // namespace isthmus
