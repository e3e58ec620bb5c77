#include "wire/s3.h"

#include <fmt/format.h>

#include <algorithm>

#include "http/http.h"
#include "wire/text.h"
#include "wire/xml.h"

namespace isthmus::wire::s3 {

namespace {

constexpr std::string_view kNamespace = "http://s3.amazonaws.com/doc/2006-03-01/";
constexpr const char* kMalformed = "s3.malformed_xml";

Result<XmlDocument> parsed(std::string_view xml, std::string_view root) {
  return XmlDocument::parse(xml, root, kMaxXmlBytes, kMalformed);
}

Error malformed(std::string message) {
  return permanent_error(kMalformed, std::move(message));
}

Result<std::uint64_t> number_of(const XmlElement& parent, const char* name) {
  const auto text = parent.child_text(name);
  const auto value = text ? digits(*text) : std::nullopt;
  if (!value) return malformed(fmt::format("<{}> is not a number.", name));
  return static_cast<std::uint64_t>(*value);
}

bool flag_of(const XmlElement& parent, const char* name) {
  return parent.child_text(name).value_or("false") == "true";
}

// "Error responses", table "List of error codes".
struct ErrorStatus {
  std::string_view code;
  int status;
};
constexpr ErrorStatus kErrors[] = {
    {"AccessDenied", 403},
    {"AuthorizationHeaderMalformed", 400},
    {"AuthorizationQueryParametersError", 400},
    {"BadDigest", 400},
    {"BucketAlreadyExists", 409},
    {"BucketAlreadyOwnedByYou", 409},
    {"BucketNotEmpty", 409},
    {"EntityTooLarge", 400},
    {"EntityTooSmall", 400},
    {"ExpiredToken", 400},
    {"IllegalLocationConstraintException", 400},
    {"IncompleteBody", 400},
    {"InternalError", 500},
    {"InvalidAccessKeyId", 403},
    {"InvalidArgument", 400},
    {"InvalidBucketName", 400},
    {"InvalidDigest", 400},
    {"InvalidPart", 400},
    {"InvalidPartOrder", 400},
    {"InvalidRange", 416},
    {"InvalidRequest", 400},
    {"InvalidToken", 400},
    {"InvalidURI", 400},
    {"KeyTooLongError", 400},
    {"MalformedXML", 400},
    {"MethodNotAllowed", 405},
    {"MissingContentLength", 411},
    {"NoSuchBucket", 404},
    {"NoSuchKey", 404},
    {"NoSuchUpload", 404},
    {"NotImplemented", 501},
    {"NotModified", 304},
    {"OperationAborted", 409},
    {"PermanentRedirect", 301},
    {"PreconditionFailed", 412},
    {"RequestTimeTooSkewed", 403},
    {"RequestTimeout", 400},
    {"ServiceUnavailable", 503},
    {"SignatureDoesNotMatch", 403},
    {"SlowDown", 503},
    {"TemporaryRedirect", 307},
    {"TooManyBuckets", 400},
    {"UnexpectedContent", 400},
    {"XAmzContentSHA256Mismatch", 400},
};

std::string plain(std::string text, bool encoded) {
  if (!encoded) return text;
  // Amazon encodes names as in a query: a blank may come as '+'.
  std::ranges::replace(text, '+', ' ');
  return http::percent_decode(text).value_or(text);
}

std::string listed(const std::string& text, bool encode) {
  return encode ? http::percent_encode(text, true) : text;
}

Result<ListedObject> listed_object(const XmlElement& element, bool encoded) {
  ListedObject object;
  object.key = plain(element.child_text("Key").value_or(""), encoded);
  if (object.key.empty()) return malformed("A listed object has no key.");
  TRY_ASSIGN(object.size_bytes, number_of(element, "Size"));
  object.etag = from_etag_header(element.child_text("ETag").value_or(""));
  const auto modified = from_rfc3339(element.child_text("LastModified").value_or(""));
  if (modified) object.last_modified = *modified;
  return object;
}

Error invalid_argument(std::string message) {
  return permanent_error("s3.invalid_argument", std::move(message));
}

}  // namespace

std::string print(const ErrorBody& error) {
  XmlWriter xml("Error");  // without a namespace, as Amazon sends it
  xml.element("Code", error.code);
  xml.element("Message", error.message);
  if (!error.resource.empty()) xml.element("Resource", error.resource);
  xml.element("RequestId", error.request_id);
  return xml.finish();
}

Result<ErrorBody> parse_error(std::string_view xml) {
  TRY_ASSIGN(const XmlDocument document, parsed(xml, "Error"));
  const XmlElement root = document.root();
  ErrorBody error{root.child_text("Code").value_or(""), root.child_text("Message").value_or(""),
                  root.child_text("Resource").value_or(""),
                  root.child_text("RequestId").value_or("")};
  if (error.code.empty()) return malformed("The <Error> has no <Code>.");
  return error;
}

int status_of(std::string_view code) {
  const auto found = std::ranges::find(kErrors, code, &ErrorStatus::code);
  return found == std::end(kErrors) ? 500 : found->status;
}

std::string_view code_of_status(int status) {
  switch (status) {
    case 301:
      return "PermanentRedirect";
    case 304:
      return "NotModified";
    case 307:
      return "TemporaryRedirect";
    case 401:
    case 403:
      return "AccessDenied";
    case 404:
      return "NoSuchKey";
    case 405:
      return "MethodNotAllowed";
    case 408:
      return "RequestTimeout";
    case 409:
      return "OperationAborted";
    case 411:
      return "MissingContentLength";
    case 412:
      return "PreconditionFailed";
    case 416:
      return "InvalidRange";
    case 429:
    case 503:
      return "SlowDown";
    case 501:
      return "NotImplemented";
    default:
      return status >= 500 ? "InternalError" : "InvalidRequest";
  }
}

std::string print_query(const ListRequest& request) {
  std::vector<std::pair<std::string, std::string>> pairs = {{"list-type", "2"}};
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) pairs.emplace_back(name, value);
  };
  add("prefix", request.prefix);
  add("delimiter", request.delimiter);
  add("start-after", request.start_after);
  add("continuation-token", request.continuation_token.value_or(""));
  if (request.max_keys != 1000) add("max-keys", std::to_string(request.max_keys));
  if (request.encode_url) add("encoding-type", "url");
  if (request.fetch_owner) add("fetch-owner", "true");
  std::ranges::sort(pairs);
  std::string query;
  for (const auto& [name, value] : pairs) {
    if (!query.empty()) query += '&';
    query += name + "=" + http::percent_encode(value, false);
  }
  return query;
}

