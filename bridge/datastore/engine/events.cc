#include "datastore/engine/events.h"

#include <nlohmann/json.hpp>

#include "base/digest.h"

namespace isthmus::datastore {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kAtATime = 500;
constexpr Milliseconds kLookAgain{1'000};
constexpr Milliseconds kAfterTrouble{10'000};

struct Words {
  std::string_view status, detail_type;
};
// The guide's table; the last two are ours, for versions that an import makes.
constexpr Words kDataStore[] = {{"CREATING", "Data Store Creating"},
                                {"ACTIVE", "Data Store Created"},
                                {"DELETING", "Data Store Deleting"},
                                {"DELETED", "Data Store Deleted"}};
constexpr Words kImportJob[] = {{"SUBMITTED", "Import Job Submitted"},
                                {"IN_PROGRESS", "Import Job In Progress"},
                                {"COMPLETED", "Import Job Completed"},
                                {"FAILED", "Import Job Failed"}};
constexpr Words kImageSet[] = {
    {"CREATED", "Image Set Created"},
    {"COPYING", "Image Set Copying"},
    {"COPYING_WITH_READ_ONLY_ACCESS", "Image Set Copying With Read Only Access"},
    {"COPIED", "Image Set Copied"},
    {"COPY_FAILED", "Image Set Copy Failed"},
    {"UPDATING", "Image Set Updating"},
    {"UPDATING_FOR_STUDY_CONSISTENCY", "Image Set Updating For Study Consistency"},
    {"UPDATED", "Image Set Updated"},
    {"UPDATE_FAILED", "Image Set Update Failed"},
    {"DELETING", "Image Set Deleting"},
    {"DELETED", "Image Set Deleted"},
    {"IMPORTED", "Image Set Imported"}};

template <std::size_t N>
std::string type_of(const Words (&words)[N], const std::string& status) {
  for (const Words& one : words) {
    if (one.status == status) return std::string(one.detail_type);
  }
  return status;
}

std::string state_of(const std::string& status) {
  if (status == "DELETED") return "DELETED";
  return status.find("ING") != std::string::npos ? "LOCKED" : "ACTIVE";
}

// The same event has the same id, whoever asks and whenever: a UUID of version 4's form.
std::string uuid_of(const std::string& subject, std::int64_t id) {
  std::string hex = sha256(subject + "/" + std::to_string(id)).hex().substr(0, 32);
  hex[12] = '4';
  hex[16] = '8';
  for (const std::size_t at : {20U, 16U, 12U, 8U}) hex.insert(at, "-");
  return hex;
}

#define EVENT_COLUMNS                                                                         \
  "e.id, e.at, e.kind, e.data_store, e.subject, e.status, e.version, e.is_primary, e.source," \
  " d.name, j.name, j.input_s3_uri, j.output_s3_uri FROM events e"                            \
  " JOIN data_stores d ON d.id = e.data_store LEFT JOIN import_jobs j ON j.id = e.subject"

}  // namespace

Events::Events(Env& env, Catalogue& catalogue, EventSettings settings)
    : env_(env), catalogue_(catalogue), settings_(std::move(settings)) {}

Result<std::string> Events::print(sql::Statement& row) const {
  const std::string kind = row.text(2), data_store = row.text(3), subject = row.text(4),
                    status = row.text(5);
  const std::string store_arn = "arn:aws:medical-imaging:" + settings_.region + ":" +
                                settings_.account_id + ":datastore/" + data_store;
  ordered_json detail;
  detail["imagingVersion"] = "1.0";
  std::string type, resource = store_arn;
  if (kind == "image_set") {
    type = type_of(kImageSet, status);
    resource = store_arn + "/imageset/" + subject;
    detail["isPrimary"] = row.integer(7) != 0;
    detail["imageSetVersion"] = std::to_string(row.integer(6));
    detail["datastoreId"] = data_store;
    detail["imagesetId"] = subject;
    detail["imageSetState"] = state_of(status);
    detail["imageSetWorkflowStatus"] = status;
    if (!row.is_null(8)) detail["sourceImageSetArn"] = store_arn + "/imageset/" + row.text(8);
  } else if (kind == "import_job") {
    type = type_of(kImportJob, status);
    detail["datastoreId"] = data_store;
    detail["jobId"] = subject;
    detail["jobName"] = row.text(10);
    detail["jobStatus"] = status;
    detail["inputS3Uri"] = row.text(11);
    detail["outputS3Uri"] = row.text(12);
  } else {
    type = type_of(kDataStore, status);
    detail["datastoreId"] = data_store;
    detail["datastoreName"] = row.text(9);
    detail["datastoreStatus"] = status;
  }
  ordered_json event;
  event["version"] = "0";
  event["id"] = uuid_of(subject, row.integer(0));
  event["detail-type"] = type;
  event["source"] = "aws.medical-imaging";
  event["account"] = settings_.account_id;
  event["time"] = to_rfc3339(row.time(1));
  event["region"] = settings_.region;
  event["resources"] = {resource};
  event["detail"] = std::move(detail);
  return event.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

Result<std::vector<Event>> Events::list(std::int64_t after, std::size_t limit) {
  return catalogue_.read([&](sql::Database& database) -> Result<std::vector<Event>> {
    TRY_ASSIGN(sql::Statement rows,
               database.query("SELECT " EVENT_COLUMNS " WHERE e.id > ? ORDER BY e.id LIMIT ?",
                              {after, limit}));
    std::vector<Event> events;
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) return events;
      TRY_ASSIGN(std::string json, print(rows));
      events.push_back({rows.integer(0), std::move(json)});
    }
  });
}

void Events::start() {
  if (thread_.joinable() || settings_.file.empty()) return;
  stopping_ = false;
  thread_ = Thread(env_, "ds-events", [this] { work(); });
}

void Events::stop() {
  stopping_ = true;
  wakeup_.notify();
  thread_.join();
}

void Events::work() {
  while (!stopping_) {
    const Result<bool> wrote = write_some();
    if (wrote && *wrote) continue;
    if (!wrote) env_.log.warn("datastore.events_postponed", {{"code", wrote.error().code}});
    if (!stopping_) wakeup_.wait_for(wrote ? kLookAgain : kAfterTrouble);
  }
}

// Lines are made of the rows alone: written again at the same place, they are the same.
Result<bool> Events::write_some() {
  struct Cursor {
    std::int64_t last = 0;
    std::uint64_t bytes = 0;
  };
  TRY_ASSIGN(Cursor cursor, catalogue_.read([](sql::Database& database) -> Result<Cursor> {
    TRY_ASSIGN(sql::Statement rows, database.query("SELECT last_event, bytes FROM event_file"));
    TRY_ASSIGN(const bool there, rows.next());
    return there ? Cursor{rows.integer(0), static_cast<std::uint64_t>(rows.integer(1))} : Cursor{};
  }));
  TRY_ASSIGN(const std::vector<Event> events, list(cursor.last, kAtATime));
  if (events.empty()) return false;
  TRY_ASSIGN(auto file, env_.files.open(settings_.file, FileSystem::Mode::open_or_create));
  TRY_ASSIGN(const std::uint64_t size, file->size());
  if (size < cursor.bytes) cursor.bytes = 0;
  std::string text;
  for (const Event& event : events) text += event.json + "\n";
  TRY(file->write_at(cursor.bytes, as_bytes(text)));
  TRY(file->sync());
  if (cursor.bytes == 0) TRY(env_.files.sync_directory(settings_.file.parent_path()));
  const Result<void> noted = catalogue_.write([&](sql::Database& database) -> Result<void> {
    TRY(
        database.run("INSERT INTO event_file (id, last_event, bytes) VALUES (1, ?1, ?2)"
                     " ON CONFLICT (id) DO UPDATE SET last_event = ?1, bytes = ?2",
                     {events.back().id, cursor.bytes + text.size()}));
    TRY(database.run("DELETE FROM events WHERE id <= ?", {events.back().id - settings_.kept}));
    return {};
  });
  TRY(noted);
  return true;
}

}  // namespace isthmus::datastore
