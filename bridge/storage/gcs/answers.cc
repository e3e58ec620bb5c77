#include "storage/gcs/answers.h"

#include <fmt/format.h>

#include <algorithm>

#include "http/retrying.h"
#include "wire/gcs.h"

namespace isthmus::gcs {
namespace {

constexpr std::uint64_t kMaxErrorBytes = 64 * KiB;
constexpr std::size_t kPiece = 256 * KiB;

struct Meaning {
  const char* code;
  Fate fate;
};

// Who refuses us today may let us in tomorrow: transient, as with other stores.
Meaning meaning_of(int status, std::string_view reason, const char* missing) {
  switch (status) {
    case 401:
      return {"store.denied", Fate::transient};
    case 403:
      // "HTTP status and error codes for JSON": limits come as 403 as well.
      if (reason == "rateLimitExceeded" || reason == "userRateLimitExceeded") {
        return {"store.slow_down", Fate::transient};
      }
      return {"store.denied", Fate::transient};
    case 404: {
      const bool bucket = std::string_view(missing) == "store.no_bucket";
      return {missing, bucket ? Fate::transient : Fate::permanent};
    }
    case 412:
      return {kConditionFailed, Fate::permanent};
    case 429:
    case 503:
      return {"store.slow_down", Fate::transient};
    case 408:
    case 409:
      return {"store.unavailable", Fate::transient};
    default:
      return status >= 500 ? Meaning{"store.unavailable", Fate::transient}
                           : Meaning{"store.protocol", Fate::permanent};
  }
}

const char* advice_for(std::string_view code) {
  if (code == "store.denied") return "check the credentials and the bucket's permissions";
  if (code == "store.no_bucket") return "create the bucket or correct its name";
  if (code == "store.not_found") return "there is no such object";
  if (code == "store.protocol") return "check the endpoint";
  return "it is tried again later";
}

class Window : public ByteSource {
 public:
  Window(std::shared_ptr<Cursor> cursor, std::uint64_t offset, std::uint64_t length)
      : cursor_(std::move(cursor)), offset_(offset), length_(length) {}

  std::uint64_t size() const override { return length_; }

  Result<std::size_t> read(MutableByteSpan into) override {
    const std::uint64_t left = length_ - given_;
    const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(left, into.size()));
    if (most == 0) return std::size_t{0};
    TRY(cursor_->seek(offset_ + given_));
    TRY_ASSIGN(const std::size_t got, cursor_->read(into.first(most)));
    given_ += got;
    return got;
  }

  Result<void> rewind() override {
    given_ = 0;
    return {};
  }

 private:
  const std::shared_ptr<Cursor> cursor_;
  const std::uint64_t offset_, length_;
  std::uint64_t given_ = 0;
};

class Joined : public ByteSource {
 public:
  Joined(std::string head, std::shared_ptr<ByteSource> middle, std::string tail)
      : head_(source_of(std::move(head))),
        middle_(std::move(middle)),
        tail_(source_of(std::move(tail))) {}

  std::uint64_t size() const override { return head_->size() + middle_->size() + tail_->size(); }

  Result<std::size_t> read(MutableByteSpan into) override {
    for (ByteSource* part : {head_.get(), middle_.get(), tail_.get()}) {
      TRY_ASSIGN(const std::size_t got, part->read(into));
      if (got > 0) return got;
    }
    return std::size_t{0};
  }

  Result<void> rewind() override {
    for (ByteSource* part : {head_.get(), middle_.get(), tail_.get()}) TRY(part->rewind());
    return {};
  }

 private:
  const std::unique_ptr<ByteSource> head_;
  const std::shared_ptr<ByteSource> middle_;
  const std::unique_ptr<ByteSource> tail_;
};

class Checked : public ByteSource {
 public:
  Checked(std::unique_ptr<ByteSource> bytes, std::string crc32c)
      : bytes_(std::move(bytes)), expected_(std::move(crc32c)) {}

  std::uint64_t size() const override { return bytes_->size(); }

  Result<std::size_t> read(MutableByteSpan into) override {
    TRY_ASSIGN(const std::size_t got, bytes_->read(into));
    crc32c_ = crc32c(into.first(got), crc32c_);
    if (got == 0 && !into.empty() && wire::gcs::crc32c_text(crc32c_) != expected_) {
      return transient_error("store.unavailable", "The bytes were damaged on their way.");
    }
    return got;
  }

  Result<void> rewind() override {
    crc32c_ = 0;
    return bytes_->rewind();
  }

 private:
  const std::unique_ptr<ByteSource> bytes_;
  const std::string expected_;
  std::uint32_t crc32c_ = 0;
};

}  // namespace

Error error_of(http::Response& response, WallTime now, const char* missing) {
  std::string body;
  if (response.body) {
    if (auto text = read_all(*response.body, kMaxErrorBytes); text.ok()) body = std::move(*text);
  }
  const wire::gcs::ErrorBody said = wire::gcs::read_error(body);
  const Meaning meaning = meaning_of(response.status, said.reason, missing);
  return Error{meaning.code,
               fmt::format("The bucket answered {}{}{}: {}.", response.status,
                           said.reason.empty() ? "" : " ", said.reason, advice_for(meaning.code)),
               meaning.fate, http::retry_after_of(response.headers, now)};
}

Result<Sums> sums_of(ByteSource& bytes) {
  TRY(bytes.rewind());
  Sums sums;
  Sha256 sha;
  Bytes piece(kPiece);
  for (;;) {
    TRY_ASSIGN(const std::size_t got, bytes.read(piece));
    if (got == 0) break;
    const ByteSpan read = ByteSpan(piece).first(got);
    sha.update(read);
    sums.crc32c = crc32c(read, sums.crc32c);
  }
  sums.sha256 = sha.finish();
  return sums;
}

Result<void> Cursor::seek(std::uint64_t offset) {
  if (!at_ || *at_ > offset) {
    at_.reset();
    TRY(bytes_->rewind());
    at_ = 0;
  }
  Bytes skipped(*at_ < offset ? kPiece : 0);
  while (*at_ < offset) {
    const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(offset - *at_, kPiece));
    TRY_ASSIGN(const std::size_t got, read(MutableByteSpan(skipped).first(most)));
    if (got == 0) return permanent_error("store.bad_digest", "The object ends too early.");
  }
  return {};
}

Result<std::size_t> Cursor::read(MutableByteSpan into) {
  auto got = bytes_->read(into);
  if (!got.ok()) {
    at_.reset();
  } else {
    *at_ += *got;
  }
  return got;
}

std::unique_ptr<ByteSource> window_of(std::shared_ptr<Cursor> cursor, std::uint64_t offset,
                                      std::uint64_t length) {
  return std::make_unique<Window>(std::move(cursor), offset, length);
}

std::unique_ptr<ByteSource> joined(std::string head, std::shared_ptr<ByteSource> middle,
                                   std::string tail) {
  return std::make_unique<Joined>(std::move(head), std::move(middle), std::move(tail));
}

std::unique_ptr<ByteSource> checked(std::unique_ptr<ByteSource> bytes, std::string crc32c) {
  if (crc32c.empty()) return bytes;
  return std::make_unique<Checked>(std::move(bytes), std::move(crc32c));
}

}  // namespace isthmus::gcs
