#include "support/memory_spool.h"

#include "ledger/spool_rows.h"

namespace isthmus::test {

class MemorySpool::Incoming : public IncomingInstance {
 public:
  Incoming(MemorySpool& spool, Origin origin)
      : spool_(spool), origin_(std::move(origin)), id_(InstanceId::make(spool.env_)) {}

  const InstanceId& id() const override { return id_; }
  Result<void> append(ByteSpan bytes) override {
    file_ += as_text(bytes);
    return {};
  }
  void dataset_begins() override { dataset_at_ = file_.size(); }

  Result<Receipt> commit(const Identified& identified) override {
    if (identified.dataset_offset_bytes != dataset_at_) {
      return permanent_error("spool.dataset_offset",
                             "The data set does not begin where the receiver said.");
    }
    const std::string_view file = file_;
    Arrival arrival;
    arrival.id = id_;
    arrival.identity = identified.identity;
    arrival.origin = identified.origin.value_or(origin_);
    arrival.transfer_syntax_uid = identified.transfer_syntax_uid;
    arrival.size_bytes = file.size();
    arrival.dataset_offset_bytes = dataset_at_;
    arrival.dataset_digest = sha256(file.substr(dataset_at_));
    arrival.file_digest = sha256(file);
    arrival.spool_ref = {id_.text()};
    arrival.received_at = spool_.env_.clock.wall_now();
    arrival.destinations = identified.destinations;
    {
      const std::lock_guard lock(spool_.mutex_);
      spool_.bytes_[id_.text()] = file_;
    }
    Result<Receipt> receipt = spool_.ledger_->record(arrival, nullptr);
    // After a fatal error the row may exist: recover() decides.
    const bool is_needless = receipt.ok() && receipt->known && !receipt->bytes_taken;
    if (receipt.ok() ? is_needless : receipt.error().fate != Fate::fatal) {
      const std::lock_guard lock(spool_.mutex_);
      spool_.bytes_.erase(id_.text());
    }
    return receipt;
  }

 private:
  MemorySpool& spool_;
  const Origin origin_;
  const InstanceId id_;
  std::string file_;
  std::size_t dataset_at_ = 0;
};

std::optional<Error> MemorySpool::admit(Call call, const SpoolRef& ref) {
  Hook hook;
  {
    const std::lock_guard lock(mutex_);
    hook = hook_;
  }
  return hook ? hook(call, ref) : std::nullopt;
}

Result<std::unique_ptr<IncomingInstance>> MemorySpool::begin(const Origin& origin) {
  if (auto error = admit(Call::begin, {})) return *error;
  return std::make_unique<Incoming>(*this, origin);
}

Result<std::unique_ptr<ByteSource>> MemorySpool::open(const SpoolRef& ref) {
  if (auto error = admit(Call::open, ref)) return *error;
  const std::lock_guard lock(mutex_);
  const auto found = bytes_.find(ref.text);
  if (found == bytes_.end()) {
    return permanent_error("spool.not_found", "The bytes of this instance are gone.");
  }
  return source_of(std::string(found->second));
}

Result<void> MemorySpool::free(const SpoolRef& ref) {
  if (auto error = admit(Call::free, ref)) return *error;
  const std::lock_guard lock(mutex_);
  bytes_.erase(ref.text);
  return {};
}

Result<std::size_t> MemorySpool::recover() {
  std::map<std::string, std::string> held;
  {
    const std::lock_guard lock(mutex_);
    held = bytes_;
  }
  std::size_t discarded = 0;
  for (const auto& [ref, bytes] : held) {
    TRY_ASSIGN(const bool has_row, ledger_->spool_rows().names({ref}));
    if (has_row) continue;
    const std::lock_guard lock(mutex_);
    discarded += bytes_.erase(ref);
  }
  return discarded;
}

Result<void> MemorySpool::catch_up() {
  if (auto error = admit(Call::catch_up, {})) return *error;
  return {};
}

Result<std::uint64_t> MemorySpool::used_bytes() {
  const std::lock_guard lock(mutex_);
  std::uint64_t used = 0;
  for (const auto& [ref, bytes] : bytes_) used += bytes.size();
  return used;
}

Result<Receipt> MemorySpool::receive(const Identity& identity, std::string_view file,
                                     std::optional<std::vector<std::string>> destinations) {
  Incoming incoming(*this, {"dimse", "SENDER", "ISTHMUS", "192.0.2.7", "a1"});
  incoming.dataset_begins();
  TRY(incoming.append(as_bytes(file)));
  return incoming.commit({identity, "1.2.840.10008.1.2.1", 0, std::move(destinations)});
}

void MemorySpool::set_hook(Hook hook) {
  const std::lock_guard lock(mutex_);
  hook_ = std::move(hook);
}

bool MemorySpool::damage(const InstanceId& instance) {
  const std::lock_guard lock(mutex_);
  const auto found = bytes_.find(instance.text());
  if (found == bytes_.end() || found->second.empty()) return false;
  found->second.front() = static_cast<char>(found->second.front() ^ 1);
  return true;
}

bool MemorySpool::vanish(const InstanceId& instance) {
  const std::lock_guard lock(mutex_);
  return bytes_.erase(instance.text()) > 0;
}

std::size_t MemorySpool::count() const {
  const std::lock_guard lock(mutex_);
  return bytes_.size();
}

bool MemorySpool::holds(const InstanceId& instance) const {
  const std::lock_guard lock(mutex_);
  return bytes_.contains(instance.text());
}

}  // namespace isthmus::test
