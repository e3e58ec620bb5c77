// The XML and header forms of Amazon S3's REST API (version 2006-03-01), both directions, without
// I/O. Any thread. Readers refuse DOCTYPE, documents above kMaxXmlBytes and nesting above 16, take
// elements with or without the S3 namespace, and ignore elements they do not know. Their errors are
// "s3.malformed_xml" (permanent).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/env.h"

namespace isthmus::wire::s3 {

inline constexpr std::uint64_t kMaxXmlBytes =
    8 * MiB;  // a list page of 1000 long keys is below 4 MiB
inline constexpr std::uint64_t kMinPartBytes = 5 * MiB;  // UploadPart: but for the last part
inline constexpr int kMaxParts = 10'000;                 // part numbers 1..10000
inline constexpr std::size_t kMaxKeyBytes = 1024;        // UTF-8
inline constexpr std::size_t kMaxKeysPerCall = 1000;  // ListObjectsV2 page, DeleteObjects request

// --- errors ("Error responses", Amazon S3 API Reference)
// ------------------------------------------
struct ErrorBody {
  std::string code;  // "NoSuchKey"
  std::string message;
  std::string resource;
  std::string request_id;
};
std::string print(const ErrorBody& error);
Result<ErrorBody> parse_error(std::string_view xml);
// The status that goes with an error name; 500 for a name that is not in the table.
int status_of(std::string_view code);
// The name to assume for an answer without a body (HEAD has none): 404 → "NoSuchKey", 403 →
// "AccessDenied", …; "InternalError" for other 5xx, "InvalidRequest" for other 4xx.
std::string_view code_of_status(int status);

// --- ListObjectsV2
// --------------------------------------------------------------------------------
struct ListRequest {
  std::string prefix;
  std::string delimiter;
  std::string start_after;
  std::optional<std::string> continuation_token;
  int max_keys = 1000;
  bool encode_url = false;  // encoding-type=url: names in the answer are percent-encoded
  bool fetch_owner = false;
  bool version_1 =
      false;  // ListObjects, read and answered by servers only: start_after is "marker"
};
// "list-type=2&…", encoded and sorted; and back from decoded pairs, of both versions:
// "s3.invalid_argument".
std::string print_query(const ListRequest& request);
Result<ListRequest> parse_list_query(std::span<const std::pair<std::string, std::string>> query);

struct ListedObject {
  std::string key;
  std::uint64_t size_bytes = 0;
  std::string etag;  // without quotes
  WallTime last_modified;
};
struct ListResult {
  std::string bucket;
  ListRequest request;  // echoed
  bool truncated = false;
  std::optional<std::string> next_continuation_token;
  std::string next_marker = {};  // of version 1
  std::vector<ListedObject> contents;
  std::vector<std::string> common_prefixes;
};
// Names are encoded and decoded here when request.encode_url: the struct always holds plain text.
std::string print(const ListResult& result);
Result<ListResult> parse_list_result(std::string_view xml);

// --- multipart uploads
// ----------------------------------------------------------------------------
struct InitiatedUpload {
  std::string bucket;
  std::string key;
  std::string upload_id;
};
std::string print(const InitiatedUpload& upload);
Result<InitiatedUpload> parse_initiated_upload(std::string_view xml);

struct CompletedPart {
  int number = 0;               // 1..10000
  std::string etag;             // without quotes
  std::string checksum_sha256;  // base64; empty: not said
  // Every checksum said, read only: "ChecksumCRC32" and its value.
  std::vector<std::pair<std::string, std::string>> checksums = {};
};
struct CompleteRequest {
  std::vector<CompletedPart> parts;
};
std::string print(const CompleteRequest& request);
// At least one part, numbers within bounds; their order is the server's to judge
// (InvalidPartOrder).
Result<CompleteRequest> parse_complete_request(std::string_view xml);

struct CompletedUpload {
  std::string location;
  std::string bucket;
  std::string key;
  std::string etag;             // without quotes; Ceph RGW leaves it empty
  std::string checksum_sha256;  // read only: "base64-<parts>"; empty: not said
  // To be written: "ChecksumCRC32" and its value; "COMPOSITE" or "FULL_OBJECT".
  std::vector<std::pair<std::string, std::string>> checksums = {};
  std::string checksum_type = {};
};
std::string print(const CompletedUpload& upload);
// The service may answer 200 and put an <Error> document in the body: that is "s3.error_in_body"
// (transient), its message the error's name; parse_error gives the whole.
Result<CompletedUpload> parse_completed_upload(std::string_view xml);

// The answer of ListParts, read only.
struct UploadedPart {
  int number = 0;
  std::uint64_t size_bytes = 0;
  std::string etag;             // without quotes
  std::string checksum_sha256;  // base64; empty: not said
};
struct PartList {
  std::vector<UploadedPart> parts;
  bool truncated = false;
  int next_marker = 0;
};
Result<PartList> parse_part_list(std::string_view xml);

// "<md5 of the parts' md5s>-<parts>", and the SHA-256 of the parts' SHA-256s as base64 +
// "-<parts>".
std::string multipart_etag(std::span<const std::array<std::byte, 16>> part_md5s);
std::string composite_checksum(std::span<const Digest> part_digests);

// --- DeleteObjects
// --------------------------------------------------------------------------------
struct DeleteRequest {
  std::vector<std::string> keys;
  bool quiet = false;
};
std::string print(const DeleteRequest& request);
// 1 to 1000 keys.
Result<DeleteRequest> parse_delete_request(std::string_view xml);

struct DeleteFailure {
  std::string key;
  std::string code;
  std::string message;
};
struct DeleteResult {
  std::vector<std::string> deleted;  // empty when the request was quiet
  std::vector<DeleteFailure> errors;
};
std::string print(const DeleteResult& result);
Result<DeleteResult> parse_delete_result(std::string_view xml);

// --- buckets
// -------------------------------------------------------------------------------------- The body
// of CreateBucket; an empty one means the default region.
struct CreateBucketRequest {
  std::string location_constraint;
};
std::string print(const CreateBucketRequest& request);
Result<CreateBucketRequest> parse_create_bucket_request(std::string_view xml);
// The answer of GetBucketLocation.
std::string print_location(std::string_view region);

struct BucketEntry {
  std::string name;
  WallTime created_at;
};
struct BucketList {
  std::string owner_id;
  std::vector<BucketEntry> buckets;
};
std::string print(const BucketList& list);
Result<BucketList> parse_bucket_list(std::string_view xml);

// 3 to 63 of [a-z0-9.-], letter or digit at both ends, no "..", not an IPv4 address ("Bucket naming
// rules", general purpose buckets).
bool valid_bucket_name(std::string_view name);

// --- headers
// --------------------------------------------------------------------------------------
// "\"abc\"" → "abc", and back. Weak validators lose their "W/".
std::string from_etag_header(std::string_view etag);
std::string to_etag_header(std::string_view etag);

struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  bool operator==(const ByteRange&) const = default;
};
// One range of "bytes=0-9", "bytes=5-", "bytes=-3", cut to the object (RFC 9110 section 14.1.2).
// Nothing: the header is to be ignored (another unit, several ranges, broken form).
// "s3.invalid_range" (permanent): well formed, but nothing of the object is in it (416).
Result<std::optional<ByteRange>> parse_range(std::string_view header_value,
                                             std::uint64_t size_bytes);
// "bytes 0-9/100"
std::string content_range(const ByteRange& range, std::uint64_t size_bytes);

}  // namespace isthmus::wire::s3
