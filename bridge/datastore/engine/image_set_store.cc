#include "datastore/engine/image_set_store.h"

namespace isthmus::datastore {
namespace {

Error no_such_image_set() {
  return permanent_error("datastore.no_such_image_set", "The image set does not exist.");
}

ImageSetVersionRecord read_version(sql::Columns columns) {
  ImageSetVersionRecord record;
  record.image_set = columns.text();
  record.version = columns.integer();
  record.state = columns.text();
  record.workflow_status = columns.text();
  record.is_primary = columns.boolean();
  record.created_at = columns.time();
  record.updated_at = columns.time();
  record.deleted_at = columns.optional_time();
  record.accessed_at = columns.optional_time();
  record.message = columns.optional_text();
  record.forced = columns.optional_boolean();
  return record;
}

// A state is the set's; versions that are not its newest are at rest until it is deleted.
#define VERSION_COLUMNS                                                                   \
  "v.image_set, v.version, CASE WHEN s.state = 'LOCKED' AND v.version < s.latest_version" \
  " THEN 'ACTIVE' ELSE s.state END, v.workflow_status, v.is_primary, v.created_at,"       \
  " v.updated_at, s.deleted_at, s.accessed_at, v.message, v.forced"

ImageSetSummary read_summary(sql::Columns columns) {
  ImageSetSummary summary;
  summary.id = columns.text();
  summary.version = columns.integer();
  summary.is_primary = columns.boolean();
  summary.created_at = columns.time();
  summary.updated_at = columns.time();
  summary.accessed_at = columns.optional_time();
  summary.study_moment = columns.text();
  summary.attributes = columns.text();
  summary.study_series = columns.integer();
  summary.study_instances = columns.integer();
  return summary;
}

// One text for each order, so that each is prepared once. ?14 and ?15 are the position of the page
// before.
std::string search_text(std::string_view column, bool descending) {
  const std::string sort(column);
  const std::string direction = descending ? " DESC" : "";
  return "SELECT s.id, s.latest_version, s.is_primary, s.created_at, s.updated_at,"
         " s.accessed_at, s.study_moment, s.attributes,"
         " (SELECT COUNT(*) FROM image_sets p WHERE p.data_store = s.data_store"
         "  AND p.study_instance_uid = s.study_instance_uid AND p.is_primary = 1),"
         " (SELECT COALESCE(SUM(p.instance_count), 0) FROM image_sets p"
         "  WHERE p.data_store = s.data_store"
         "  AND p.study_instance_uid = s.study_instance_uid AND p.is_primary = 1)"
         " FROM image_sets s WHERE s.data_store = ?1 AND s.instance_count > 0"
         " AND (?2 IS NULL OR s.patient_id = ?2)"
         " AND (?3 IS NULL OR s.accession_number = ?3)"
         " AND (?4 IS NULL OR s.study_id = ?4)"
         " AND (?5 IS NULL OR s.study_instance_uid = ?5)"
         " AND (?6 IS NULL OR s.series_instance_uid = ?6)"
         " AND (?7 IS NULL OR s.created_at >= ?7) AND (?8 IS NULL OR s.created_at <= ?8)"
         " AND (?9 IS NULL OR s.updated_at >= ?9) AND (?10 IS NULL OR s.updated_at <= ?10)"
         " AND (?11 IS NULL OR (s.study_moment <> '' AND s.study_moment >= ?11))"
         " AND (?12 IS NULL OR (s.study_moment <> '' AND s.study_moment <= ?12))"
         " AND (?13 IS NULL OR s.is_primary = ?13)"
         " AND (?15 IS NULL OR (s." +
         sort + ", s.id) " + (descending ? "<" : ">") +
         " (?14, ?15))"
         " ORDER BY s." +
         sort + direction + ", s.id" + direction + " LIMIT ?16";
}

std::string_view column_of(SearchOrder order) {
  switch (order) {
    case SearchOrder::created_at:
      return "created_at";
    case SearchOrder::updated_at:
      return "updated_at";
    case SearchOrder::study_moment:
      return "study_moment";
  }
  ASSERT(false);
  return "";
}

sql::Value position_of(const ImageSetQuery& query) {
  if (!query.after) return std::nullopt;
  if (query.order == SearchOrder::study_moment) return query.after->value;
  // The position was checked where it came in: digits.
  return static_cast<std::int64_t>(std::strtoll(query.after->value.c_str(), nullptr, 10));
}

}  // namespace

std::string position_value(const ImageSetSummary& summary, SearchOrder order) {
  switch (order) {
    case SearchOrder::created_at:
      return std::to_string(summary.created_at.time_since_epoch().count());
    case SearchOrder::updated_at:
      return std::to_string(summary.updated_at.time_since_epoch().count());
    case SearchOrder::study_moment:
      return summary.study_moment;
  }
  ASSERT(false);
  return "";
}

bool ImageSetVersionRecord::finished() const {
  return workflow_status != "COPYING" && workflow_status != "UPDATING" &&
         workflow_status != "UPDATING_FOR_STUDY_CONSISTENCY";
}

Result<ImageSetVersionRecord> find_version(sql::Database& database, const std::string& data_store,
                                           const std::string& image_set,
                                           std::optional<std::int64_t> version) {
  TRY_ASSIGN(sql::Statement rows,
             database.query("SELECT " VERSION_COLUMNS
                            " FROM image_set_versions v JOIN image_sets s ON s.id = v.image_set"
                            " WHERE s.id = ?1 AND s.data_store = ?2"
                            " AND v.version = COALESCE(?3, s.latest_version)",
                            {image_set, data_store, version}));
  TRY_ASSIGN(const bool there, rows.next());
  if (!there) return no_such_image_set();
  return read_version(rows.columns());
}

ImageSetStore::ImageSetStore(Env& env, Catalogue& catalogue, Blobs& blobs)
    : env_(env), catalogue_(catalogue), blobs_(blobs) {}

Result<ImageSetVersionRecord> ImageSetStore::find(const std::string& data_store,
                                                  const std::string& image_set,
                                                  std::optional<std::int64_t> version) {
  return catalogue_.read([&](sql::Database& database) {
    return find_version(database, data_store, image_set, version);
  });
}

Result<ImageSetVersionRecord> ImageSetStore::find_content(const std::string& data_store,
                                                          const std::string& image_set,
                                                          std::optional<std::int64_t> version) {
  return catalogue_.read([&](sql::Database& database) -> Result<ImageSetVersionRecord> {
    TRY_ASSIGN(ImageSetVersionRecord record,
               find_version(database, data_store, image_set, version));
    if (record.state == "DELETED") return no_such_image_set();
    if (record.finished()) return record;
    if (version || record.version == 1) {
      return permanent_error("datastore.image_set_locked",
                             "The image set is locked: this version is still being made.");
    }
    return find_version(database, data_store, image_set, record.version - 1);
  });
}

void ImageSetStore::note_access(const ImageSetVersionRecord& version) {
  constexpr Milliseconds kOften{3'600'000};
  const WallTime now = env_.clock.wall_now();
  if (version.accessed_at && now - *version.accessed_at < kOften) return;
  ignore(catalogue_.write([&](sql::Database& database) -> Result<void> {
    TRY(database.run("UPDATE image_sets SET accessed_at = ? WHERE id = ?",
                     {now, version.image_set}));
    return {};
  }),
         "reading goes on; the next reader takes it down");
}

Result<std::vector<ImageSetVersionRecord>> ImageSetStore::versions(const std::string& data_store,
                                                                   const std::string& image_set,
                                                                   std::int64_t below,
                                                                   std::size_t limit) {
  using Records = std::vector<ImageSetVersionRecord>;
  return catalogue_.read([&](sql::Database& database) -> Result<Records> {
    TRY_ASSIGN(const auto there,
               database.query_integer("SELECT 1 FROM image_sets WHERE id = ? AND data_store = ?",
                                      {image_set, data_store}));
    if (!there) return no_such_image_set();
    TRY_ASSIGN(sql::Statement rows,
               database.query("SELECT " VERSION_COLUMNS " FROM image_set_versions v"
                              " JOIN image_sets s ON s.id = v.image_set WHERE v.image_set = ?1"
                              " AND (?2 = 0 OR v.version < ?2) ORDER BY v.version DESC LIMIT ?3",
                              {image_set, below, limit}));
    Records records;
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) return records;
      records.push_back(read_version(rows.columns()));
    }
  });
}

Result<std::vector<ImageSetSummary>> ImageSetStore::search(const std::string& data_store,
                                                           const ImageSetQuery& query) {
  using Summaries = std::vector<ImageSetSummary>;
  return catalogue_.read([&](sql::Database& database) -> Result<Summaries> {
    const auto after_id = query.after ? std::optional<std::string>(query.after->id) : std::nullopt;
    TRY_ASSIGN(sql::Statement rows,
               database.query(
                   search_text(column_of(query.order), query.descending),
                   {data_store, query.patient_id, query.accession_number, query.study_id,
                    query.study_instance_uid, query.series_instance_uid, query.created_from,
                    query.created_to, query.updated_from, query.updated_to, query.study_from,
                    query.study_to, query.is_primary, position_of(query), after_id, query.limit}));
    Summaries summaries;
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) return summaries;
      summaries.push_back(read_summary(rows.columns()));
    }
  });
}

}  // namespace isthmus::datastore
