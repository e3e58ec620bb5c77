#include "datastore/engine/dicom_index.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "datastore/engine/search_columns.h"

namespace isthmus::datastore {
namespace {

struct Key {
  std::string_view keyword;
  QueryLevel level;
  std::string_view expression;  // over s (image_sets) and, at instance level, i (instances)
};

#define ATTRIBUTE(table, keyword) "json_extract(" table ".attributes, '$." keyword "')"

constexpr Key kKeys[] = {
    {"StudyInstanceUID", QueryLevel::study, "s.study_instance_uid"},
    {"PatientID", QueryLevel::study, "s.patient_id"},
    {"AccessionNumber", QueryLevel::study, "s.accession_number"},
    {"StudyID", QueryLevel::study, "s.study_id"},
    {"StudyDate", QueryLevel::study, "substr(s.study_moment, 1, 8)"},
    {"StudyTime", QueryLevel::study, "substr(s.study_moment, 9)"},
    {"PatientName", QueryLevel::study, "s.patient_name"},
    {"ReferringPhysicianName", QueryLevel::study, "s.referring_physician"},
    {"PatientBirthDate", QueryLevel::study, ATTRIBUTE("s", "PatientBirthDate")},
    {"PatientSex", QueryLevel::study, ATTRIBUTE("s", "PatientSex")},
    {"StudyDescription", QueryLevel::study, "s.study_description"},
    {"ModalitiesInStudy", QueryLevel::study, ""},  // of any series of the study: see condition()
    {"SeriesInstanceUID", QueryLevel::series, "s.series_instance_uid"},
    {"Modality", QueryLevel::series, "s.modality"},
    {"SeriesNumber", QueryLevel::series, ATTRIBUTE("s", "SeriesNumber")},
    {"SeriesDescription", QueryLevel::series, ATTRIBUTE("s", "SeriesDescription")},
    {"BodyPartExamined", QueryLevel::series, ATTRIBUTE("s", "BodyPartExamined")},
    {"SOPInstanceUID", QueryLevel::instance, "i.sop_instance_uid"},
    {"InstanceNumber", QueryLevel::instance, ATTRIBUTE("i", "InstanceNumber")},
};

const Key* find_key(std::string_view keyword) {
  const auto found =
      std::ranges::find_if(kKeys, [&](const Key& key) { return key.keyword == keyword; });
  return found == std::end(kKeys) ? nullptr : found;
}

std::string prefix_of(const std::string& pattern) {
  return pattern.substr(0, pattern.find_first_of("*?["));
}

// Few image sets or studies that a key leaves, found beforehand by its index. SQLite would rather
// walk the studies in order, as the answer has them: that finds a page of what many have at once,
// but of what few have only at the end.
struct Candidates {
  bool studies = false;  // values are StudyInstanceUIDs; else ids of image sets
  std::vector<std::string> values;
};
constexpr std::size_t kFew = 2'000;

Result<std::optional<Candidates>> few_of(sql::Database& database, bool studies,
                                         const std::string& text, const sql::Values& values) {
  Candidates candidates{studies, {}};
  TRY_ASSIGN(sql::Statement rows, database.query(text, values));
  while (true) {
    TRY_ASSIGN(const bool more, rows.next());
    if (!more) return std::optional<Candidates>(std::move(candidates));
    if (candidates.values.size() == kFew) return std::optional<Candidates>{};
    candidates.values.push_back(rows.text(0));
  }
}

constexpr const char* kBehindAll = "\xF4\x8F\xBF\xBF";  // the last character there is

struct IndexedKey {
  std::string_view keyword;
  const char* column;
  const char* index;
  int kind;  // of search_values; 0: not there
};
constexpr IndexedKey kIndexed[] = {
    {"PatientID", "patient_id", "image_sets_patient", 2},
    {"AccessionNumber", "accession_number", "image_sets_accession", 3},
    {"PatientName", "patient_name", "image_sets_name", 1},
    {"StudyDescription", "study_description", "image_sets_description", 4},
    {"ReferringPhysicianName", "referring_physician", "image_sets_physician", 5},
    {"StudyDate", "study_moment", "image_sets_moment", 0},
};

using Found = Result<std::optional<Candidates>>;

// The longest text between the wildcards of a pattern, as far as pieces go. '[' is only ever "[[]",
// and '[' ends a text here.
std::string longest_text(const std::string& pattern) {
  constexpr std::size_t kPiece = 16;  // characters (schema_values.cc)
  std::string longest, text;
  std::size_t most = 0, characters = 0;
  for (const char c : pattern) {
    if (c == '*' || c == '?' || c == '[' || c == ']') {
      text.clear();
      characters = 0;
      continue;
    }
    const bool inside = (static_cast<unsigned char>(c) & 0xC0U) == 0x80;  // of a UTF-8 character
    if (!inside) ++characters;
    if (characters > kPiece) continue;
    text += c;
    if (characters >= most) {
      most = characters;
      longest = text;
    }
  }
  return longest;
}

// A pattern that begins with a wildcard: first which values it takes, then who has them.
Found few_by_pieces(sql::Database& database, const std::string& data_store, const QueryMatch& match,
                    const IndexedKey& key, const std::string& text) {
  const std::string statement =
      std::string(
          "SELECT DISTINCT s.id FROM (SELECT value FROM value_pieces WHERE kind = ?3"
          " AND piece >= ?4 AND piece < ?5 UNION ALL SELECT id FROM search_values"
          " INDEXED BY search_values_long"
          " WHERE data_store = ?2 AND kind = ?3 AND length(value) > 256) p"
          " CROSS JOIN search_values v ON v.id = p.value CROSS JOIN image_sets s INDEXED BY ") +
      key.index + " ON s.data_store = v.data_store AND s." + key.column +
      " = v.value WHERE v.data_store = ?2 AND v.value GLOB ?1";
  return few_of(database, false, statement,
                {match.values[0], data_store, key.kind, text, text + kBehindAll});
}

Found few_by_column(sql::Database& database, const std::string& data_store, const QueryMatch& match,
                    const IndexedKey& key) {
  const std::string column = key.column;
  const std::string from = std::string("SELECT id FROM image_sets INDEXED BY ") + key.index +
                           " WHERE data_store = ? AND " + column;
  const bool date = match.keyword == "StudyDate";
  if (date || match.kind == QueryMatch::Kind::range) {
    const bool range = match.kind == QueryMatch::Kind::range;
    const std::string& last = range ? match.values[1] : match.values[0];
    return few_of(database, false, from + " >= ? AND " + column + " < ?",
                  {data_store, match.values[0].empty() ? "0" : match.values[0],
                   (last.empty() ? "99999999" : last) + ":"});
  }
  if (match.kind == QueryMatch::Kind::equal) {
    return few_of(database, false, from + " = ?", {data_store, match.values[0]});
  }
  const std::string prefix = prefix_of(match.values[0]);
  if (const std::string text = longest_text(match.values[0]); prefix.empty() && !text.empty()) {
    return few_by_pieces(database, data_store, match, key, text);
  }
  return few_of(database, false, from + " >= ? AND " + column + " < ? AND " + column + " GLOB ?",
                {data_store, prefix, prefix + kBehindAll, match.values[0]});
}

Found few_by_words(sql::Database& database, const std::string& data_store,
                   const QueryMatch& match) {
  std::string longest;
  for (const std::string& value : match.values) {
    for (std::string& word : name_words(value)) {
      if (word.size() > longest.size()) longest = std::move(word);
    }
  }
  if (longest.empty()) return std::optional<Candidates>{};
  return few_of(database, false,
                "SELECT DISTINCT image_set FROM name_words WHERE data_store = ? AND word >= ?"
                " AND word < ?",
                {data_store, longest, longest + kBehindAll});
}

// What this key leaves, if that is few; nothing for keys without an index of this kind.
Found candidates_of(sql::Database& database, const std::string& data_store,
                    const QueryMatch& match) {
  if (match.kind == QueryMatch::Kind::equal && match.values.size() != 1) {
    return std::optional<Candidates>{};
  }
  if (match.keyword == "ModalitiesInStudy" && match.kind == QueryMatch::Kind::equal) {
    return few_of(database, true,
                  "SELECT DISTINCT study_instance_uid FROM image_sets"
                  " INDEXED BY image_sets_modality WHERE data_store = ? AND modality = ?",
                  {data_store, match.values[0]});
  }
  if (match.kind == QueryMatch::Kind::fuzzy) {
    if (match.keyword != "PatientName") return std::optional<Candidates>{};
    return few_by_words(database, data_store, match);
  }
  for (const IndexedKey& key : kIndexed) {
    if (key.keyword == match.keyword) return few_by_column(database, data_store, match, key);
  }
  return std::optional<Candidates>{};
}

// Values travel in one JSON array, parameter ?2, so that none is ever part of a statement.
class Conditions {
 public:
  void add(const QueryMatch& match) {
    const Key* key = find_key(match.keyword);
    ASSERT(key != nullptr);
    if (match.keyword == "ModalitiesInStudy") {
      text_ +=
          " AND EXISTS (SELECT 1 FROM image_sets m WHERE m.data_store = s.data_store"
          " AND m.study_instance_uid = s.study_instance_uid AND m.is_primary = 1"
          " AND m.state <> 'DELETED' AND " +
          compared(match, "m.modality") + ")";
      return;
    }
    // The day by the column that is indexed.
    if (match.keyword == "StudyDate" && match.kind == QueryMatch::Kind::equal &&
        match.values.size() == 1) {
      const std::string day = value(match.values[0]);
      text_ += " AND s.study_moment >= " + day + " AND s.study_moment < " + day + " || ':'";
      return;
    }
    if (match.keyword == "StudyDate" && match.kind == QueryMatch::Kind::range) {
      if (!match.values[0].empty()) text_ += " AND s.study_moment >= " + value(match.values[0]);
      if (!match.values[1].empty()) {
        text_ += " AND s.study_moment < " + value(match.values[1]) + " || ':'";
      }
      text_ += " AND s.study_moment <> ''";
      return;
    }
    text_ += " AND " + compared(match, std::string(key->expression));
  }
  // What the search begins with; empty: whatever SQLite thinks best.
  void drive_by(const Candidates& candidates) {
    values_.push_back(candidates.values);
    const std::string list = "json_each(?2, '$[" + std::to_string(values_.size() - 1) + "]') c";
    from_ = list + " CROSS JOIN image_sets s ON " +
            (candidates.studies ? "s.data_store = ?1 AND s.study_instance_uid = c.value"
                                : "s.id = c.value");
  }
  const std::string& from() const { return from_; }
  const std::string& text() const { return text_; }
  std::string values() const {
    return values_.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

 private:
  std::string value(const std::string& text) {
    values_.push_back(text);
    return "json_extract(?2, '$[" + std::to_string(values_.size() - 1) + "]')";
  }

  std::string compared(const QueryMatch& match, const std::string& expression) {
    std::string text;
    switch (match.kind) {
      case QueryMatch::Kind::equal:
        // An index is taken for one value; of a list SQLite thinks that most rows are in it.
        if (match.values.size() == 1) return expression + " = " + value(match.values[0]);
        // One text for any number of values: statements are kept by their text.
        values_.push_back(match.values);
        return expression + " IN (SELECT value FROM json_each(?2, '$[" +
               std::to_string(values_.size() - 1) + "]'))";
      case QueryMatch::Kind::range:
        text = expression + " <> ''";
        if (!match.values[0].empty())
          text += " AND " + expression + " >= " + value(match.values[0]);
        // Times and dates may be written shorter than the bound: '~' is behind every digit.
        if (!match.values[1].empty()) {
          text += " AND " + expression + " <= " + value(match.values[1]) + " || '~'";
        }
        return "(" + text + ")";
      case QueryMatch::Kind::like:
        // What stands before the first wildcard is a range, which an index can answer.
        text = expression + " GLOB " + value(match.values[0]);
        if (const std::string prefix = prefix_of(match.values[0]); !prefix.empty()) {
          text += " AND " + expression + " >= " + value(prefix) + " AND " + expression + " < " +
                  value(prefix + kBehindAll);
        }
        return "(" + text + ")";
      case QueryMatch::Kind::fuzzy:
        for (const std::string& word : match.values) {
          text += (text.empty() ? "" : " AND ") +
                  ("instr(' ' || lower(replace(replace(" + expression +
                   ", '^', ' '), '=', ' ')), ' ' || lower(" + value(word) + ")) > 0");
        }
        return "(" + text + ")";
    }
    ASSERT(false);
    return text;
  }

  std::string text_;
  std::string from_ = "image_sets s";
  nlohmann::json values_ = nlohmann::json::array();
};

constexpr std::string_view kVisible =
    " WHERE s.data_store = ?1 AND s.is_primary = 1 AND s.state <> 'DELETED' AND ?2 IS NOT NULL";

std::string statement(const DicomQuery& query, const std::string& from,
                      const std::string& conditions) {
  const std::string visible(kVisible);
  switch (query.level) {
    case QueryLevel::study:
      return "SELECT s.attributes, '', '', NULL, COUNT(*), SUM(s.instance_count),"
             " group_concat(DISTINCT NULLIF(s.modality, '')) FROM " +
             from + visible + conditions +
             " GROUP BY s.study_instance_uid ORDER BY s.study_instance_uid"
             " LIMIT ?3 OFFSET ?4";
    case QueryLevel::series:
      return "SELECT s.attributes, '', '', NULL, 1, s.instance_count, '' FROM " + from + visible +
             conditions + " ORDER BY s.study_instance_uid, s.id LIMIT ?3 OFFSET ?4";
    case QueryLevel::instance:
      break;
  }
  return "SELECT s.attributes, i.attributes, i.sop_instance_uid,"
         " CASE WHEN json_type(i.attributes, '$.instance') IS NULL THEN i.examination END, 1, 1, ''"
         " FROM " +
         from + " JOIN instances i ON i.image_set = s.id" + visible + " AND i.end_version IS NULL" +
         conditions + " ORDER BY i.id LIMIT ?3 OFFSET ?4";
}

}  // namespace

bool is_queryable(std::string_view keyword, QueryLevel level) {
  const Key* key = find_key(keyword);
  return key != nullptr && key->level <= level;
}

Result<std::vector<QueryResult>> DicomIndex::search(const std::string& data_store,
                                                    const DicomQuery& query) {
  // In one order, so that the same keys make the same statement: those are kept by their text.
  std::vector<QueryMatch> matches = query.matches;
  std::ranges::stable_sort(matches, {}, &QueryMatch::keyword);
  using Results = std::vector<QueryResult>;
  return catalogue_.read([&](sql::Database& database) -> Result<Results> {
    Conditions conditions;
    std::optional<Candidates> fewest;
    for (const QueryMatch& match : matches) {
      conditions.add(match);
      TRY_ASSIGN(std::optional<Candidates> few, candidates_of(database, data_store, match));
      if (few && (!fewest || few->values.size() < fewest->values.size())) fewest = std::move(few);
    }
    if (fewest) conditions.drive_by(*fewest);
    const std::string text = statement(query, conditions.from(), conditions.text());
    TRY_ASSIGN(sql::Statement rows,
               database.query(text, {data_store, conditions.values(), query.limit, query.offset}));
    Results results;
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) return results;
      QueryResult result;
      result.set_attributes = rows.text(0);
      result.instance_attributes = rows.text(1);
      result.sop_instance_uid = rows.text(2);
      result.document = rows.blob(3);
      result.series = rows.integer(4);
      result.instances = rows.integer(5);
      result.modalities = rows.text(6);
      results.push_back(std::move(result));
    }
  });
}

