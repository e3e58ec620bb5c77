#include "datastore/engine/schema_search.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "datastore/engine/search_columns.h"

namespace isthmus::datastore {
namespace {

constexpr const char* kSchema = R"sql(
ALTER TABLE image_sets ADD COLUMN patient_name TEXT NOT NULL DEFAULT '';
ALTER TABLE image_sets ADD COLUMN modality TEXT NOT NULL DEFAULT '';
ALTER TABLE image_sets ADD COLUMN study_description TEXT NOT NULL DEFAULT '';
CREATE INDEX image_sets_name ON image_sets(data_store, patient_name);
CREATE INDEX image_sets_modality ON image_sets(data_store, modality, study_instance_uid);
CREATE INDEX image_sets_description ON image_sets(data_store, study_description);

-- The words of PatientName, in lower case (ASCII).
CREATE TABLE name_words (
  data_store TEXT NOT NULL,
  word TEXT NOT NULL,
  image_set TEXT NOT NULL REFERENCES image_sets(id),
  PRIMARY KEY (data_store, word, image_set)
) STRICT, WITHOUT ROWID;
)sql";

// Rows of before, a page at a time: their number is not known.
Result<void> fill(sql::Database& database) {
  std::string last;
  while (true) {
    std::vector<std::pair<std::string, std::string>> page;
    {
      TRY_ASSIGN(sql::Statement rows,
                 database.query("SELECT id, attributes FROM image_sets WHERE id > ? ORDER BY id"
                                " LIMIT 500",
                                {last}));
      while (true) {
        TRY_ASSIGN(const bool more, rows.next());
        if (!more) break;
        page.emplace_back(rows.text(0), rows.text(1));
      }
    }
    if (page.empty()) return {};
    for (const auto& [id, attributes] : page) {
      const auto parsed = nlohmann::json::parse(attributes, nullptr, false);
      if (parsed.is_object()) TRY(write_search_columns(database, id, parsed));
    }
    last = page.back().first;
  }
}

}  // namespace

sql::Migration search_columns_migration() {
  return {kSchema, fill};
}

}  // namespace isthmus::datastore
