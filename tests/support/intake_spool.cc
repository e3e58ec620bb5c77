#include "support/intake_spool.h"

namespace isthmus::test {

class IntakeIncoming : public IncomingInstance {
 public:
  IntakeIncoming(IntakeSpool& spool, const Origin& origin)
      : spool_(spool), id_(InstanceId::make(spool.env_)) {
    instance_.origin = origin;
  }
  ~IntakeIncoming() override {
    const std::lock_guard lock(spool_.mutex_);
    --spool_.under_way_;
    spool_.changed_.notify_all();
  }

  const InstanceId& id() const override { return id_; }

  Result<void> append(ByteSpan bytes) override {
    const std::lock_guard lock(spool_.mutex_);
    instance_.size_bytes += bytes.size();
    if (spool_.append_limit_ && instance_.size_bytes > *spool_.append_limit_) {
      return *spool_.append_error_;
    }
    if (spool_.keep_bytes_) instance_.bytes += as_text(bytes);
    return {};
  }

  void dataset_begins() override { instance_.dataset_began = instance_.size_bytes; }

  Result<Receipt> commit(const Identified& identified) override {
    std::unique_lock lock(spool_.mutex_);
    ++spool_.at_gate_;
    spool_.changed_.notify_all();
    spool_.changed_.wait(lock, [&] { return !spool_.gate_closed_; });
    --spool_.at_gate_;
    if (spool_.commit_error_) return *spool_.commit_error_;
    instance_.identified = identified;
    spool_.instances_.push_back(std::move(instance_));
    return Receipt{id_, false};
  }

 private:
  IntakeSpool& spool_;
  const InstanceId id_;
  IntakeInstance instance_;
};

Result<std::unique_ptr<IncomingInstance>> IntakeSpool::begin(const Origin& origin) {
  {
    const std::lock_guard lock(mutex_);
    if (begin_error_) return *begin_error_;
    ++under_way_;
  }
  return std::unique_ptr<IncomingInstance>(std::make_unique<IntakeIncoming>(*this, origin));
}

Result<std::unique_ptr<ByteSource>> IntakeSpool::open(const SpoolRef&) {
  return permanent_error("spool.not_found", "The memory spool gives nothing back.");
}

Result<void> IntakeSpool::free(const SpoolRef&) {
  return {};
}

Result<std::uint64_t> IntakeSpool::used_bytes() {
  const std::lock_guard lock(mutex_);
  std::uint64_t sum = 0;
  for (const auto& instance : instances_) sum += instance.size_bytes;
  return sum;
}

void IntakeSpool::refuse_begin(std::optional<Error> error) {
  const std::lock_guard lock(mutex_);
  begin_error_ = std::move(error);
}

void IntakeSpool::fail_append_beyond(std::optional<std::uint64_t> bytes, Error error) {
  const std::lock_guard lock(mutex_);
  append_limit_ = bytes;
  append_error_ = std::move(error);
}

void IntakeSpool::fail_commit(std::optional<Error> error) {
  const std::lock_guard lock(mutex_);
  commit_error_ = std::move(error);
}

void IntakeSpool::close_gate() {
  const std::lock_guard lock(mutex_);
  gate_closed_ = true;
}

void IntakeSpool::open_gate() {
  const std::lock_guard lock(mutex_);
  gate_closed_ = false;
  changed_.notify_all();
}

void IntakeSpool::wait_for_commits_at_gate(std::size_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return at_gate_ >= count; });
}

std::vector<IntakeInstance> IntakeSpool::instances() const {
  const std::lock_guard lock(mutex_);
  return instances_;
}

std::optional<IntakeInstance> IntakeSpool::instance(const std::string& sop_instance_uid) const {
  const std::lock_guard lock(mutex_);
  for (const auto& instance : instances_) {
    if (instance.identified.identity.sop_instance_uid.text() == sop_instance_uid) return instance;
  }
  return std::nullopt;
}

void IntakeSpool::clear() {
  const std::lock_guard lock(mutex_);
  instances_.clear();
}

std::size_t IntakeSpool::under_way() const {
  const std::lock_guard lock(mutex_);
  return under_way_;
}

}  // namespace isthmus::test
