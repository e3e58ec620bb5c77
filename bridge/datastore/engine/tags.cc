#include "datastore/engine/tags.h"

#include "datastore/engine/data_stores.h"
#include "datastore/engine/image_set_store.h"

namespace isthmus::datastore {
namespace {

// The id that its tags are kept under, when it is there.
Result<std::string> require_resource(sql::Database& database, const TaggedResource& resource) {
  TRY(require_active(database, resource.data_store));
  if (resource.image_set.empty()) return resource.data_store;
  TRY_ASSIGN(const ImageSetVersionRecord set,
             find_version(database, resource.data_store, resource.image_set, std::nullopt));
  if (set.state == "DELETED") {
    return permanent_error("datastore.no_such_image_set", "The image set was deleted.");
  }
  return resource.image_set;
}

}  // namespace

Result<void> add_tags(sql::Database& database, const std::string& resource, const TagMap& tags,
                      std::size_t most) {
  for (const auto& [key, value] : tags) {
    TRY(
        database.run("INSERT INTO tags (resource, key, value) VALUES (?1, ?2, ?3)"
                     " ON CONFLICT (resource, key) DO UPDATE SET value = ?3",
                     {resource, key, value}));
  }
  TRY_ASSIGN(const auto count,
             database.query_integer("SELECT COUNT(*) FROM tags WHERE resource = ?", {resource}));
  if (most > 0 && static_cast<std::size_t>(count.value_or(0)) > most) {
    return permanent_error("datastore.too_many_tags",
                           "A resource has at most " + std::to_string(most) + " tags.");
  }
  return {};
}

Result<void> Tags::add(const TaggedResource& resource, const TagMap& tags) {
  return catalogue_.write([&](sql::Database& database) -> Result<void> {
    TRY_ASSIGN(const std::string id, require_resource(database, resource));
    return add_tags(database, id, tags, most_);
  });
}

Result<void> Tags::remove(const TaggedResource& resource, const std::vector<std::string>& keys) {
  return catalogue_.write([&](sql::Database& database) -> Result<void> {
    TRY_ASSIGN(const std::string id, require_resource(database, resource));
    for (const std::string& key : keys) {
      TRY(database.run("DELETE FROM tags WHERE resource = ? AND key = ?", {id, key}));
    }
    return {};
  });
}

Result<TagMap> Tags::list(const TaggedResource& resource) {
  return catalogue_.read([&](sql::Database& database) -> Result<TagMap> {
    TRY_ASSIGN(const std::string id, require_resource(database, resource));
    TRY_ASSIGN(sql::Statement rows,
               database.query("SELECT key, value FROM tags WHERE resource = ?", {id}));
    TagMap tags;
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) return tags;
      tags[rows.text(0)] = rows.text(1);
    }
  });
}

}  // namespace isthmus::datastore
