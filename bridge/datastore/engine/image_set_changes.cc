// Accepting changes, and the thread that works on them. What one change does is in
// image_set_work.cc.
#include "datastore/engine/image_set_changes.h"

#include <nlohmann/json.hpp>

#include "base/failpoint.h"
#include "base/ids.h"
#include "datastore/engine/data_stores.h"
#include "datastore/engine/image_set_work.h"
#include "datastore/engine/update_document.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;

constexpr Milliseconds kLookAgain{1'000};
constexpr Milliseconds kAfterTrouble{2'000};

Error refused(std::string message) {
  return permanent_error("datastore.change_refused", std::move(message));
}

// Locks nothing itself: says whether it may be, and that the caller saw its newest version.
Result<ImageSetVersionRecord> changeable(sql::Database& database, const std::string& data_store,
                                         const std::string& image_set,
                                         std::optional<std::int64_t> seen) {
  TRY_ASSIGN(ImageSetVersionRecord record,
             find_version(database, data_store, image_set, std::nullopt));
  if (record.state == "DELETED") {
    return permanent_error("datastore.no_such_image_set", "The image set was deleted.");
  }
  if (record.state == "LOCKED") {
    return permanent_error("datastore.image_set_locked",
                           "The image set is locked: another change is on its way.");
  }
  if (seen && *seen != record.version) {
    // The service's words: contracts/healthimaging/README.md section 5.
    return permanent_error("datastore.not_latest",
                           "Requested version(s) of ImageSet(s) is not the latest.");
  }
  return record;
}

// A version that holds what the one before holds until the change is applied.
Result<void> begin_version(sql::Database& database, ImageSetVersionRecord& set,
                           const std::string& status, std::optional<bool> forced, WallTime now) {
  set.version += 1;
  set.state = "LOCKED";
  set.workflow_status = status;
  set.forced = forced;
  set.updated_at = now;
  TRY(database.run(
      "INSERT INTO image_set_versions (image_set, version, workflow_status, is_primary,"
      " created_at, updated_at, import_job, forced) VALUES (?, ?, ?, ?, ?, ?, '', ?)",
      {set.image_set, set.version, status, set.is_primary, set.created_at, now, forced}));
  TRY(
      database.run("UPDATE image_sets SET latest_version = ?, state = 'LOCKED', updated_at = ?"
                   " WHERE id = ? AND state = 'ACTIVE'",
                   {set.version, now, set.image_set}));
  return {};
}

// The version that is there is only looked at, or goes.
Result<void> lock_as_it_is(sql::Database& database, ImageSetVersionRecord& set,
                           const std::string& status, WallTime now) {
  set.state = "LOCKED";
  set.workflow_status = status;
  set.updated_at = now;
  TRY(database.run("UPDATE image_sets SET state = 'LOCKED' WHERE id = ?", {set.image_set}));
  TRY(
      database.run("UPDATE image_set_versions SET workflow_status = ?, updated_at = ?"
                   " WHERE image_set = ? AND version = ?",
                   {status, now, set.image_set, set.version}));
  return {};
}

Result<void> keep(sql::Database& database, const std::string& data_store, const char* kind,
                  const json& work, WallTime now) {
  TRY(database.run(
      "INSERT INTO image_set_changes (data_store, kind, work, accepted_at)"
      " VALUES (?, ?, ?, ?)",
      {data_store, kind, work.dump(-1, ' ', false, json::error_handler_t::replace), now}));
  FAILPOINT(datastore_change_ordered);
  return {};
}

json or_null(const std::optional<std::string>& text) {
  return text ? json(*text) : json(nullptr);
}

// The other primary sets of the study: they change with this one, or none does.
Result<std::vector<std::string>> primaries_beside(sql::Database& database,
                                                  const std::string& data_store,
                                                  const std::string& image_set) {
  TRY_ASSIGN(sql::Statement rows,
             database.query("SELECT o.id FROM image_sets o JOIN image_sets s"
                            " ON o.data_store = s.data_store"
                            " AND o.study_instance_uid = s.study_instance_uid"
                            " WHERE s.id = ? AND s.data_store = ? AND o.id <> s.id"
                            " AND o.is_primary = 1 ORDER BY o.id",
                            {image_set, data_store}));
  std::vector<std::string> ids;
  while (true) {
    TRY_ASSIGN(const bool more, rows.next());
    if (!more) return ids;
    ids.push_back(rows.text(0));
  }
}

}  // namespace

ImageSetChanges::ImageSetChanges(Env& env, Catalogue& catalogue, Objects& objects,
                                 Examiner& examiner, ChangeLimits limits)
    : env_(env), catalogue_(catalogue), objects_(objects), examiner_(examiner), limits_(limits) {}

Result<void> ImageSetChanges::check_documents(const UpdateOrder& order) {
  if (order.revert_to) {
    if (order.include_study) {
      return refused("includeStudyImageSets cannot be used with revertToVersionId.");
    }
    return {};
  }
  if (!order.removable && !order.updatable) return refused("DICOMUpdates holds nothing.");
  const std::size_t bytes =
      order.removable.value_or("").size() + order.updatable.value_or("").size();
  if (limits_.update_bytes > 0 && bytes > limits_.update_bytes) {
    return permanent_error(
        "datastore.change_too_large",
        "The update is above the quota of " + std::to_string(limits_.update_bytes) + " bytes.");
  }
  const auto check = [&](const std::optional<std::string>& text,
                         UpdatePurpose purpose) -> Result<void> {
    if (!text) return {};
    TRY_ASSIGN(const UpdateDocument document, parse_update_document(*text));
    TRY_ASSIGN(const Dictionary dictionary, examiner_.look_up(document.keys()));
    return check_update(document, dictionary, purpose, order.forced);
  };
  TRY(check(order.removable, UpdatePurpose::remove));
  return check(order.updatable, UpdatePurpose::insert_or_replace);
}

Result<void> ImageSetChanges::check_room(sql::Database& database, const std::string& data_store,
                                         const char* kind) {
  if (limits_.unfinished_of_a_kind <= 0) return {};
  TRY_ASSIGN(const auto unfinished,
             database.query_integer(
                 "SELECT COUNT(*) FROM image_set_changes WHERE data_store = ? AND kind = ?",
                 {data_store, kind}));
  if (unfinished.value_or(0) < limits_.unfinished_of_a_kind) return {};
  return permanent_error("datastore.too_many_changes",
                         "The quota of concurrent requests of this kind is used up.");
}

Result<ImageSetVersionRecord> ImageSetChanges::update(const UpdateOrder& order) {
  TRY(check_documents(order));
  const bool uids =
      order.updatable && changes_uids(parse_update_document(*order.updatable).value());
  const WallTime now = env_.clock.wall_now();
  TRY_ASSIGN(
      const ImageSetVersionRecord accepted,
      catalogue_.write([&](sql::Database& database) -> Result<ImageSetVersionRecord> {
        TRY(require_active(database, order.data_store));
        TRY_ASSIGN(ImageSetVersionRecord set,
                   changeable(database, order.data_store, order.image_set, order.latest_version));
        TRY(check_room(database, order.data_store, "update"));
        if (uids && set.is_primary && !limits_.primary_uids) {
          return refused("The UIDs of a primary image set cannot be changed.");
        }
        if (order.revert_to && (*order.revert_to < 1 || *order.revert_to >= set.version)) {
          return permanent_error("datastore.no_such_image_set",
                                 "There is no earlier version of that number.");
        }
        const std::optional<bool> forced = order.forced ? std::optional(true) : std::nullopt;
        TRY(begin_version(database, set, "UPDATING", forced, now));
        json sets = {{{"id", set.image_set}, {"version", set.version}}};
        if (order.include_study) {
          TRY_ASSIGN(const std::vector<std::string> others,
                     primaries_beside(database, order.data_store, order.image_set));
          for (const std::string& id : others) {
            TRY_ASSIGN(ImageSetVersionRecord other,
                       changeable(database, order.data_store, id, std::nullopt));
            TRY(begin_version(database, other, "UPDATING_FOR_STUDY_CONSISTENCY", forced, now));
            sets.push_back({{"id", id}, {"version", other.version}});
          }
        }
        json work = {{"sets", std::move(sets)},
                     {"removable", or_null(order.removable)},
                     {"updatable", or_null(order.updatable)}};
        if (order.revert_to) work["revertTo"] = *order.revert_to;
        TRY(keep(database, order.data_store, "update", work, now));
        return set;
      }));
  FAILPOINT(datastore_change_accepted);
  wakeup_.notify();
  return accepted;
}

Result<CopyAccepted> ImageSetChanges::accept_copy(sql::Database& database, const CopyOrder& order) {
  const WallTime now = env_.clock.wall_now();
  TRY(require_active(database, order.data_store));
  TRY_ASSIGN(ImageSetVersionRecord source,
             changeable(database, order.data_store, order.source, order.source_version));
  TRY(check_room(database, order.data_store, "copy"));
  ImageSetVersionRecord destination;
  const std::optional<bool> forced = order.forced ? std::optional(true) : std::nullopt;
  if (order.destination) {
    TRY_ASSIGN(destination, changeable(database, order.data_store, *order.destination,
                                       order.destination_version));
  } else {
    destination.image_set = make_id_text(env_);
    destination.created_at = now;
    // Empty, and so in no search, until the copy is there.
    TRY(database.run(
        "INSERT INTO image_sets (id, data_store, grouping, is_primary, latest_version, created_at,"
        " updated_at, instance_count, study_instance_uid, series_instance_uid, patient_id,"
        " accession_number, study_id, study_moment, attributes)"
        " VALUES (?1, ?2, ?1, 0, 1, ?3, ?3, 0, '', '', '', '', '', '', '{}')",
        {destination.image_set, order.data_store, now}));
  }
  TRY(begin_version(database, destination, "COPYING", forced, now));
  // The trigger that wrote the event knows only the destination.
  TRY(
      database.run("UPDATE events SET source = ? WHERE kind = 'image_set' AND subject = ?"
                   " AND version = ? AND status = 'COPYING'",
                   {source.image_set, destination.image_set, destination.version}));
  const json work = {{"source", source.image_set},
                     {"sourceVersion", source.version},
                     {"sourceStatus", source.workflow_status},
                     {"destination", destination.image_set},
                     {"version", destination.version},
                     {"copiable", or_null(order.copiable)},
                     {"forced", order.forced},
                     {"promote", order.promote}};
  TRY(lock_as_it_is(database, source, "COPYING_WITH_READ_ONLY_ACCESS", now));
  TRY(keep(database, order.data_store, "copy", work, now));
  return CopyAccepted{source, destination};
}

Result<CopyAccepted> ImageSetChanges::copy(const CopyOrder& order) {
  if (order.destination == order.source) return refused("An image set is not copied into itself.");
  std::optional<std::vector<std::string>> instances;
  if (order.copiable) {
    TRY_ASSIGN(instances, parse_copiable(*order.copiable));
  }
  if (limits_.frames_per_copy > 0) {
    TRY_ASSIGN(const std::int64_t frames,
               catalogue_.read([&](sql::Database& database) -> Result<std::int64_t> {
                 return count_frames(database, order.source, instances);
               }));
    if (frames > limits_.frames_per_copy) {
      return permanent_error("datastore.change_too_large",
                             "The copy is above the quota of " +
                                 std::to_string(limits_.frames_per_copy) + " image frames.");
    }
  }
  TRY_ASSIGN(const CopyAccepted accepted, catalogue_.write([&](sql::Database& database) {
    return accept_copy(database, order);
  }));
  FAILPOINT(datastore_change_accepted);
  wakeup_.notify();
  return accepted;
}

Result<ImageSetVersionRecord> ImageSetChanges::remove(const std::string& data_store,
                                                      const std::string& image_set) {
  TRY_ASSIGN(
      const ImageSetVersionRecord accepted,
      catalogue_.write([&](sql::Database& database) -> Result<ImageSetVersionRecord> {
        TRY(require_active(database, data_store));
        TRY_ASSIGN(ImageSetVersionRecord set,
                   changeable(database, data_store, image_set, std::nullopt));
        TRY(check_room(database, data_store, "delete"));
        TRY(lock_as_it_is(database, set, "DELETING", env_.clock.wall_now()));
        TRY(keep(database, data_store, "delete",
                 {{"imageSet", set.image_set}, {"version", set.version}}, env_.clock.wall_now()));
        return set;
      }));
  FAILPOINT(datastore_change_accepted);
  wakeup_.notify();
  return accepted;
}

void ImageSetChanges::start() {
  if (thread_.joinable()) return;
  stopping_ = false;
  thread_ = Thread(env_, "ds-changes", [this] { work(); });
}

void ImageSetChanges::stop() {
  stopping_ = true;
  wakeup_.notify();
  thread_.join();
}

void ImageSetChanges::work() {
  while (!stopping_) {
    const Result<bool> worked = run_once();
    if (worked && *worked) continue;
    if (!worked && worked.error().fate == Fate::fatal) {
      if (env_.on_fatal) env_.on_fatal(worked.error());
      return;
    }
    if (stopping_) return;
    if (!worked) env_.log.warn("datastore.change_postponed", {{"code", worked.error().code}});
    wakeup_.wait_for(worked ? kLookAgain : kAfterTrouble);
  }
}

Result<bool> ImageSetChanges::run_once() {
  TRY_ASSIGN(const std::optional<ChangeRow> row, catalogue_.read(first_change));
  if (!row) return false;
  Result<std::vector<std::string>> done = carry_out(*row);
  if (!done && done.error().fate == Fate::permanent) {
    env_.log.info("datastore.change_failed", {{"kind", row->kind}, {"code", done.error().code}});
    // What the service would say only where the request is to blame.
    const std::string why = done.error().code == "datastore.change_failed"
                                ? done.error().message
                                : "INVALID_REQUEST: the change conflicts with another image set.";
    done = catalogue_.write([&](sql::Database& database) {
      return give_up_change(database, *row, why, env_.clock.wall_now());
    });
    if (done) FAILPOINT(datastore_change_given_up);
  }
  TRY_ASSIGN(const std::vector<std::string> garbage, std::move(done));
  FAILPOINT(datastore_change_applied);
  if (row->kind == "delete") objects_.collect_deleted(garbage);  // others let go of no blobs
  return true;
}

Result<std::vector<std::string>> ImageSetChanges::carry_out(const ChangeRow& row) {
  TRY_ASSIGN(const ChangePlan plan,
             catalogue_.read([&](sql::Database& database) -> Result<ChangePlan> {
               TRY_ASSIGN(ChangePlan made, plan_change(database, row));
               if (limits_.metadata_bytes == 0) return made;
               TRY_ASSIGN(const std::uint64_t bytes, planned_bytes(database, row, made));
               if (bytes <= limits_.metadata_bytes) return made;
               return permanent_error("datastore.change_failed",
                                      "INVALID_REQUEST: the metadata would be above the quota of " +
                                          std::to_string(limits_.metadata_bytes) + " bytes.");
             }));
  FAILPOINT(datastore_change_planned);
  TRY_ASSIGN(std::vector<std::string> garbage, catalogue_.write([&](sql::Database& database) {
    return apply_change(database, row, plan, env_.clock.wall_now());
  }));
  env_.log.info("datastore.change_done", {{"kind", row.kind}});
  return garbage;
}

}  // namespace isthmus::datastore
