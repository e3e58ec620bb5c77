// The ledger as it is looked through by people and by programs of theirs: lists with filters, page
// by page, newest first. Reads only, by connections of its own, beside a ledger that is open.
//
// However many rows there are, a page costs no more than a walk over kWalked of them: it ends there
// with what was found, perhaps nothing, and says where to go on. Lists are in the order in which
// rows were made; what is made meanwhile is not in later pages.
//
// Any thread. Errors are those of ledger/ledger.h; "ledger.not_found" where one thing is asked for.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ledger/ledger.h"

namespace isthmus {

// Of an instance; empty members do not count. State and destination are those of one delivery.
struct InstanceFilter {
  std::string id = {};
  std::string study_instance_uid = {};
  std::string series_instance_uid = {};
  std::string sop_instance_uid = {};
  std::string sender = {};  // calling AE title
  std::string receiver = {};
  std::string destination = {};
  std::optional<DeliveryState> state = {};
  std::optional<std::string> patient_id = {};  // compared by its keyed hash
  std::optional<std::string> accession_number =
      {};                              // likewise; not of what came before it was kept
  std::string accession_hash = {};     // as an Instance has it
  std::optional<WallTime> since = {};  // received then or later
  std::optional<WallTime> until = {};  // received before
};

struct StudyView {
  Uid study_instance_uid;
  std::int64_t instances = 0;
  std::int64_t series = 0;
  std::uint64_t size_bytes = 0;
  WallTime first_received_at;
  WallTime last_received_at;
  std::string last_sender;
  std::vector<std::string> accession_hashes;  // different ones, ten at most
  std::vector<StudySummary> destinations;
};

struct SeriesView {
  Uid series_instance_uid;
  std::string modality;
  std::int64_t instances = 0;
  std::uint64_t size_bytes = 0;
  WallTime first_received_at;
  WallTime last_received_at;
};

struct BatchView {
  Batch batch;
  std::int64_t imported = 0;
  std::int64_t rejected = 0;
  std::int64_t unaccounted = 0;
};

// What can be handed to somebody: where one instance is at one destination, and since when.
struct ReceiptLine {
  Uid sop_instance_uid;
  Uid series_instance_uid;
  InstanceId instance;
  std::uint64_t size_bytes = 0;
  Digest dataset_digest;
  Digest file_digest;
  WallTime received_at;
  std::string destination;
  DeliveryState state = DeliveryState::waiting;
  std::optional<BatchId> batch;
  std::optional<WallTime> staged_at;
  std::optional<WallTime> concluded_at;  // when the outcome was recorded
  std::string remote_job_id;             // of the service; empty before there is one
  std::string image_set_id;
  std::optional<std::int64_t> image_set_version;
  std::optional<bool> primary;
  std::string reason_code;
};

struct Event {
  std::int64_t seq = 0;  // growing
  HistoryEntry entry;
};

template <typename T>
struct Page {
  std::vector<T> items;
  std::optional<std::int64_t> next;  // where the next page begins; none: this is the last
};

class Overview {
 public:
  static constexpr std::size_t kWalked = 10'000;

  virtual ~Overview() = default;
  // `before`: what Page::next said, or nothing for the first page.
  using Cursor = std::optional<std::int64_t>;

  virtual Result<Page<InstanceView>> instances(const InstanceFilter& filter, Cursor before,
                                               std::size_t limit) = 0;
  // Those whose newest instance is one that the filter takes. With a study UID: that one.
  virtual Result<Page<StudyView>> studies(const InstanceFilter& filter, Cursor before,
                                          std::size_t limit) = 0;
  virtual Result<StudyView> study(const Uid& study) = 0;
  // At most 10,000, by UID; empty when there is no such study.
  virtual Result<std::vector<SeriesView>> series(const Uid& study) = 0;
  virtual Result<Page<BatchView>> batches(std::string_view destination,
                                          std::optional<BatchState> state, Cursor before,
                                          std::size_t limit) = 0;
  virtual Result<BatchView> batch(const BatchId& id) = 0;
  virtual Result<Page<ImportJob>> import_jobs(std::string_view destination,
                                              std::optional<ImportJobState> state, Cursor before,
                                              std::size_t limit) = 0;
  virtual Result<ImportJob> import_job(const ImportJobId& id) = 0;
  // Every instance of the study at every destination; `limit` lines at most.
  virtual Result<std::vector<ReceiptLine>> receipt(const Uid& study, std::size_t limit) = 0;
  // History after this number, the oldest first; without one, where history ends now.
  virtual Result<std::vector<Event>> events(std::int64_t after, std::size_t limit) = 0;
  virtual Result<std::int64_t> newest_event() = 0;
};

// `directory` is the ledger's. Destroy it before the ledger: the last connection to close should be
// one that may write.
std::unique_ptr<Overview> open_sqlite_overview(const FileSystem::Path& directory);

}  // namespace isthmus
