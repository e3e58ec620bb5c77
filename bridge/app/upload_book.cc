#include "app/upload_book.h"

#include <nlohmann/json.hpp>

namespace isthmus::app {
namespace {

using nlohmann::json;

constexpr std::chrono::hours kGoodFor{7 * 24};

std::string text_in(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

Result<std::optional<UploadSession>> UploadBook::find(const ObjectKey& key) {
  const std::lock_guard lock(mutex_);
  TRY(load());
  const auto found = entries_->find(key);
  if (found == entries_->end()) return std::optional<UploadSession>();
  if (found->second.begun_at + kGoodFor < env_.clock.wall_now()) {
    return std::optional<UploadSession>();
  }
  return std::optional(found->second.session);
}

Result<void> UploadBook::keep(const ObjectKey& key, const UploadSession& session) {
  const std::lock_guard lock(mutex_);
  TRY(load());
  const WallTime now = env_.clock.wall_now();
  std::erase_if(*entries_, [&](const auto& one) { return one.second.begun_at + kGoodFor < now; });
  entries_->insert_or_assign(key, Entry{session, now});
  return save();
}

Result<void> UploadBook::forget(const ObjectKey& key) {
  const std::lock_guard lock(mutex_);
  TRY(load());
  if (entries_->erase(key) == 0) return {};
  return save();
}

// A mark that cannot be read is of no use: uploads start over.
Result<void> UploadBook::load() {
  if (entries_) return {};
  TRY_ASSIGN(const std::optional<std::string> text, rows_.mark(mark_));
  std::map<ObjectKey, Entry> entries;
  const json book = json::parse(text.value_or("[]"), nullptr, false);
  if (book.is_array()) {
    for (const json& one : book) {
      if (!one.is_object()) continue;
      const auto digest = Digest::from_hex(text_in(one, "sha256"));
      const auto begun = from_rfc3339(text_in(one, "begun_at"));
      const auto size = one.find("size_bytes");
      if (!digest || !begun || size == one.end() || !size->is_number_unsigned()) continue;
      entries[ObjectKey{text_in(one, "key")}] = {
          {text_in(one, "token"), *digest, size->get<std::uint64_t>()}, *begun};
    }
  }
  entries_ = std::move(entries);
  return {};
}

Result<void> UploadBook::save() {
  json book = json::array();
  for (const auto& [key, entry] : *entries_) {
    book.push_back({{"key", key.text},
                    {"token", entry.session.token},
                    {"sha256", entry.session.digest.hex()},
                    {"size_bytes", entry.session.size_bytes},
                    {"begun_at", to_rfc3339(entry.begun_at)}});
  }
  const auto kept = rows_.keep_mark(mark_, book.dump());
  if (!kept.ok()) entries_.reset();  // what is known is what the ledger has
  return kept;
}

}  // namespace isthmus::app
