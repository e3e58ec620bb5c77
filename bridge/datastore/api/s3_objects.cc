// Objects: put, get, head, delete.
#include <algorithm>

#include "datastore/api/s3.h"
#include "wire/s3.h"
#include "wire/xml.h"

namespace isthmus::datastore {

namespace s3 = wire::s3;

namespace {

constexpr std::size_t kMostMetadataBytes = 2048;  // S3: user-defined metadata, names and values

std::string without_aws_chunked(std::string_view encoding) {
  std::string kept;
  while (!encoding.empty()) {
    const std::size_t comma = std::min(encoding.find(','), encoding.size());
    std::string_view token = encoding.substr(0, comma);
    encoding.remove_prefix(std::min(comma + 1, encoding.size()));
    while (token.starts_with(' ')) token.remove_prefix(1);
    while (token.ends_with(' ')) token.remove_suffix(1);
    if (token.empty() || token == "aws-chunked") continue;
    if (!kept.empty()) kept += ",";
    kept += token;
  }
  return kept;
}

// If-Match and If-None-Match list entity tags, or "*".
bool lists_etag(std::string_view header, std::string_view etag) {
  while (!header.empty()) {
    const std::size_t comma = std::min(header.find(','), header.size());
    std::string_view tag = header.substr(0, comma);
    header.remove_prefix(std::min(comma + 1, header.size()));
    while (tag.starts_with(' ')) tag.remove_prefix(1);
    while (tag.ends_with(' ')) tag.remove_suffix(1);
    if (tag == "*" || s3::from_etag_header(tag) == etag) return true;
  }
  return false;
}

// HTTP dates have whole seconds.
WallTime whole_seconds(WallTime time) {
  return std::chrono::time_point_cast<Milliseconds>(std::chrono::floor<std::chrono::seconds>(time));
}

void set_checksum(http::Response& response, const std::string& algorithm,
                  const std::string& value) {
  if (algorithm.empty()) return;
  response.headers.set("x-amz-checksum-" + algorithm, value);
  const bool composite = value.find('-') != std::string::npos;
  response.headers.set("x-amz-checksum-type", composite ? "COMPOSITE" : "FULL_OBJECT");
}

}  // namespace

// RFC 9110 section 13.2.2: the order in which conditions are looked at.
Result<void> check_read_conditions(const http::Headers& headers, const ObjectRecord& object) {
  const WallTime modified = whole_seconds(object.modified_at);
  const auto failed = [] {
    return permanent_error("PreconditionFailed",
                           "At least one of the pre-conditions you specified did not hold");
  };
  const auto unchanged = [] { return permanent_error("NotModified", "Not modified."); };
  if (const auto tags = headers.find("If-Match")) {
    if (!lists_etag(*tags, object.etag)) return failed();
  } else if (const auto date = headers.find("If-Unmodified-Since")) {
    const auto since = http::from_http_date(*date);
    if (since && modified > *since) return failed();
  }
  if (const auto tags = headers.find("If-None-Match")) {
    if (lists_etag(*tags, object.etag)) return unchanged();
  } else if (const auto date = headers.find("If-Modified-Since")) {
    const auto since = http::from_http_date(*date);
    if (since && modified <= *since) return unchanged();
  }
  return {};
}

Result<StoredHeaders> headers_to_keep(const http::Headers& headers) {
  StoredHeaders kept;
  std::size_t metadata_bytes = 0;
  for (const auto& [name, value] : headers.all()) {
    const std::string lower_name = lower_case(name);
    if (lower_name.starts_with("x-amz-meta-")) {
      metadata_bytes += lower_name.size() - 11 + value.size();
      kept.emplace_back(lower_name, value);
    } else if (lower_name == "content-encoding") {
      std::string encoding = without_aws_chunked(value);
      if (!encoding.empty()) kept.emplace_back("Content-Encoding", std::move(encoding));
    } else if (lower_name == "content-type" || lower_name == "cache-control" ||
               lower_name == "content-disposition" || lower_name == "content-language" ||
               lower_name == "expires") {
      kept.emplace_back(name, value);
    }
  }
  if (metadata_bytes > kMostMetadataBytes) {
    return permanent_error("MetadataTooLarge",
                           "Your metadata headers exceed the maximum allowed metadata size");
  }
  return kept;
}

// What can be refused before the body has come.
S3Api::Answer S3Api::check_put(const S3Call& call) {
  TRY(objects_.bucket(call.name.bucket));
  TRY(headers_to_keep(call.head.headers));
  if (call.has("uploadId")) {
    TRY_ASSIGN(const UploadRecord upload, objects_.upload(call.name, call.parameter("uploadId")));
    TRY_ASSIGN(const PayloadClaims claims, read_payload_claims(call.head));
    const std::string& said = claims.checksum.algorithm;
    if (!said.empty() && !upload.checksum_algorithm.empty() && said != upload.checksum_algorithm) {
      return permanent_error("InvalidRequest",
                             "Checksum Type mismatch occurred, expected checksum Type: " +
                                 upload.checksum_algorithm + ", actual checksum Type: " + said);
    }
    return http::Response{};
  }
  const auto none_match = call.head.headers.find("If-None-Match");
  if (none_match && *none_match != "*") {
    return permanent_error("NotImplemented", "If-None-Match of a put takes only *.");
  }
  if (none_match && objects_.find(call.name)) {
    return permanent_error("PreconditionFailed",
                           "At least one of the pre-conditions you specified did not hold");
  }
  return http::Response{};
}

PutCondition condition_of(const http::Headers& headers) {
  PutCondition condition;
  condition.must_be_absent = headers.contains("If-None-Match");
  if (const auto etag = headers.find("If-Match")) condition.etag = s3::from_etag_header(*etag);
  return condition;
}

S3Api::Answer S3Api::put_object(const S3Call& call, ReceivedPayload payload) {
  ObjectRecord record;
  record.etag = to_hex(payload.md5);
  TRY_ASSIGN(record.headers, headers_to_keep(call.head.headers));
  record.checksum_algorithm = payload.checksum.algorithm;
  record.checksum = payload.checksum.value;
  TRY_ASSIGN(const ObjectRecord stored, objects_.put(call.name, std::move(record), payload.blob,
                                                     condition_of(call.head.headers)));
  http::Response response;
  response.headers.set("ETag", s3::to_etag_header(stored.etag));
  set_checksum(response, stored.checksum_algorithm, stored.checksum);
  return response;
}

S3Api::Answer S3Api::get_object(const S3Call& call) {
  const http::Headers& headers = call.head.headers;
  TRY_ASSIGN(const ObjectRecord object, objects_.find(call.name));
  TRY(check_read_conditions(headers, object));
  std::optional<s3::ByteRange> range;
  if (const auto text = headers.find("Range")) {
    // A range of another state of the object is not asked for (RFC 9110 section 13.1.5).
    const auto if_range = headers.find("If-Range");
    if (!if_range || s3::from_etag_header(*if_range) == object.etag) {
      TRY_ASSIGN(range, s3::parse_range(*text, object.size_bytes));
    }
  }
  http::Response response;
  for (const auto& [name, value] : object.headers) response.headers.set(name, value);
  if (!response.headers.contains("Content-Type")) {
    response.headers.set("Content-Type", "binary/octet-stream");
  }
  response.headers.set("ETag", s3::to_etag_header(object.etag));
  response.headers.set("Last-Modified", http::to_http_date(object.modified_at));
  response.headers.set("Accept-Ranges", "bytes");
  const std::uint64_t length = range ? range->length : object.size_bytes;
  if (range) {
    response.status = 206;
    response.headers.set("Content-Range", s3::content_range(*range, object.size_bytes));
  } else if (lower_case(headers.get("x-amz-checksum-mode")) == "enabled") {
    set_checksum(response, object.checksum_algorithm, object.checksum);
  }
  if (call.head.method == "HEAD") {
    response.headers.set("Content-Length", std::to_string(length));
    return response;
  }
  TRY_ASSIGN(response.body, objects_.read(object, range ? range->offset : 0, length));
  return response;
}

// Tags are not kept: an object has none. Copying clients ask.
S3Api::Answer S3Api::get_tags(const S3Call& call) {
  TRY(objects_.find(call.name));
  wire::XmlWriter xml("Tagging", "http://s3.amazonaws.com/doc/2006-03-01/");
  xml.element("TagSet", "");
  return http::text_response(200, "application/xml", xml.finish());
}

S3Api::Answer S3Api::delete_object(const S3Call& call) {
  PutCondition condition;
  if (const auto etag = call.head.headers.find("If-Match"); etag && *etag != "*") {
    condition.etag = s3::from_etag_header(*etag);
  }
  TRY(objects_.remove(call.name, condition));
  http::Response response;
  response.status = 204;
  return response;
}

}  // namespace isthmus::datastore
