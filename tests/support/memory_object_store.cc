#include "support/memory_object_store.h"

namespace isthmus::test {

namespace {

StoredObject described(const std::string& key, const std::string& bytes) {
  return {ObjectKey{key}, bytes.size(), to_hex(md5(as_bytes(bytes)))};
}

Error not_found() {
  return permanent_error("store.not_found", "There is no object of that key.");
}

}  // namespace

Error MemoryObjectStore::slow_down() {
  Error error = transient_error("store.slow_down", "The bucket asks for fewer requests.");
  error.retry_after = Milliseconds(1000);
  return error;
}

Error MemoryObjectStore::unavailable() {
  return transient_error("store.unavailable", "The bucket does not answer.");
}

std::optional<Error> MemoryObjectStore::admit(Call call, const ObjectKey& key) {
  Hook hook;
  {
    const std::lock_guard lock(mutex_);
    ++calls_[call];
    std::vector<Refusal>& queue = refusals_[call];
    if (!queue.empty()) {
      const Error error = queue.front().error;
      if (--queue.front().times <= 0) queue.erase(queue.begin());
      return error;
    }
    hook = hook_;
  }
  return hook ? hook(call, key) : std::nullopt;
}

std::optional<Error> MemoryObjectStore::lost_answer(Call call) {
  std::vector<Refusal>& queue = lost_[call];
  if (queue.empty()) return std::nullopt;
  const Error error = queue.front().error;
  if (--queue.front().times <= 0) queue.erase(queue.begin());
  return error;
}

Result<StoredObject> MemoryObjectStore::put(const ObjectKey& key, std::shared_ptr<ByteSource> bytes,
                                            const Digest& expected) {
  if (auto error = admit(Call::put, key)) return *error;
  TRY(bytes->rewind());
  TRY_ASSIGN(std::string text, read_all(*bytes, bytes->size()));
  if (text.size() != bytes->size() || sha256(text) != expected) {
    return permanent_error("store.bad_digest", "The bytes are not those that were announced.");
  }
  const std::lock_guard lock(mutex_);
  std::string& slot = objects_[key.text];
  slot = std::move(text);
  if (auto error = lost_answer(Call::put)) return *error;
  return described(key.text, slot);
}

Result<StoredObject> MemoryObjectStore::head(const ObjectKey& key) {
  if (auto error = admit(Call::head, key)) return *error;
  const std::lock_guard lock(mutex_);
  const auto found = objects_.find(key.text);
  if (found == objects_.end()) return not_found();
  return described(found->first, found->second);
}

Result<std::unique_ptr<ByteSource>> MemoryObjectStore::get(const ObjectKey& key) {
  if (auto error = admit(Call::get, key)) return *error;
  const std::lock_guard lock(mutex_);
  const auto found = objects_.find(key.text);
  if (found == objects_.end()) return not_found();
  return source_of(found->second);
}

Result<void> MemoryObjectStore::list(std::string_view prefix,
                                     const std::function<bool(const StoredObject&)>& each) {
  if (auto error = admit(Call::list, ObjectKey{std::string(prefix)})) return *error;
  std::vector<StoredObject> matching;
  {
    const std::lock_guard lock(mutex_);
    for (auto at = objects_.lower_bound(std::string(prefix)); at != objects_.end(); ++at) {
      if (!at->first.starts_with(prefix)) break;
      matching.push_back(described(at->first, at->second));
    }
  }
  for (const StoredObject& object : matching) {
    if (!each(object)) break;
  }
  return {};
}

Result<void> MemoryObjectStore::remove(const ObjectKey& key) {
  if (auto error = admit(Call::remove, key)) return *error;
  const std::lock_guard lock(mutex_);
  objects_.erase(key.text);
  if (auto error = lost_answer(Call::remove)) return *error;
  return {};
}

Result<void> MemoryObjectStore::check() {
  if (auto error = admit(Call::check, ObjectKey{})) return *error;
  return {};
}

void MemoryObjectStore::set_hook(Hook hook) {
  const std::lock_guard lock(mutex_);
  hook_ = std::move(hook);
}

void MemoryObjectStore::refuse(Call call, Error error, int times) {
  const std::lock_guard lock(mutex_);
  refusals_[call].push_back({std::move(error), times});
}

void MemoryObjectStore::lose_answer(Call call, Error error, int times) {
  const std::lock_guard lock(mutex_);
  lost_[call].push_back({std::move(error), times});
}

bool MemoryObjectStore::damage(const ObjectKey& key) {
  const std::lock_guard lock(mutex_);
  const auto found = objects_.find(key.text);
  if (found == objects_.end() || found->second.empty()) return false;
  char& middle = found->second[found->second.size() / 2];
  middle = static_cast<char>(middle ^ 1);
  return true;
}

bool MemoryObjectStore::vanish(const ObjectKey& key) {
  const std::lock_guard lock(mutex_);
  return objects_.erase(key.text) > 0;
}

void MemoryObjectStore::plant(const ObjectKey& key, std::string bytes) {
  const std::lock_guard lock(mutex_);
  objects_[key.text] = std::move(bytes);
}

std::optional<std::string> MemoryObjectStore::bytes_of(const ObjectKey& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = objects_.find(key.text);
  if (found == objects_.end()) return std::nullopt;
  return found->second;
}

std::vector<ObjectKey> MemoryObjectStore::keys() const {
  const std::lock_guard lock(mutex_);
  std::vector<ObjectKey> all;
  for (const auto& [key, bytes] : objects_) all.push_back(ObjectKey{key});
  return all;
}

std::size_t MemoryObjectStore::size() const {
  const std::lock_guard lock(mutex_);
  return objects_.size();
}

int MemoryObjectStore::calls(Call call) const {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(call);
  return found == calls_.end() ? 0 : found->second;
}

}  // namespace isthmus::test
