// The upper levels of an image set's metadata (Patient, Study, Series), which its instances share:
// kept per version once somebody has changed them, before that those of the version's first
// instance.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "datastore/engine/image_sets.h"
#include "sql/sql.h"

namespace isthmus::datastore {

struct Levels {
  nlohmann::json patient = nlohmann::json::object();
  nlohmann::json study = nlohmann::json::object();
  nlohmann::json series = nlohmann::json::object();

  // The value's text without padding; empty when absent or not text.
  std::string series_instance_uid() const;
};

// As a column holds them. "datastore.io" (fatal) when it is damaged.
Bytes print_levels(const Levels& levels);
Result<Levels> parse_levels(ByteSpan column);
// Of an instance's `examination` column.
Result<nlohmann::json> parse_document(ByteSpan column);
Bytes print_document(const nlohmann::json& document);

// Those that were changed, as of this version; nothing when nobody has.
Result<std::optional<Levels>> changed_levels(sql::Database& database, const std::string& image_set,
                                             std::int64_t version);
// Those of this version in any case. "datastore.no_such_image_set" (permanent) when it has no
// instances.
Result<Levels> levels_of(sql::Database& database, const std::string& image_set,
                         std::int64_t version);

// What grouping and searching see of them.
Digest grouping_of(const Levels& levels);
nlohmann::json search_attributes(const Levels& levels);

// An instance's `attributes` once its document is another. "datastore.io" (fatal) when those of
// before are damaged.
Result<std::string> instance_attributes(const std::string& before, const nlohmann::json& document);

// Writes what searching sees of a set: from `attributes`, and the count of its instances.
Result<void> describe_image_set(sql::Database& database, const std::string& image_set,
                                const nlohmann::json& attributes);

}  // namespace isthmus::datastore
