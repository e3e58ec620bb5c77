// Keys of the data store's service account, for Google's client libraries
// (GOOGLE_APPLICATION_CREDENTIALS). The data store keeps the public halves, as a JWK set in
// google_keys.json of its directory; who has a key file signs in with it (api/google_account.h). A
// running data store sees a change within seconds. One command at a time.
#pragma once

#include <string>
#include <vector>

#include "base/env.h"

namespace isthmus::datastore {

inline constexpr const char* kGoogleKeysFile = "google_keys.json";

// The one service account there is.
std::string google_account_email(const std::string& project);

struct GoogleKeyWishes {
  std::string project = "isthmus";
  std::string url = "http://127.0.0.1:8181";  // of the data store, as its callers know it
  // Libraries that always ask googleapis.com for tokens sign for themselves when a key is of
  // another universe (contracts/google-healthcare section 7, "self-signed").
  std::string universe_domain = "googleapis.com";
};

// The key file, whose private half is kept nowhere else. Errors: "datastore.too_many_google_keys"
// (permanent) beyond 64, "datastore.bad_google_keys" (permanent) when google_keys.json is damaged,
// those of auth/key_pair.h and of the disk.
Result<std::string> add_google_key(Env& env, const FileSystem::Path& directory,
                                   const GoogleKeyWishes& wishes);
// Their ids, in the order they were made.
Result<std::vector<std::string>> google_key_ids(Env& env, const FileSystem::Path& directory);
// "datastore.no_such_google_key" (permanent).
Result<void> remove_google_key(Env& env, const FileSystem::Path& directory, const std::string& id);

}  // namespace isthmus::datastore