Result<ListRequest> parse_list_query(std::span<const std::pair<std::string, std::string>> query) {
  ListRequest request;
  request.version_1 = true;
  for (const auto& [name, value] : query) {
    request.version_1 = request.version_1 && name != "list-type";
  }
  const std::string_view after = request.version_1 ? "marker" : "start-after";
  for (const auto& [name, value] : query) {
    if (name == "prefix") {
      request.prefix = value;
    } else if (name == "delimiter") {
      request.delimiter = value;
    } else if (name == after) {
      request.start_after = value;
    } else if (name == "continuation-token" && !request.version_1) {
      if (value.empty()) return invalid_argument("The continuation token is empty.");
      request.continuation_token = value;
    } else if (name == "max-keys") {
      const auto number = digits(value);
      if (!number || *number > 2147483647) {
        return invalid_argument("max-keys must be a number from 0 to 2147483647.");
      }
      // Amazon never lists more than 1000 a page, whatever is asked.
      request.max_keys = static_cast<int>(std::min<std::int64_t>(*number, 1000));
    } else if (name == "encoding-type") {
      if (value != "url") return invalid_argument("encoding-type must be url.");
      request.encode_url = true;
    } else if (name == "fetch-owner") {
      request.fetch_owner = value == "true";
    } else if (name == "list-type" && value != "2") {
      return invalid_argument("list-type must be 2.");
    }
  }
  return request;
}

