#include "http/cpprest/bodies.h"

#include <algorithm>
#include <stdexcept>

namespace isthmus::http::cpprest {
namespace {

pplx::task<size_t> failed(const char* why) {
  return pplx::task_from_exception<size_t>(std::runtime_error(why));
}

}  // namespace

void Upload::detach() {
  const std::lock_guard lock(mutex_);
  source_.reset();
}

std::optional<Error> Upload::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

Upload::pos_type Upload::seekpos(pos_type position, std::ios_base::openmode) {
  const std::lock_guard lock(mutex_);
  if (!source_ || position != static_cast<pos_type>(0))
    throw std::runtime_error("no such position");
  if (Result<void> rewound = source_->rewind(); !rewound.ok()) {
    error_ = std::move(rewound).error();
    throw std::runtime_error("the body cannot be read again");
  }
  return position;
}

pplx::task<size_t> Upload::_getn(std::uint8_t* into, size_t count) {
  const std::lock_guard lock(mutex_);
  if (!source_) return failed("the request was given up");
  Result<std::size_t> got = source_->read({reinterpret_cast<std::byte*>(into), count});
  if (!got.ok()) {
    error_ = std::move(got).error();
    return failed("the body cannot be read");
  }
  return pplx::task_from_result<size_t>(*got);
}

pplx::task<size_t> Upload::_putn(const std::uint8_t*, size_t) {
  return failed("read only");
}

Result<std::size_t> Download::read(MutableByteSpan into, Clock& clock, SteadyTime deadline) {
  std::unique_lock lock(mutex_);
  while (!piece_ && end_ == End::none) {
    const Milliseconds left = deadline - clock.steady_now();
    if (left <= Milliseconds(0)) {
      return transient_error("http.timeout", "The answer's body took longer than allowed.");
    }
    changed_.wait_for(lock, left);
  }
  if (!piece_) {
    if (end_ == End::well) return std::size_t{0};
    return transient_error("http.closed", "The connection ended within the answer's body.");
  }
  const std::size_t count = std::min(into.size(), piece_->left.size());
  std::copy_n(piece_->left.begin(), count, into.begin());
  piece_->left = piece_->left.subspan(count);
  if (piece_->left.empty()) {
    const Piece done = *std::move(piece_);
    piece_.reset();
    lock.unlock();
    done.taken.set(done.size);
  }
  return count;
}

void Download::abandon() {
  std::optional<Piece> refused;
  {
    const std::lock_guard lock(mutex_);
    abandoned_ = true;
    refused.swap(piece_);
  }
  if (refused) refused->taken.set_exception(std::runtime_error("nobody reads the answer"));
}

void Download::end(bool well) {
  {
    const std::lock_guard lock(mutex_);
    if (end_ == End::none) end_ = well ? End::well : End::broken;
  }
  changed_.notify_all();
}

pplx::task<size_t> Download::_getn(std::uint8_t*, size_t) {
  return failed("write only");
}

pplx::task<size_t> Download::_putn(const std::uint8_t* bytes, size_t count) {
  const std::lock_guard lock(mutex_);
  if (abandoned_) return failed("nobody reads the answer");
  piece_ = Piece{{reinterpret_cast<const std::byte*>(bytes), count}, count, {}};
  changed_.notify_all();
  return pplx::create_task(piece_->taken);
}

}  // namespace isthmus::http::cpprest
