// The two streams between cpprestsdk and ours: Upload gives it a ByteSource to read, Download hands
// what it received to one reader, piece by piece. cpprestsdk waits for the reader (its task of putn
// ends when the piece was taken), so a body is never in memory as a whole.
#pragma once

#include <cpprest/http_client.h>

#include <condition_variable>
#include <mutex>

#include "base/bytes.h"
#include "base/env.h"

namespace isthmus::http::cpprest {

using StreamBuffer = concurrency::streams::details::streambuf_state_manager<std::uint8_t>;

// What both streams do not do: characters one by one, blocks of their own, sizes.
class PlainBuffer : public StreamBuffer {
 public:
  bool has_size() const override { return false; }
  size_t buffer_size(std::ios_base::openmode) const override { return 0; }
  void set_buffer_size(size_t, std::ios_base::openmode) override {}
  size_t in_avail() const override { return 0; }
  pos_type getpos(std::ios_base::openmode) const override { return nowhere(); }
  pos_type seekoff(off_type, std::ios_base::seekdir, std::ios_base::openmode) override {
    return nowhere();
  }
  bool acquire(std::uint8_t*& pointer, size_t& count) override {
    pointer = nullptr;
    count = 0;
    return false;
  }
  void release(std::uint8_t*, size_t) override {}

 protected:
  using StreamBuffer::StreamBuffer;
  static pos_type nowhere() { return static_cast<pos_type>(traits::eof()); }
  static pplx::task<int_type> no_character() {
    return pplx::task_from_result<int_type>(traits::eof());
  }

  pplx::task<int_type> _putc(std::uint8_t) override { return no_character(); }
  pplx::task<int_type> _bumpc() override { return no_character(); }
  int_type _sbumpc() override { return traits::eof(); }
  pplx::task<int_type> _getc() override { return no_character(); }
  int_type _sgetc() override { return traits::eof(); }
  pplx::task<int_type> _nextc() override { return no_character(); }
  pplx::task<int_type> _ungetc() override { return no_character(); }
  size_t _scopy(std::uint8_t*, size_t) override { return 0; }
  pplx::task<bool> _sync() override { return pplx::task_from_result(true); }
  std::uint8_t* _alloc(size_t) override { return nullptr; }
  void _commit(size_t) override {}
};

// Reads `source` in cpprestsdk's threads until detach(): from then on nobody touches it.
class Upload : public PlainBuffer {
 public:
  explicit Upload(std::shared_ptr<ByteSource> source)
      : PlainBuffer(std::ios_base::in), source_(std::move(source)) {}

  // Waits for a read in progress.
  void detach();
  // What reading the source gave, if that was what ended the request.
  std::optional<Error> error() const;

  // cpprestsdk sends the body again from its start when a reused connection turns out to be closed,
  // whatever the method; it goes without when this fails.
  bool can_seek() const override { return true; }
  pos_type seekpos(pos_type position, std::ios_base::openmode) override;

 protected:
  pplx::task<size_t> _getn(std::uint8_t* into, size_t count) override;
  pplx::task<size_t> _putn(const std::uint8_t*, size_t) override;

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<ByteSource> source_;  // none: detached
  std::optional<Error> error_;
};

// One writer (cpprestsdk) and one reader.
class Download : public PlainBuffer {
 public:
  Download() : PlainBuffer(std::ios_base::out) {}

  // Waits for bytes until `deadline`. 0: the body has ended well. "http.closed", "http.timeout".
  Result<std::size_t> read(MutableByteSpan into, Clock& clock, SteadyTime deadline);
  // Nobody reads any more: what comes is refused, which ends the connection.
  void abandon();
  // The body has ended, well or not.
  void end(bool well);

  bool can_seek() const override { return false; }
  pos_type seekpos(pos_type, std::ios_base::openmode) override { return nowhere(); }

 protected:
  pplx::task<size_t> _getn(std::uint8_t*, size_t) override;
  pplx::task<size_t> _putn(const std::uint8_t* bytes, size_t count) override;

 private:
  struct Piece {
    ByteSpan left;
    std::size_t size;
    pplx::task_completion_event<size_t> taken;
  };
  enum class End { none, well, broken };

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Piece> piece_;
  End end_ = End::none;
  bool abandoned_ = false;
};

}  // namespace isthmus::http::cpprest
