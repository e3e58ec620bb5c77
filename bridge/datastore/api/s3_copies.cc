// Copies: CopyObject, which is a row and no bytes, and UploadPartCopy.
#include <algorithm>

#include "datastore/api/s3.h"
#include "datastore/api/s3_names.h"
#include "wire/s3.h"
#include "wire/xml.h"

namespace isthmus::datastore {

namespace s3 = wire::s3;

namespace {

constexpr const char* kNamespace = "http://s3.amazonaws.com/doc/2006-03-01/";

// x-amz-copy-source-if-…: what they say of the source, as a get of it would have it said.
http::Headers source_conditions(const http::Headers& headers) {
  constexpr std::string_view kPrefix = "x-amz-copy-source-";
  http::Headers conditions;
  for (const std::string_view name :
       {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since"}) {
    if (const auto value = headers.find(std::string(kPrefix) + std::string(name))) {
      conditions.set(name, std::string(*value));
    }
  }
  return conditions;
}

void write_checksum(wire::XmlWriter& xml, const std::string& algorithm, const std::string& value) {
  if (const ChecksumKind* const kind = checksum_kind(algorithm)) xml.element(kind->element, value);
}

bool replaces_metadata(const http::Headers& headers) {
  return headers.get("x-amz-metadata-directive") == "REPLACE";
}

}  // namespace

Result<ObjectRecord> S3Api::copy_source(const S3Call& call) {
  TRY_ASSIGN(const ObjectName from, s3_copy_source(call.head.headers.get("x-amz-copy-source")));
  TRY_ASSIGN(ObjectRecord source, objects_.find(from));
  const Result<void> holds = check_read_conditions(source_conditions(call.head.headers), source);
  if (!holds) {  // "not modified" is a failed condition where nothing is read
    return permanent_error("PreconditionFailed",
                           "At least one of the pre-conditions you specified did not hold");
  }
  return source;
}

// A checksum of another algorithm than the source has is made of its bytes.
Result<void> S3Api::set_copied_checksum(const S3Call& call, const ObjectRecord& source,
                                        ObjectRecord& record) {
  record.checksum_algorithm = source.checksum_algorithm;
  record.checksum = source.checksum;
  const std::string wanted = lower_case(call.head.headers.get("x-amz-checksum-algorithm"));
  if (wanted.empty() || wanted == source.checksum_algorithm) return {};
  if (checksum_kind(wanted) == nullptr) {
    return permanent_error("InvalidRequest", "Checksum algorithm provided is unsupported.");
  }
  RunningChecksum sum(wanted);
  TRY_ASSIGN(const std::unique_ptr<ByteSource> bytes, objects_.read(source, 0, source.size_bytes));
  Bytes buffer(256 * KiB);
  while (true) {
    TRY_ASSIGN(const std::size_t count, bytes->read(buffer));
    if (count == 0) break;
    sum.update(ByteSpan(buffer).first(count));
  }
  record.checksum_algorithm = wanted;
  record.checksum = sum.finish();
  return {};
}

S3Api::Answer S3Api::copy_object(const S3Call& call) {
  const http::Headers& headers = call.head.headers;
  TRY_ASSIGN(const ObjectName from, s3_copy_source(headers.get("x-amz-copy-source")));
  const std::string_view directive = headers.get("x-amz-metadata-directive", "COPY");
  if (directive != "COPY" && directive != "REPLACE") {
    return permanent_error("InvalidArgument", "Unknown metadata directive.");
  }
  const bool onto_itself = from.bucket == call.name.bucket && from.key == call.name.key;
  if (onto_itself && !replaces_metadata(headers)) {
    return permanent_error("InvalidRequest",
                           "This copy request is illegal because it is trying to copy an object to"
                           " itself without changing the object's metadata, storage class, website"
                           " redirect location or encryption attributes.");
  }
  TRY_ASSIGN(const ObjectRecord source, copy_source(call));
  ObjectRecord record;
  record.etag = source.etag;
  record.headers = source.headers;
  if (replaces_metadata(headers)) {
    TRY_ASSIGN(record.headers, headers_to_keep(headers));
  }
  TRY(set_copied_checksum(call, source, record));
  TRY_ASSIGN(const ObjectRecord stored,
             objects_.copy(source, call.name, std::move(record), condition_of(headers)));
  wire::XmlWriter xml("CopyObjectResult", kNamespace);
  xml.element("ETag", s3::to_etag_header(stored.etag));
  xml.element("LastModified", to_rfc3339(stored.modified_at));
  write_checksum(xml, stored.checksum_algorithm, stored.checksum);
  return http::text_response(200, "application/xml", xml.finish());
}

S3Api::Answer S3Api::copy_part(const S3Call& call) {
  PartRecord part;
  TRY_ASSIGN(part.number, part_number_of(call));
  TRY_ASSIGN(const UploadRecord upload, objects_.upload(call.name, call.parameter("uploadId")));
  TRY_ASSIGN(const ObjectRecord source, copy_source(call));
  s3::ByteRange range{0, source.size_bytes};
  if (const auto text = call.head.headers.find("x-amz-copy-source-range")) {
    const auto wanted = s3::parse_range(*text, source.size_bytes);
    // Unlike a Range it must be there as it is asked for: "bytes=first-last" within the source.
    if (!wanted || !*wanted ||
        *text != "bytes=" + std::to_string((*wanted)->offset) + "-" +
                     std::to_string((*wanted)->offset + (*wanted)->length - 1)) {
      return permanent_error("InvalidArgument",
                             "The x-amz-copy-source-range value must be of the"
                             " form bytes=first-last within the source.");
    }
    range = **wanted;
  }
  TRY_ASSIGN(const std::unique_ptr<ByteSource> bytes,
             objects_.read(source, range.offset, range.length));
  TRY_ASSIGN(const std::unique_ptr<BlobWriter> blob, blobs_.begin());
  Md5 md5;
  RunningChecksum sum(upload.checksum_algorithm);
  Bytes buffer(256 * KiB);
  while (true) {
    TRY_ASSIGN(const std::size_t count, bytes->read(buffer));
    if (count == 0) break;
    md5.update(ByteSpan(buffer).first(count));
    sum.update(ByteSpan(buffer).first(count));
    TRY(blob->append(ByteSpan(buffer).first(count)));
  }
  TRY_ASSIGN(const BlobPin pin, blob->finish());
  part.etag = to_hex(md5.finish());
  part.checksum_algorithm = upload.checksum_algorithm;
  part.checksum = sum.finish();
  TRY(objects_.put_part(upload, part, pin));
  wire::XmlWriter xml("CopyPartResult", kNamespace);
  xml.element("ETag", s3::to_etag_header(part.etag));
  xml.element("LastModified", to_rfc3339(env_.clock.wall_now()));
  write_checksum(xml, part.checksum_algorithm, part.checksum);
  return http::text_response(200, "application/xml", xml.finish());
}

}  // namespace isthmus::datastore
