// Tags of data stores and image sets.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/env.h"
#include "datastore/engine/catalogue.h"

namespace isthmus::datastore {

using TagMap = std::map<std::string, std::string>;

// What a resource ARN names.
struct TaggedResource {
  std::string data_store;
  std::string image_set;  // empty: the data store itself
};

// Permanent errors, besides the catalogue's: "datastore.no_such_data_store",
// "datastore.no_such_image_set", "datastore.too_many_tags". Any thread.
class Tags {
 public:
  // most: of one resource; 0: no limit.
  Tags(Catalogue& catalogue, std::size_t most) : catalogue_(catalogue), most_(most) {}

  // Adds to what is there; the same key again replaces its value.
  Result<void> add(const TaggedResource& resource, const TagMap& tags);
  // Taking away what is not there succeeds.
  Result<void> remove(const TaggedResource& resource, const std::vector<std::string>& keys);
  Result<TagMap> list(const TaggedResource& resource);

 private:
  Catalogue& catalogue_;
  const std::size_t most_;
};

// For whoever makes the resource in the same transaction.
Result<void> add_tags(sql::Database& database, const std::string& resource, const TagMap& tags,
                      std::size_t most);

}  // namespace isthmus::datastore
