// Multipart uploads.
#include <algorithm>
#include <charconv>

#include "datastore/api/s3.h"
#include "wire/s3.h"
#include "wire/xml.h"

namespace isthmus::datastore {

namespace s3 = wire::s3;

namespace {

Result<int> part_number(const S3Call& call) {
  const std::string text = call.parameter("partNumber");
  int number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{} || end != text.data() + text.size() || number < 1 ||
      number > s3::kMaxParts) {
    return permanent_error("InvalidArgument",
                           "Part number must be an integer between 1 and 10000, inclusive");
  }
  return number;
}

std::string_view checksum_element(std::string_view algorithm) {
  if (algorithm == "sha256") return "ChecksumSHA256";
  return algorithm == "crc32" ? "ChecksumCRC32" : "ChecksumCRC32C";
}

}  // namespace

S3Api::Answer S3Api::create_upload(const S3Call& call) {
  TRY_ASSIGN(StoredHeaders headers, headers_to_keep(call.head.headers));
  TRY_ASSIGN(const UploadRecord upload, objects_.begin_upload(call.name, std::move(headers)));
  http::Response response = http::text_response(
      200, "application/xml",
      s3::print(s3::InitiatedUpload{call.name.bucket, call.name.key, upload.id}));
  for (const std::string_view name : {"x-amz-checksum-algorithm", "x-amz-checksum-type"}) {
    if (const auto value = call.head.headers.find(name)) {
      response.headers.set(name, std::string(*value));
    }
  }
  return response;
}

S3Api::Answer S3Api::put_part(const S3Call& call, ReceivedPayload payload) {
  PartRecord part;
  TRY_ASSIGN(part.number, part_number(call));
  part.etag = to_hex(payload.md5);
  part.checksum_algorithm = payload.checksum.algorithm;
  part.checksum = payload.checksum.value;
  TRY_ASSIGN(const UploadRecord upload, objects_.upload(call.name, call.parameter("uploadId")));
  TRY(objects_.put_part(upload, part, payload.blob));
  http::Response response;
  response.headers.set("ETag", s3::to_etag_header(part.etag));
  if (!part.checksum_algorithm.empty()) {
    response.headers.set("x-amz-checksum-" + part.checksum_algorithm, part.checksum);
  }
  return response;
}

S3Api::Answer S3Api::list_parts(const S3Call& call) {
  TRY_ASSIGN(const UploadRecord upload, objects_.upload(call.name, call.parameter("uploadId")));
  TRY_ASSIGN(const std::vector<PartRecord> parts, objects_.parts(upload));
  std::size_t limit = 1000;
  int after = 0;
  const auto read_number = [&](const char* name, auto& into) {
    const std::string text = call.parameter(name);
    if (!text.empty()) std::from_chars(text.data(), text.data() + text.size(), into);
  };
  read_number("max-parts", limit);
  read_number("part-number-marker", after);
  limit = std::min<std::size_t>(limit, 1000);
  const auto begin = std::ranges::upper_bound(parts, after, {}, &PartRecord::number);
  const std::size_t count =
      std::min<std::size_t>(limit, static_cast<std::size_t>(parts.end() - begin));
  const std::span<const PartRecord> page(begin, count);
  wire::XmlWriter xml("ListPartsResult", "http://s3.amazonaws.com/doc/2006-03-01/");
  xml.element("Bucket", call.name.bucket);
  xml.element("Key", call.name.key);
  xml.element("UploadId", upload.id);
  xml.element("PartNumberMarker", static_cast<std::uint64_t>(after));
  xml.element("NextPartNumberMarker",
              static_cast<std::uint64_t>(page.empty() ? after : page.back().number));
  xml.element("MaxParts", static_cast<std::uint64_t>(limit));
  xml.element("IsTruncated", begin + static_cast<std::ptrdiff_t>(count) != parts.end());
  for (const PartRecord& part : page) {
    xml.element("Part", [&] {
      xml.element("PartNumber", static_cast<std::uint64_t>(part.number));
      xml.element("LastModified", to_rfc3339(part.modified_at));
      xml.element("ETag", s3::to_etag_header(part.etag));
      xml.element("Size", part.size_bytes);
      if (!part.checksum_algorithm.empty()) {
        xml.element(checksum_element(part.checksum_algorithm), part.checksum);
      }
    });
  }
  return http::text_response(200, "application/xml", xml.finish());
}

S3Api::Answer S3Api::complete_upload(const S3Call& call, const std::string& body) {
  TRY_ASSIGN(const s3::CompleteRequest request, s3::parse_complete_request(body));
  TRY_ASSIGN(const UploadRecord upload, objects_.upload(call.name, call.parameter("uploadId")));
  std::vector<std::pair<int, std::string>> parts;
  for (const s3::CompletedPart& part : request.parts) parts.emplace_back(part.number, part.etag);
  TRY_ASSIGN(const ObjectRecord object,
             objects_.complete_upload(upload, parts, condition_of(call.head.headers)));
  s3::CompletedUpload completed;
  completed.location = "/" + call.name.bucket + "/" + http::percent_encode(call.name.key, true);
  completed.bucket = call.name.bucket;
  completed.key = call.name.key;
  completed.etag = object.etag;
  if (object.checksum_algorithm == "sha256") completed.checksum_sha256 = object.checksum;
  return http::text_response(200, "application/xml", s3::print(completed));
}

S3Api::Answer S3Api::abort_upload(const S3Call& call) {
  TRY_ASSIGN(const UploadRecord upload, objects_.upload(call.name, call.parameter("uploadId")));
  TRY(objects_.abort_upload(upload));
  http::Response response;
  response.status = 204;
  return response;
}

}  // namespace isthmus::datastore
