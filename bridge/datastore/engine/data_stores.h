// The HealthImaging data stores of this store: named sets of image sets.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "datastore/engine/catalogue.h"
#include "datastore/engine/client_tokens.h"
#include "datastore/engine/tags.h"

namespace isthmus::datastore {

struct DataStoreRecord {
  std::string id;
  std::string name;
  std::string status;  // ACTIVE, DELETED
  std::optional<std::string> kms_key_arn;
  std::optional<std::string> lambda_authorizer_arn;
  std::string lossless_storage_format;
  WallTime created_at;
  WallTime updated_at;
};

// Permanent errors, besides the catalogue's: "datastore.no_such_data_store",
// "datastore.token_conflict", "datastore.too_many_data_stores", "datastore.data_store_in_use".
// Any thread.
class DataStores {
 public:
  // most: how many may be ACTIVE; 0: no limit.
  DataStores(Env& env, Catalogue& catalogue, std::int64_t most);

  // `wanted` without id, status and dates. The same token gives the same data store.
  Result<DataStoreRecord> create(DataStoreRecord wanted, const TagMap& tags,
                                 const ClientToken& token);
  Result<DataStoreRecord> find(const std::string& id);
  // The ACTIVE one made first under this name.
  Result<std::optional<DataStoreRecord>> find_by_name(const std::string& name);
  // In order of id, behind `after`; of that status, when one is given.
  Result<std::vector<DataStoreRecord>> list(const std::optional<std::string>& status,
                                            const std::string& after, std::size_t limit);
  // Refused while it has image sets or unfinished import jobs.
  Result<DataStoreRecord> remove(const std::string& id);

 private:
  Env& env_;
  Catalogue& catalogue_;
  const std::int64_t most_;
};

// The ACTIVE data store, inside a transaction; else "datastore.no_such_data_store".
Result<void> require_active(sql::Database& database, const std::string& data_store);

}  // namespace isthmus::datastore
