#include "datastore/google_keys.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "auth/jwt.h"
#include "auth/key_pair.h"
#include "base/ids.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::size_t kMostKeys = 64;  // of a set that auth/jwks.h reads
constexpr std::uint64_t kFileBytes = 256 * KiB;

Result<json> read_keys(Env& env, const FileSystem::Path& directory) {
  auto file = env.files.open(directory / kGoogleKeysFile, FileSystem::Mode::read_only);
  if (!file && file.error().code == "disk.not_found") return json::array();
  if (!file) return file.error();
  TRY_ASSIGN(const std::uint64_t size, (*file)->size());
  const auto source = source_of_file(std::move(*file), 0, size);
  TRY_ASSIGN(const std::string text, read_all(*source, kFileBytes));
  json set = json::parse(text, nullptr, false);
  if (!set.is_object() || !set.contains("keys") || !set["keys"].is_array()) {
    return permanent_error("datastore.bad_google_keys",
                           "google_keys.json in datastore.directory is damaged: remove it and make "
                           "new keys.");
  }
  return std::move(set["keys"]);
}

Result<void> write_keys(Env& env, const FileSystem::Path& directory, json keys) {
  TRY(env.files.create_directories(directory));
  const FileSystem::Path part = directory / "google_keys.part";
  ignore(env.files.remove(part), "left by a command that was killed");
  TRY_ASSIGN(const auto file, env.files.open(part, FileSystem::Mode::create_new));
  TRY(file->append(as_bytes(json{{"keys", std::move(keys)}}.dump(2) + "\n")));
  TRY(file->sync());
  TRY(env.files.rename(part, directory / kGoogleKeysFile));
  return env.files.sync_directory(directory);
}

std::string id_of(const json& key) {
  const auto found = key.is_object() ? key.find("kid") : key.end();
  return found != key.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

std::string google_account_email(const std::string& project) {
  return "isthmus@" + project + ".iam.gserviceaccount.com";
}

Result<std::string> add_google_key(Env& env, const FileSystem::Path& directory,
                                   const GoogleKeyWishes& wishes) {
  TRY_ASSIGN(json keys, read_keys(env, directory));
  if (keys.size() >= kMostKeys) {
    return permanent_error("datastore.too_many_google_keys", "There are 64 keys: remove some.");
  }
  TRY_ASSIGN(const auth::RsaKeyPair pair, auth::make_rsa_key_pair());
  const std::string id = make_id_text(env);
  keys.push_back({{"kty", "RSA"},
                  {"use", "sig"},
                  {"alg", "RS256"},
                  {"kid", id},
                  {"n", auth::to_base64url(pair.modulus)},
                  {"e", auth::to_base64url(pair.exponent)}});
  TRY(write_keys(env, directory, std::move(keys)));
  const ordered_json file{{"type", "service_account"},
                          {"project_id", wishes.project},
                          {"private_key_id", id},
                          {"private_key", pair.private_key},
                          {"client_email", google_account_email(wishes.project)},
                          {"client_id", "1"},
                          {"token_uri", wishes.url + "/token"},
                          {"universe_domain", wishes.universe_domain}};
  return file.dump(2);
}

Result<std::vector<std::string>> google_key_ids(Env& env, const FileSystem::Path& directory) {
  TRY_ASSIGN(const json keys, read_keys(env, directory));
  std::vector<std::string> ids;
  for (const json& key : keys) ids.push_back(id_of(key));
  return ids;
}

Result<void> remove_google_key(Env& env, const FileSystem::Path& directory, const std::string& id) {
  TRY_ASSIGN(const json keys, read_keys(env, directory));
  json left = json::array();
  for (const json& key : keys) {
    if (id_of(key) != id) left.push_back(key);
  }
  if (left.size() == keys.size()) {
    return permanent_error("datastore.no_such_google_key", "There is no key of that id.");
  }
  return write_keys(env, directory, std::move(left));
}

}  // namespace isthmus::datastore
