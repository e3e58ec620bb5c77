// Multipart uploads.
#include <algorithm>
#include <charconv>

#include "datastore/api/s3.h"
#include "wire/s3.h"
#include "wire/xml.h"

namespace isthmus::datastore {

namespace s3 = wire::s3;

Result<int> part_number_of(const S3Call& call) {
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

namespace {

std::string upper_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return text;
}

// What CreateMultipartUpload says about the object's checksum ("Checking object integrity", table
// of the types that each algorithm has).
Result<void> read_checksum_wishes(const http::Headers& headers, UploadRecord& upload) {
  upload.checksum_algorithm = lower_case(headers.get("x-amz-checksum-algorithm"));
  upload.checksum_type = headers.get("x-amz-checksum-type");
  if (upload.checksum_algorithm.empty()) {
    if (upload.checksum_type.empty()) return {};
    return permanent_error("InvalidRequest", "A checksum type needs a checksum algorithm.");
  }
  const ChecksumKind* const kind = checksum_kind(upload.checksum_algorithm);
  if (kind == nullptr) {
    return permanent_error("InvalidRequest", "Checksum algorithm provided is unsupported.");
  }
  if (upload.checksum_type.empty()) {
    upload.checksum_type = kind->of_parts ? "COMPOSITE" : "FULL_OBJECT";
  }
  const bool fits = (upload.checksum_type == "COMPOSITE" && kind->of_parts) ||
                    (upload.checksum_type == "FULL_OBJECT" && kind->of_whole);
  if (fits) return {};
  return permanent_error("InvalidRequest", "The " + upload.checksum_type +
                                               " checksum type cannot be used with the " +
                                               upload.checksum_algorithm + " checksum algorithm.");
}

// What CompleteMultipartUpload says about the object.
Result<Completion> completion_of(const S3Call& call, const s3::CompleteRequest& request) {
  Completion completion;
  for (const s3::CompletedPart& part : request.parts) {
    completion.parts.emplace_back(part.number, part.etag);
  }
  const http::Headers& headers = call.head.headers;
  completion.condition = condition_of(headers);
  completion.checksum_type = headers.get("x-amz-checksum-type");
  if (const auto size = headers.find("x-amz-mp-object-size")) {
    std::uint64_t value = 0;
    const auto [end, failure] = std::from_chars(size->data(), size->data() + size->size(), value);
    if (failure != std::errc{} || end != size->data() + size->size()) {
      return permanent_error("InvalidRequest", "x-amz-mp-object-size is not a number.");
    }
    completion.size_bytes = value;
  }
  for (const std::string_view name : {"crc32", "crc32c", "crc64nvme", "sha1", "sha256"}) {
    if (const auto value = headers.find("x-amz-checksum-" + std::string(name))) {
      completion.checksum_algorithm = name;
      completion.checksum = *value;
    }
  }
  return completion;
}

// The parts' own checksums, where the request repeats them, are those that came with the parts.
Result<void> check_part_checksums(const s3::CompleteRequest& request,
                                  std::span<const PartRecord> parts) {
  for (const s3::CompletedPart& wanted : request.parts) {
    for (const PartRecord& part : parts) {
      if (part.number != wanted.number) continue;
      for (const auto& [element, value] : wanted.checksums) {
        const ChecksumKind* const kind = checksum_kind(part.checksum_algorithm);
        if (kind != nullptr && kind->element == element && part.checksum != value) {
          return permanent_error("InvalidPart",
                                 "The checksum of a part is not the one that came with it.");
        }
      }
    }
  }
  return {};
}

}  // namespace

S3Api::Answer S3Api::create_upload(const S3Call& call) {
  UploadRecord wanted;
  wanted.name = call.name;
  TRY_ASSIGN(wanted.headers, headers_to_keep(call.head.headers));
  TRY(read_checksum_wishes(call.head.headers, wanted));
  TRY_ASSIGN(const UploadRecord upload, objects_.begin_upload(std::move(wanted)));
  http::Response response = http::text_response(
      200, "application/xml",
      s3::print(s3::InitiatedUpload{call.name.bucket, call.name.key, upload.id}));
  if (!upload.checksum_algorithm.empty()) {
    response.headers.set("x-amz-checksum-algorithm", upper_case(upload.checksum_algorithm));
    response.headers.set("x-amz-checksum-type", upload.checksum_type);
  }
  return response;
}

S3Api::Answer S3Api::put_part(const S3Call& call, ReceivedPayload payload) {
  PartRecord part;
  TRY_ASSIGN(part.number, part_number_of(call));
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
        xml.element(checksum_kind(part.checksum_algorithm)->element, part.checksum);
      }
    });
  }
  return http::text_response(200, "application/xml", xml.finish());
}

S3Api::Answer S3Api::complete_upload(const S3Call& call, const std::string& body) {
  TRY_ASSIGN(const s3::CompleteRequest request, s3::parse_complete_request(body));
  TRY_ASSIGN(const UploadRecord upload, objects_.upload(call.name, call.parameter("uploadId")));
  TRY_ASSIGN(const Completion completion, completion_of(call, request));
  TRY_ASSIGN(const std::vector<PartRecord> parts, objects_.parts(upload));
  TRY(check_part_checksums(request, parts));
  TRY_ASSIGN(const ObjectRecord object, objects_.complete_upload(upload, completion));
  s3::CompletedUpload completed;
  completed.location = "/" + call.name.bucket + "/" + http::percent_encode(call.name.key, true);
  completed.bucket = call.name.bucket;
  completed.key = call.name.key;
  completed.etag = object.etag;
  if (const ChecksumKind* const kind = checksum_kind(object.checksum_algorithm)) {
    completed.checksums.emplace_back(kind->element, object.checksum);
    const bool of_parts = object.checksum.find('-') != std::string::npos;
    completed.checksum_type = of_parts ? "COMPOSITE" : "FULL_OBJECT";
  }
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