namespace {

// Where the page begins, and where the next one does, in the words of each version.
void print_begin(const ListResult& result, XmlWriter& xml) {
  const ListRequest& request = result.request;
  const bool encode = request.encode_url;
  if (request.version_1) {
    xml.element("Marker", listed(request.start_after, encode));
    return;
  }
  if (!request.start_after.empty()) xml.element("StartAfter", listed(request.start_after, encode));
  xml.element("KeyCount", result.contents.size() + result.common_prefixes.size());
}

void print_next(const ListResult& result, XmlWriter& xml) {
  const ListRequest& request = result.request;
  if (request.version_1) {
    // "This element is returned only if you have the delimiter request parameter specified."
    if (result.truncated && !request.delimiter.empty()) {
      xml.element("NextMarker", listed(result.next_marker, request.encode_url));
    }
    return;
  }
  if (request.continuation_token) xml.element("ContinuationToken", *request.continuation_token);
  if (result.next_continuation_token) {
    xml.element("NextContinuationToken", *result.next_continuation_token);
  }
}

}  // namespace

std::string print(const ListResult& result) {
  const ListRequest& request = result.request;
  const bool encode = request.encode_url;
  XmlWriter xml("ListBucketResult", kNamespace);
  xml.element("Name", result.bucket);
  xml.element("Prefix", listed(request.prefix, encode));
  if (!request.delimiter.empty()) xml.element("Delimiter", listed(request.delimiter, encode));
  print_begin(result, xml);
  xml.element("MaxKeys", static_cast<std::uint64_t>(request.max_keys));
  if (encode) xml.element("EncodingType", "url");
  xml.element("IsTruncated", result.truncated);
  print_next(result, xml);
  for (const ListedObject& object : result.contents) {
    xml.element("Contents", [&] {
      xml.element("Key", listed(object.key, encode));
      xml.element("LastModified", to_rfc3339(object.last_modified));
      xml.element("ETag", to_etag_header(object.etag));
      xml.element("Size", object.size_bytes);
      xml.element("StorageClass", "STANDARD");
    });
  }
  for (const std::string& prefix : result.common_prefixes) {
    xml.element("CommonPrefixes", [&] { xml.element("Prefix", listed(prefix, encode)); });
  }
  return xml.finish();
}

Result<ListResult> parse_list_result(std::string_view text) {
  TRY_ASSIGN(const XmlDocument document, parsed(text, "ListBucketResult"));
  const XmlElement root = document.root();
  ListResult result;
  ListRequest& request = result.request;
  request.encode_url = root.child_text("EncodingType").value_or("") == "url";
  const bool encoded = request.encode_url;
  result.bucket = root.child_text("Name").value_or("");
  request.prefix = plain(root.child_text("Prefix").value_or(""), encoded);
  request.delimiter = plain(root.child_text("Delimiter").value_or(""), encoded);
  request.start_after = plain(root.child_text("StartAfter").value_or(""), encoded);
  if (root.child("MaxKeys").present()) {
    TRY_ASSIGN(const std::uint64_t max_keys, number_of(root, "MaxKeys"));
    request.max_keys = static_cast<int>(std::min<std::uint64_t>(max_keys, 2147483647));
  }
  request.continuation_token = root.child_text("ContinuationToken");
  result.truncated = flag_of(root, "IsTruncated");
  result.next_continuation_token = root.child_text("NextContinuationToken");
  if (result.truncated && result.next_continuation_token.value_or("").empty()) {
    return malformed("The page says there is more, and does not say how to get it.");
  }
  for (const XmlElement& element : root.children("Contents")) {
    TRY_ASSIGN(ListedObject object, listed_object(element, encoded));
    result.contents.push_back(std::move(object));
  }
  for (const XmlElement& element : root.children("CommonPrefixes")) {
    result.common_prefixes.push_back(plain(element.child_text("Prefix").value_or(""), encoded));
  }
  return result;
}

