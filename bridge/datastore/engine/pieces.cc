#include "datastore/engine/pieces.h"

#include <numeric>

namespace isthmus::datastore {
namespace {

class Joined : public ByteSource {
 public:
  explicit Joined(std::vector<Piece> pieces)
      : pieces_(std::move(pieces)),
        size_(std::accumulate(
            pieces_.begin(), pieces_.end(), std::uint64_t{0},
            [](std::uint64_t sum, const Piece& piece) { return sum + piece.size_bytes; })) {}
  std::uint64_t size() const override { return size_; }

  Result<std::size_t> read(MutableByteSpan into) override {
    while (next_ < pieces_.size() || open_) {
      if (!open_) {
        TRY_ASSIGN(open_, pieces_[next_].open());
        left_ = pieces_[next_].size_bytes;
        ++next_;
        if (open_->size() != left_) return wrong_size();
      }
      TRY_ASSIGN(const std::size_t count, open_->read(into));
      if (count > left_ || (count == 0 && left_ > 0 && !into.empty())) return wrong_size();
      left_ -= count;
      if (count > 0 || into.empty()) return count;
      open_.reset();
    }
    return std::size_t{0};
  }
  Result<void> rewind() override {
    open_.reset();
    next_ = 0;
    return {};
  }

 private:
  static Error wrong_size() {
    return permanent_error("datastore.piece_size", "What is sent is not as long as announced.");
  }

  const std::vector<Piece> pieces_;
  const std::uint64_t size_;
  std::size_t next_ = 0;
  std::uint64_t left_ = 0;
  std::unique_ptr<ByteSource> open_;
};

}  // namespace

Piece piece_of(Bytes bytes) {
  const std::uint64_t size = bytes.size();
  return {size, [bytes = std::move(bytes)]() -> Result<std::unique_ptr<ByteSource>> {
            return source_of(bytes);
          }};
}

std::unique_ptr<ByteSource> joined(std::vector<Piece> pieces) {
  return std::make_unique<Joined>(std::move(pieces));
}

}  // namespace isthmus::datastore
