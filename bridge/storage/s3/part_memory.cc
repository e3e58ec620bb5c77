#include "storage/s3/part_memory.h"

#include <algorithm>

namespace isthmus::s3 {
namespace {

class PartSource : public ByteSource {
 public:
  explicit PartSource(Part part) : part_(std::move(part)) {}
  std::uint64_t size() const override { return part_->size(); }
  Result<std::size_t> read(MutableByteSpan into) override {
    const std::size_t count = std::min(into.size(), part_->size() - at_);
    std::ranges::copy(ByteSpan(*part_).subspan(at_, count), into.begin());
    at_ += count;
    return count;
  }
  Result<void> rewind() override {
    at_ = 0;
    return {};
  }

 private:
  const Part part_;
  std::size_t at_ = 0;
};

}  // namespace

struct PartMemory::Held {
  explicit Held(std::shared_ptr<PartMemory> of) : memory(std::move(of)), bytes(memory->take()) {}
  ~Held() { memory->give_back(std::move(bytes)); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  const std::shared_ptr<PartMemory> memory;
  Bytes bytes;
};

Result<Part> PartMemory::read(ByteSource& source, std::uint64_t length) {
  const auto held = std::make_shared<Held>(shared_from_this());
  Bytes& bytes = held->bytes;
  bytes.resize(static_cast<std::size_t>(length));
  for (std::size_t have = 0; have < bytes.size();) {
    TRY_ASSIGN(const std::size_t got, source.read(MutableByteSpan(bytes).subspan(have)));
    if (got == 0) {
      return permanent_error("store.bad_digest", "The object ends before its stated size.");
    }
    have += got;
  }
  return Part(held, &bytes);
}

Bytes PartMemory::take() {
  std::unique_lock lock(mutex_);
  given_back_.wait(lock, [this] { return left_ > 0; });
  --left_;
  ++taken_;
  if (idle_.empty()) return {};
  Bytes bytes = std::move(idle_.back());
  idle_.pop_back();
  return bytes;
}

void PartMemory::give_back(Bytes bytes) {
  std::vector<Bytes> unneeded;  // freed without the lock
  {
    const std::lock_guard lock(mutex_);
    ++left_;
    --taken_;
    idle_.push_back(std::move(bytes));
    if (taken_ == 0) unneeded.swap(idle_);
  }
  given_back_.notify_one();
}

std::unique_ptr<ByteSource> source_of(Part part) {
  return std::make_unique<PartSource>(std::move(part));
}

}  // namespace isthmus::s3
