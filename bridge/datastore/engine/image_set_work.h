// What one accepted change does: planned while reading (documents are looked at and made), applied
// in one transaction. Private to image_set_changes.cc.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "datastore/engine/levels.h"
#include "sql/sql.h"

namespace isthmus::datastore {

struct ChangeRow {
  std::int64_t id = 0;
  std::string data_store;
  std::string kind;  // update, copy, delete
  nlohmann::json work;
};

// The row of an instance that takes the place of another.
struct InstanceEdit {
  std::int64_t row = 0;
  std::string sop_instance_uid;
  Bytes examination;
  std::string attributes;
};

struct ImageSetPlan {
  std::string id;
  std::int64_t version = 0;
  Levels levels;
  std::vector<InstanceEdit> edits;
  std::vector<std::int64_t> removed;  // rows
};

struct ChangePlan {
  std::vector<ImageSetPlan> updates;
  std::vector<std::int64_t> copied;  // rows of the source
  Levels destination_levels;         // of where they go, then
};

// The change that was accepted first.
Result<std::optional<ChangeRow>> first_change(sql::Database& database);
// "datastore.change_failed" (permanent) when it cannot be: the message is the version's.
Result<ChangePlan> plan_change(sql::Database& database, const ChangeRow& row);
// About as many bytes as the largest document will have that the plan makes; every instance is
// looked at.
Result<std::uint64_t> planned_bytes(sql::Database& database, const ChangeRow& row,
                                    const ChangePlan& plan);
// Both end the change, and give blobs that it may have been the last to name.
Result<std::vector<std::string>> apply_change(sql::Database& database, const ChangeRow& row,
                                              const ChangePlan& plan, WallTime now);
Result<std::vector<std::string>> give_up_change(sql::Database& database, const ChangeRow& row,
                                                const std::string& why, WallTime now);

// Frames of the newest version's instances; of those named, when some are.
Result<std::int64_t> count_frames(sql::Database& database, const std::string& image_set,
                                  const std::optional<std::vector<std::string>>& instances);

}  // namespace isthmus::datastore