Result<PartList> parse_part_list(std::string_view text) {
  TRY_ASSIGN(const XmlDocument document, parsed(text, "ListPartsResult"));
  const XmlElement root = document.root();
  PartList list;
  list.truncated = flag_of(root, "IsTruncated");
  if (list.truncated) {
    TRY_ASSIGN(const std::uint64_t marker, number_of(root, "NextPartNumberMarker"));
    list.next_marker = static_cast<int>(std::min<std::uint64_t>(marker, kMaxParts));
  }
  for (const XmlElement& element : root.children("Part")) {
    UploadedPart part;
    TRY_ASSIGN(const std::uint64_t number, number_of(element, "PartNumber"));
    if (number < 1 || number > kMaxParts) return malformed("A part's number is out of bounds.");
    part.number = static_cast<int>(number);
    TRY_ASSIGN(part.size_bytes, number_of(element, "Size"));
    part.etag = from_etag_header(element.child_text("ETag").value_or(""));
    part.checksum_sha256 = element.child_text("ChecksumSHA256").value_or("");
    list.parts.push_back(std::move(part));
  }
  return list;
}

std::string print(const InitiatedUpload& upload) {
  XmlWriter xml("InitiateMultipartUploadResult", kNamespace);
  xml.element("Bucket", upload.bucket);
  xml.element("Key", upload.key);
  xml.element("UploadId", upload.upload_id);
  return xml.finish();
}

Result<InitiatedUpload> parse_initiated_upload(std::string_view text) {
  TRY_ASSIGN(const XmlDocument document, parsed(text, "InitiateMultipartUploadResult"));
  const XmlElement root = document.root();
  InitiatedUpload upload{root.child_text("Bucket").value_or(""),
                         root.child_text("Key").value_or(""),
                         root.child_text("UploadId").value_or("")};
  if (upload.upload_id.empty()) return malformed("The upload has no <UploadId>.");
  return upload;
}

std::string print(const CompleteRequest& request) {
  XmlWriter xml("CompleteMultipartUpload", kNamespace);
  for (const CompletedPart& part : request.parts) {
    xml.element("Part", [&] {
      xml.element("PartNumber", static_cast<std::uint64_t>(part.number));
      xml.element("ETag", to_etag_header(part.etag));
      if (!part.checksum_sha256.empty()) xml.element("ChecksumSHA256", part.checksum_sha256);
    });
  }
  return xml.finish();
}

Result<CompleteRequest> parse_complete_request(std::string_view text) {
  TRY_ASSIGN(const XmlDocument document, parsed(text, "CompleteMultipartUpload"));
  CompleteRequest request;
  for (const XmlElement& element : document.root().children("Part")) {
    CompletedPart part;
    TRY_ASSIGN(const std::uint64_t number, number_of(element, "PartNumber"));
    if (number < 1 || number > kMaxParts) return malformed("A part number is out of bounds.");
    part.number = static_cast<int>(number);
    part.etag = from_etag_header(element.child_text("ETag").value_or(""));
    if (part.etag.empty()) return malformed("A part has no <ETag>.");
    part.checksum_sha256 = element.child_text("ChecksumSHA256").value_or("");
    for (const char* name : {"ChecksumCRC32", "ChecksumCRC32C", "ChecksumCRC64NVME", "ChecksumSHA1",
                             "ChecksumSHA256"}) {
      if (auto value = element.child_text(name)) part.checksums.emplace_back(name, *value);
    }
    request.parts.push_back(std::move(part));
    if (request.parts.size() > kMaxParts) return malformed("There are too many parts.");
  }
  if (request.parts.empty()) return malformed("There is no <Part>.");
  return request;
}

std::string print(const CompletedUpload& upload) {
  XmlWriter xml("CompleteMultipartUploadResult", kNamespace);
  xml.element("Location", upload.location);
  xml.element("Bucket", upload.bucket);
  xml.element("Key", upload.key);
  xml.element("ETag", to_etag_header(upload.etag));
  if (!upload.checksum_sha256.empty()) xml.element("ChecksumSHA256", upload.checksum_sha256);
  for (const auto& [name, value] : upload.checksums) xml.element(name, value);
  if (!upload.checksum_type.empty()) xml.element("ChecksumType", upload.checksum_type);
  return xml.finish();
}

