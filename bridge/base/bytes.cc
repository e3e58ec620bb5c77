#include "base/bytes.h"

#include <algorithm>
#include <cstring>

namespace isthmus {
namespace {

template <typename Holder>
class OwnedSource : public ByteSource {
 public:
  explicit OwnedSource(Holder bytes) : bytes_(std::move(bytes)) {}
  std::uint64_t size() const override { return bytes_.size(); }
  Result<std::size_t> read(MutableByteSpan into) override {
    const std::size_t count = std::min(into.size(), bytes_.size() - position_);
    if (count > 0) std::memcpy(into.data(), bytes_.data() + position_, count);
    position_ += count;
    return count;
  }
  Result<void> rewind() override {
    position_ = 0;
    return {};
  }

 private:
  Holder bytes_;
  std::size_t position_ = 0;
};

class SliceSource : public ByteSource {
 public:
  SliceSource(ByteSource& whole, std::uint64_t offset, std::uint64_t length)
      : whole_(whole), offset_(offset), length_(length) {}
  std::uint64_t size() const override { return length_; }

  Result<std::size_t> read(MutableByteSpan into) override {
    TRY(arrive());
    const auto left = length_ - read_;
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left));
    if (wanted == 0) return std::size_t{0};
    TRY_ASSIGN(const std::size_t count, whole_.read(into.first(wanted)));
    read_ += count;
    return count;
  }

  Result<void> rewind() override {
    TRY(whole_.rewind());
    arrived_ = false;
    read_ = 0;
    return {};
  }

 private:
  // The first read after a rewind starts the underlying source over and passes what comes before.
  Result<void> arrive() {
    if (arrived_) return {};
    TRY(whole_.rewind());
    Bytes scratch(static_cast<std::size_t>(std::min<std::uint64_t>(offset_, 256 * KiB)));
    for (std::uint64_t passed = 0; passed < offset_;) {
      const auto wanted =
          static_cast<std::size_t>(std::min<std::uint64_t>(scratch.size(), offset_ - passed));
      TRY_ASSIGN(const std::size_t count, whole_.read(MutableByteSpan(scratch).first(wanted)));
      if (count == 0) {
        return permanent_error("body.too_short",
                               "The body ends before the part that was asked for.");
      }
      passed += count;
    }
    arrived_ = true;
    return {};
  }

  ByteSource& whole_;
  const std::uint64_t offset_;
  const std::uint64_t length_;
  std::uint64_t read_ = 0;
  bool arrived_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> source_of(std::string bytes) {
  return std::make_unique<OwnedSource<std::string>>(std::move(bytes));
}
std::unique_ptr<ByteSource> source_of(Bytes bytes) {
  return std::make_unique<OwnedSource<Bytes>>(std::move(bytes));
}
std::unique_ptr<ByteSource> slice_of(ByteSource& whole, std::uint64_t offset,
                                     std::uint64_t length) {
  return std::make_unique<SliceSource>(whole, offset, length);
}

Result<std::string> read_all(ByteSource& source, std::uint64_t limit) {
  std::string text;
  Bytes piece(static_cast<std::size_t>(std::clamp<std::uint64_t>(source.size(), 1, 64 * KiB)));
  for (;;) {
    TRY_ASSIGN(const std::size_t count, source.read(piece));
    if (count == 0) return text;
    if (text.size() + count > limit) {
      return permanent_error("body.too_large", "The body is larger than the limit for its kind.");
    }
    text.append(as_text(ByteSpan(piece).first(count)));
  }
}

}  // namespace isthmus