Result<std::vector<ServedInstance>> DicomIndex::instances(const std::string& data_store,
                                                          const InstancePath& path,
                                                          std::int64_t after, std::size_t limit) {
  using Instances = std::vector<ServedInstance>;
  return catalogue_.read([&](sql::Database& database) -> Result<Instances> {
    TRY_ASSIGN(sql::Statement rows,
               database.query("SELECT i.id, s.id, s.latest_version, s.study_instance_uid,"
                              " s.series_instance_uid, i.sop_instance_uid, i.blob, i.size_bytes,"
                              " i.examination, COALESCE(p.description, '')"
                              " FROM image_sets s JOIN instances i ON i.image_set = s.id"
                              " LEFT JOIN pixel_data p ON p.blob = i.blob"
                              " WHERE s.data_store = ?1 AND s.study_instance_uid = ?2"
                              " AND (?3 = '' OR s.series_instance_uid = ?3) AND s.is_primary = 1"
                              " AND s.state <> 'DELETED' AND i.end_version IS NULL"
                              " AND (?4 = '' OR i.sop_instance_uid = ?4) AND i.id > ?5"
                              " ORDER BY i.id LIMIT ?6",
                              {data_store, path.study, path.series, path.instance, after, limit}));
    Instances instances;
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) return instances;
      const std::optional<Digest> blob = Digest::from_hex(rows.text(6));
      if (!blob) return fatal_error("datastore.io", "A row of the catalogue is damaged.");
      instances.push_back(
          {rows.integer(0), rows.text(1), rows.integer(2), rows.text(3), rows.text(4), rows.text(5),
           *blob, static_cast<std::uint64_t>(rows.integer(7)), rows.blob(8), rows.text(9)});
    }
  });
}

}  // namespace isthmus::datastore
