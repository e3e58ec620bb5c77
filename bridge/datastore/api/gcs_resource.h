// What Cloud Storage's JSON API says of buckets and objects, both ways: resources, conditions,
// ranges of resumable uploads. Source: contracts/google-storage. No I/O, any thread.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "datastore/engine/objects.h"

namespace isthmus::datastore::gcs {

// "http://host:port", what links begin with.
nlohmann::json print_object(const std::string& bucket, const ObjectRecord& object,
                            const std::string& origin);
nlohmann::json print_bucket(const BucketRecord& bucket, const std::string& origin);

// "crc32c=…,md5=…" of a response; the MD5 of an object that S3 joined of parts is not known.
std::string print_hashes(const ObjectRecord& object);

// What the sender of an object says of it.
struct ObjectWishes {
  std::string name;  // empty: not said
  StoredHeaders headers;
  std::string crc32c;  // base64; empty: not said
  std::string md5;     // hex; empty: not said
  bool operator==(const ObjectWishes&) const = default;
};
// From the JSON metadata; `otherwise` has what query and headers say. "INVALID_ARGUMENT".
Result<ObjectWishes> parse_wishes(const std::string& json, ObjectWishes otherwise);
// The header X-Goog-Hash into `wishes`. "INVALID_ARGUMENT".
Result<void> parse_hashes(std::string_view header, ObjectWishes& wishes);
// Applies a patch (null removes) to what an object has. "INVALID_ARGUMENT".
Result<StoredHeaders> patched_headers(const StoredHeaders& headers, const std::string& json);

// ifGenerationMatch and the like. "INVALID_ARGUMENT".
Result<PutCondition> parse_conditions(const std::map<std::string, std::string>& query);
// For a session: kept in a row and found again.
std::string print_session(const ObjectWishes& wishes, const PutCondition& condition,
                          std::optional<std::uint64_t> size_bytes);
struct Session {
  ObjectWishes wishes;
  PutCondition condition;
  std::optional<std::uint64_t> size_bytes;
};
Session parse_session(const std::string& text);

// Content-Range of a request of a session: "bytes 0-9/100", "bytes 0-9/*", "bytes 0-*/*",
// "bytes */100", "bytes */*".
struct ContentRange {
  std::optional<std::uint64_t> first;  // nothing: how far it is, is asked
  std::optional<std::uint64_t> last;   // nothing with a first: up to the end of the body
  std::optional<std::uint64_t> total;
};
Result<ContentRange> parse_content_range(std::string_view header);

}  // namespace isthmus::datastore::gcs