Result<CompletedUpload> parse_completed_upload(std::string_view text) {
  // CompleteMultipartUpload: "if an error occurs after 200 was sent, the error is in the body".
  if (const auto error = parse_error(text); error.ok()) {
    return transient_error("s3.error_in_body", error->code);
  }
  TRY_ASSIGN(const XmlDocument document, parsed(text, "CompleteMultipartUploadResult"));
  const XmlElement root = document.root();
  return CompletedUpload{
      root.child_text("Location").value_or(""), root.child_text("Bucket").value_or(""),
      root.child_text("Key").value_or(""), from_etag_header(root.child_text("ETag").value_or("")),
      root.child_text("ChecksumSHA256").value_or("")};
}

std::string multipart_etag(std::span<const std::array<std::byte, 16>> part_md5s) {
  Md5 whole;
  for (const auto& part : part_md5s) whole.update(part);
  return fmt::format("{}-{}", to_hex(whole.finish()), part_md5s.size());
}

std::string composite_checksum(std::span<const Digest> part_digests) {
  Sha256 whole;
  for (const Digest& part : part_digests) whole.update(part.raw());
  return fmt::format("{}-{}", whole.finish().base64(), part_digests.size());
}

std::string print(const DeleteRequest& request) {
  XmlWriter xml("Delete", kNamespace);
  for (const std::string& key : request.keys) {
    xml.element("Object", [&] { xml.element("Key", key); });
  }
  if (request.quiet) xml.element("Quiet", true);
  return xml.finish();
}

Result<DeleteRequest> parse_delete_request(std::string_view text) {
  TRY_ASSIGN(const XmlDocument document, parsed(text, "Delete"));
  DeleteRequest request;
  request.quiet = flag_of(document.root(), "Quiet");
  for (const XmlElement& element : document.root().children("Object")) {
    std::string key = element.child_text("Key").value_or("");
    if (key.empty()) return malformed("An object to be deleted has no <Key>.");
    request.keys.push_back(std::move(key));
  }
  if (request.keys.empty() || request.keys.size() > kMaxKeysPerCall) {
    return malformed("Between 1 and 1000 objects can be deleted in a call.");
  }
  return request;
}

std::string print(const DeleteResult& result) {
  XmlWriter xml("DeleteResult", kNamespace);
  for (const std::string& key : result.deleted) {
    xml.element("Deleted", [&] { xml.element("Key", key); });
  }
  for (const DeleteFailure& failure : result.errors) {
    xml.element("Error", [&] {
      xml.element("Key", failure.key);
      xml.element("Code", failure.code);
      xml.element("Message", failure.message);
    });
  }
  return xml.finish();
}

Result<DeleteResult> parse_delete_result(std::string_view text) {
  TRY_ASSIGN(const XmlDocument document, parsed(text, "DeleteResult"));
  DeleteResult result;
  for (const XmlElement& element : document.root().children("Deleted")) {
    result.deleted.push_back(element.child_text("Key").value_or(""));
  }
  for (const XmlElement& element : document.root().children("Error")) {
    result.errors.push_back({element.child_text("Key").value_or(""),
                             element.child_text("Code").value_or(""),
                             element.child_text("Message").value_or("")});
  }
  return result;
}

std::string print(const CreateBucketRequest& request) {
  if (request.location_constraint.empty()) return {};
  XmlWriter xml("CreateBucketConfiguration", kNamespace);
  xml.element("LocationConstraint", request.location_constraint);
  return xml.finish();
}

Result<CreateBucketRequest> parse_create_bucket_request(std::string_view text) {
  if (text.empty()) return CreateBucketRequest{};
  TRY_ASSIGN(const XmlDocument document, parsed(text, "CreateBucketConfiguration"));
  return CreateBucketRequest{document.root().child_text("LocationConstraint").value_or("")};
}

