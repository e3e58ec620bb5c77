// Changes of image sets: updates of metadata, copies, deletions. Each is accepted at once (durable:
// the sets are LOCKED, the new version is there as unfinished) and done by a worker later, in one
// transaction: whoever reads sees the set before or after, never between. Killed anywhere, the next
// start goes on with the rows that are left.
//
//   accepted --plan, apply--> UPDATED, COPIED, DELETED
//            --cannot be----> UPDATE_FAILED, COPY_FAILED (the version number stays used up)
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/thread.h"
#include "datastore/engine/catalogue.h"
#include "datastore/engine/examiner.h"
#include "datastore/engine/image_set_store.h"
#include "datastore/engine/objects.h"

namespace isthmus::datastore {

struct ChangeRow;  // private: image_set_work.h

struct UpdateOrder {
  std::string data_store;
  std::string image_set;
  std::int64_t latest_version = 0;  // the one that the caller saw
  bool forced = false;
  bool include_study = false;
  std::optional<std::string> removable;  // texts of update documents
  std::optional<std::string> updatable;
  std::optional<std::int64_t> revert_to;
};

struct CopyOrder {
  std::string data_store;
  std::string source;
  std::int64_t source_version = 0;
  std::optional<std::string> copiable;     // text of a document that names instances; absent: all
  std::optional<std::string> destination;  // absent: a new set
  std::int64_t destination_version = 0;
  bool forced = false;
  bool promote = false;
};

struct CopyAccepted {
  ImageSetVersionRecord source;
  ImageSetVersionRecord destination;
};

struct ChangeLimits {
  std::int64_t unfinished_of_a_kind = 0;  // per data store; 0: no limit, as below
  std::int64_t frames_per_copy = 0;
  std::uint64_t update_bytes = 0;
  std::uint64_t metadata_bytes = 0;  // of a set's document, as an update or a copy leaves it
  // Whether UIDs of a primary set may be changed (forced). The developer guide says not.
  bool primary_uids = false;
};

// Permanent errors, besides the catalogue's: "datastore.no_such_data_store",
// "datastore.no_such_image_set", "datastore.not_latest", "datastore.image_set_locked",
// "datastore.change_refused", "datastore.too_many_changes", "datastore.change_too_large".
// Any thread.
class ImageSetChanges {
 public:
  ImageSetChanges(Env& env, Catalogue& catalogue, Objects& objects, Examiner& examiner,
                  ChangeLimits limits);
  ~ImageSetChanges() { stop(); }

  // As they are once accepted: LOCKED.
  Result<ImageSetVersionRecord> update(const UpdateOrder& order);
  Result<CopyAccepted> copy(const CopyOrder& order);
  Result<ImageSetVersionRecord> remove(const std::string& data_store, const std::string& image_set);

  // Changes are worked on from here on; those of an earlier run go on first.
  void start();
  // Ends after the change in hand. Safe twice and before start().
  void stop();
  // Does the change that was accepted first; false when there is none. What the thread does again
  // and again; for tests.
  Result<bool> run_once();

 private:
  void work();
  Result<void> check_documents(const UpdateOrder& order);
  Result<void> check_room(sql::Database& database, const std::string& data_store, const char* kind);
  // Gives blobs that it may have been the last to name.
  Result<std::vector<std::string>> carry_out(const ChangeRow& row);
  Result<CopyAccepted> accept_copy(sql::Database& database, const CopyOrder& order);

  Env& env_;
  Catalogue& catalogue_;
  Objects& objects_;
  Examiner& examiner_;
  const ChangeLimits limits_;
  std::atomic<bool> stopping_{false};
  Wakeup wakeup_;
  Thread thread_;
};

}  // namespace isthmus::datastore
