// Views of bytes, and streams that can be read twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace isthmus {

using ByteSpan = std::span<const std::byte>;
using MutableByteSpan = std::span<std::byte>;
using Bytes = std::vector<std::byte>;

inline ByteSpan as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

constexpr std::uint64_t KiB = 1024;
constexpr std::uint64_t MiB = 1024 * KiB;
constexpr std::uint64_t GiB = 1024 * MiB;

// A body of known size that can be read again from its start (a request may be repeated).
// One thread at a time.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // The whole length in bytes, whatever has been read.
  virtual std::uint64_t size() const = 0;
  // Reads up to into.size() bytes; 0 only at the end (or for an empty span).
  virtual Result<std::size_t> read(MutableByteSpan into) = 0;
  // The next read starts at the first byte.
  virtual Result<void> rewind() = 0;
};

// A source over bytes that it owns.
std::unique_ptr<ByteSource> source_of(std::string bytes);
std::unique_ptr<ByteSource> source_of(Bytes bytes);
// A source over a part of another: `length` bytes from `offset`, found by reading past what comes
// before. `whole` must outlive it and is not to be read by anyone else meanwhile.
std::unique_ptr<ByteSource> slice_of(ByteSource& whole, std::uint64_t offset, std::uint64_t length);

// Everything a source still has, if that is at most `limit` bytes; else "body.too_large"
// (permanent).
Result<std::string> read_all(ByteSource& source, std::uint64_t limit);

}  // namespace isthmus