std::string print_location(std::string_view region) {
  XmlWriter xml("LocationConstraint", kNamespace);
  if (region != "us-east-1") xml.text(region);  // the default region is empty (GetBucketLocation)
  return xml.finish();
}

std::string print(const BucketList& list) {
  XmlWriter xml("ListAllMyBucketsResult", kNamespace);
  xml.element("Owner", [&] {
    xml.element("ID", list.owner_id);
    xml.element("DisplayName", list.owner_id);
  });
  xml.element("Buckets", [&] {
    for (const BucketEntry& bucket : list.buckets) {
      xml.element("Bucket", [&] {
        xml.element("Name", bucket.name);
        xml.element("CreationDate", to_rfc3339(bucket.created_at));
      });
    }
  });
  return xml.finish();
}

Result<BucketList> parse_bucket_list(std::string_view text) {
  TRY_ASSIGN(const XmlDocument document, parsed(text, "ListAllMyBucketsResult"));
  BucketList list;
  list.owner_id = document.root().child("Owner").child_text("ID").value_or("");
  for (const XmlElement& element : document.root().child("Buckets").children("Bucket")) {
    BucketEntry bucket;
    bucket.name = element.child_text("Name").value_or("");
    const auto created = from_rfc3339(element.child_text("CreationDate").value_or(""));
    if (created) bucket.created_at = *created;
    list.buckets.push_back(std::move(bucket));
  }
  return list;
}

bool valid_bucket_name(std::string_view name) {
  if (name.size() < 3 || name.size() > 63) return false;
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (!alphanumeric(name.front()) || !alphanumeric(name.back())) return false;
  if (name.find("..") != std::string_view::npos) return false;
  for (const char c : name) {
    if (!alphanumeric(c) && c != '.' && c != '-') return false;
  }
  const std::vector<std::string_view> labels = split(name, '.');
  return labels.size() != 4 || !std::ranges::all_of(labels, [](std::string_view label) {
           return digits(label).has_value();
         });
}

std::string from_etag_header(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') {
    etag = etag.substr(1, etag.size() - 2);
  }
  return std::string(etag);
}

std::string to_etag_header(std::string_view etag) {
  return fmt::format("\"{}\"", etag);
}

Result<std::optional<ByteRange>> parse_range(std::string_view header_value,
                                             std::uint64_t size_bytes) {
  const std::optional<ByteRange> ignored;
  constexpr std::string_view kUnit = "bytes=";
  if (!header_value.starts_with(kUnit)) return ignored;
  const std::string_view range = trimmed(header_value.substr(kUnit.size()));
  const std::size_t dash = range.find('-');
  if (dash == std::string_view::npos || range.find(',') != std::string_view::npos) return ignored;
  const std::string_view first_text = range.substr(0, dash), last_text = range.substr(dash + 1);
  const auto first = digits(first_text), last = digits(last_text);
  const Error unsatisfiable =
      permanent_error("s3.invalid_range", "Nothing of the object lies in the range.");
  if (first_text.empty()) {  // "-3": the last three
    if (!last) return ignored;
    const std::uint64_t length = std::min(static_cast<std::uint64_t>(*last), size_bytes);
    if (length == 0) return unsatisfiable;
    return std::optional(ByteRange{size_bytes - length, length});
  }
  if (!first || (!last && !last_text.empty())) return ignored;
  if (last && *last < *first) return ignored;
  const auto offset = static_cast<std::uint64_t>(*first);
  if (offset >= size_bytes) return unsatisfiable;
  std::uint64_t length = size_bytes - offset;
  if (last) length = std::min(length, static_cast<std::uint64_t>(*last) - offset + 1);
  return std::optional(ByteRange{offset, length});
}

std::string content_range(const ByteRange& range, std::uint64_t size_bytes) {
  return fmt::format("bytes {}-{}/{}", range.offset, range.offset + range.length - 1, size_bytes);
}

}  // namespace isthmus::wire::s3
