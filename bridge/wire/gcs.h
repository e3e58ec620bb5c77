// The Cloud Storage JSON API as a client speaks it: resources, listings, errors, checksums, the
// headers of resumable uploads. No I/O. Source: contracts/google-storage.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace isthmus::wire::gcs {

constexpr std::uint64_t kPieceGranularity = 256 * 1024;  // every piece of a session but the last
constexpr std::string_view kHashHeader = "X-Goog-Hash";

// What an object resource says, as far as we look.
struct Object {
  std::string name;
  std::uint64_t size_bytes = 0;
  std::int64_t generation = 0;  // 0: there is no object
  std::string crc32c;           // base64, as crc32c_text()
  std::string etag;
  std::string sha256;  // hex, of our own making (NewObject); empty: somebody else's object
};
struct Listing {
  std::vector<Object> objects;
  std::string next_page_token;
};
// "gcs.malformed" (permanent).
Result<Object> parse_object(std::string_view json);
Result<Listing> parse_listing(std::string_view json);

// The resource that goes ahead of an object's bytes.
struct NewObject {
  std::string content_type;
  std::string crc32c;
  std::string sha256;
};
std::string print_metadata(const NewObject& object);

// {"error":{"code":…,"message":…,"errors":[{"reason":…}]}}; empty where it does not say.
struct ErrorBody {
  std::string reason;  // letters and digits
  std::string message;
};
ErrorBody read_error(std::string_view body);

// base64 of the four bytes, the most significant first.
std::string crc32c_text(std::uint32_t crc32c);
// Of "crc32c=mnG7TA==,md5=…"; empty when it has none.
std::string crc32c_of_hash_header(std::string_view header);

// How many bytes a session has: of "bytes=0-524287" 524288, of nothing 0; nothing for another form.
std::optional<std::uint64_t> kept_bytes(std::optional<std::string_view> range_header);

}  // namespace isthmus::wire::gcs
