// An ObjectStore in memory, with teeth: it refuses, slows down, stores and loses the answer,
// damages what it holds. Any thread.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "storage/object_store.h"

namespace isthmus::test {

class MemoryObjectStore : public ObjectStore {
 public:
  enum class Call { put, head, get, list, remove, check };
  // Asked before each call, without a lock held; an error is given to the caller, and nothing
  // happens. May block or move a clock: that is a slow bucket.
  using Hook = std::function<std::optional<Error>(Call, const ObjectKey&)>;

  Result<StoredObject> put(const ObjectKey& key, std::shared_ptr<ByteSource> bytes,
                           const Digest& expected) override;
  Result<StoredObject> head(const ObjectKey& key) override;
  Result<std::unique_ptr<ByteSource>> get(const ObjectKey& key) override;
  Result<void> list(std::string_view prefix,
                    const std::function<bool(const StoredObject&)>& each) override;
  Result<void> remove(const ObjectKey& key) override;
  Result<void> check() override;

  // --- teeth
  // --------------------------------------------------------------------------------------
  void set_hook(Hook hook);
  // The next `times` calls of this kind fail with `error` and do nothing.
  void refuse(Call call, Error error, int times = 1);
  // The next `times` puts or removes happen, and are answered with `error`.
  void lose_answer(Call call, Error error, int times = 1);
  // As if somebody had changed or removed it behind our back. False: there is none.
  bool damage(const ObjectKey& key);
  bool vanish(const ObjectKey& key);

  // --- looking in
  // --------------------------------------------------------------------------------- Stores
  // without any hook, refusal or count.
  void plant(const ObjectKey& key, std::string bytes);
  std::optional<std::string> bytes_of(const ObjectKey& key) const;
  std::vector<ObjectKey> keys() const;
  std::size_t size() const;
  // Calls of this kind that came in, refused ones included.
  int calls(Call call) const;

  static Error slow_down();    // "store.slow_down", transient, with a Retry-After of 1 s
  static Error unavailable();  // "store.unavailable", transient

 private:
  struct Refusal {
    Error error;
    int times = 0;
  };
  std::optional<Error> admit(Call call, const ObjectKey& key);
  std::optional<Error> lost_answer(Call call);  // lock held

  mutable std::mutex mutex_;
  std::map<std::string, std::string> objects_;
  std::map<Call, std::vector<Refusal>> refusals_;
  std::map<Call, std::vector<Refusal>> lost_;
  std::map<Call, int> calls_;
  Hook hook_;
};

}  // namespace isthmus::test
