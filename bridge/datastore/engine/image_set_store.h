// Reading image sets: properties, versions, search, and the metadata document.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "datastore/engine/blobs.h"
#include "datastore/engine/catalogue.h"

namespace isthmus::datastore {

struct ImageSetVersionRecord {
  std::string image_set;
  std::int64_t version = 0;
  std::string state;            // ACTIVE, LOCKED, DELETED
  std::string workflow_status;  // CREATED, IMPORTED, UPDATING, …
  bool is_primary = false;
  WallTime created_at;  // of the image set
  WallTime updated_at;  // of the version
  std::optional<WallTime> deleted_at;
  std::optional<WallTime> accessed_at;  // of the image set
  std::optional<std::string> message;   // why it failed
  std::optional<bool> forced;

  // Whether what it holds is settled: a change that makes it is not on its way any more.
  bool finished() const;
};

// Inside a transaction: the latest version, unless one is named. "datastore.no_such_image_set".
Result<ImageSetVersionRecord> find_version(sql::Database& database, const std::string& data_store,
                                           const std::string& image_set,
                                           std::optional<std::int64_t> version);

struct ImageSetSummary {
  std::string id;
  std::int64_t version = 0;
  bool is_primary = false;
  WallTime created_at;
  WallTime updated_at;
  std::optional<WallTime> accessed_at;
  std::string study_moment;
  std::string attributes;  // JSON object: PatientID, StudyDate, …
  // Over the primary image sets of the study in this data store.
  std::int64_t study_series = 0;
  std::int64_t study_instances = 0;
};

enum class SearchOrder { created_at, updated_at, study_moment };

// All that is given must hold. Ranges include both ends.
struct ImageSetQuery {
  std::optional<std::string> patient_id;
  std::optional<std::string> accession_number;
  std::optional<std::string> study_id;
  std::optional<std::string> study_instance_uid;
  std::optional<std::string> series_instance_uid;
  std::optional<WallTime> created_from, created_to;
  std::optional<WallTime> updated_from, updated_to;
  std::optional<std::string> study_from, study_to;  // study_moment()
  std::optional<bool> is_primary;
  SearchOrder order = SearchOrder::updated_at;
  bool descending = true;
  // The last of the page before: its sort value (milliseconds, or a moment) and its id.
  struct Position {
    std::string value;
    std::string id;
  };
  std::optional<Position> after;
  std::size_t limit = 50;
};

// The sort value of a summary, for ImageSetQuery::Position.
std::string position_value(const ImageSetSummary& summary, SearchOrder order);

// Permanent errors, besides the catalogue's: "datastore.no_such_image_set",
// "datastore.image_set_locked". Any thread.
class ImageSetStore {
 public:
  ImageSetStore(Env& env, Catalogue& catalogue, Blobs& blobs);

  // The latest version, unless one is named; a deleted set has its versions without content.
  Result<ImageSetVersionRecord> find(const std::string& data_store, const std::string& image_set,
                                     std::optional<std::int64_t> version);
  // The same for reading what it holds: of a set that is being changed the newest settled version,
  // unless one is named. A deleted set is not found, a named version that is not settled is
  // "datastore.image_set_locked".
  Result<ImageSetVersionRecord> find_content(const std::string& data_store,
                                             const std::string& image_set,
                                             std::optional<std::int64_t> version);
  // Takes down that somebody has read the set; at most once an hour, for a write costs a sync.
  void note_access(const ImageSetVersionRecord& version);
  // Newest first, below `below` (0: from the newest).
  Result<std::vector<ImageSetVersionRecord>> versions(const std::string& data_store,
                                                      const std::string& image_set,
                                                      std::int64_t below, std::size_t limit);
  Result<std::vector<ImageSetSummary>> search(const std::string& data_store,
                                              const ImageSetQuery& query);
  // The gzip-compressed document of a version (contracts/healthimaging section 4). Its size is
  // bounded by the disk, not by memory.
  Result<std::unique_ptr<ByteSource>> metadata(const std::string& data_store,
                                               const ImageSetVersionRecord& version);

 private:
  Env& env_;
  Catalogue& catalogue_;
  Blobs& blobs_;
};

}  // namespace isthmus::datastore
