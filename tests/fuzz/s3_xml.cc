// S3's XML documents and header forms: what is read of a document, written and read again, is the
// same; nothing that is read is beyond the service's limits.
#include <algorithm>

#include "fuzz/fuzz.h"
#include "http/http.h"
#include "wire/s3.h"

namespace isthmus::fuzz {
namespace {

namespace s3 = wire::s3;

// What was read once is printed, read and printed again: the two prints are the same.
template <typename Parse>
void check_round_trip(std::string_view text, Parse parse) {
  const auto read = parse(text);
  if (!read.ok()) return;
  const std::string printed = s3::print(*read);
  const auto again = parse(printed);
  check(again.ok(), "what was read and written is read again");
  check_equal(s3::print(*again), printed, "and is the same");
}

void check_documents(std::string_view text) {
  check_round_trip(text, s3::parse_error);
  check_round_trip(text, s3::parse_list_result);
  check_round_trip(text, s3::parse_initiated_upload);
  check_round_trip(text, s3::parse_completed_upload);
  check_round_trip(text, s3::parse_delete_result);
  check_round_trip(text, s3::parse_create_bucket_request);
  check_round_trip(text, s3::parse_bucket_list);
  check_round_trip(text, s3::parse_complete_request);
  check_round_trip(text, s3::parse_delete_request);
  if (const auto request = s3::parse_complete_request(text); request.ok()) {
    check(!request->parts.empty(), "at least one part");
    check(std::all_of(request->parts.begin(), request->parts.end(),
                      [](const auto& part) { return part.number >= 1 && part.number <= 10'000; }),
          "part numbers within bounds");
  }
  if (const auto request = s3::parse_delete_request(text); request.ok()) {
    check(!request->keys.empty() && request->keys.size() <= s3::kMaxKeysPerCall, "1 to 1000 keys");
  }
}

void check_range(std::string_view text, std::uint64_t size_bytes) {
  const auto range = s3::parse_range(text, size_bytes);
  if (!range.ok() || !*range) return;
  const s3::ByteRange& part = **range;
  check(part.length > 0, "a range has bytes");
  check(part.offset < size_bytes && part.length <= size_bytes - part.offset, "of the object");
}

void run(ByteSpan input) {
  if (input.empty()) return;
  const std::string_view text = as_text(input.subspan(1));
  check_documents(text);
  check_range(text, std::to_integer<std::uint64_t>(input[0]) * 5);
  if (s3::valid_bucket_name(text)) check(text.size() >= 3 && text.size() <= 63, "3 to 63");
  const auto query = s3::parse_list_query(http::parse_query(text));
  if (query.ok()) {
    const auto again = s3::parse_list_query(http::parse_query(s3::print_query(*query)));
    check(again.ok(), "a list query is read back");
    check_equal(s3::print_query(*again), s3::print_query(*query), "as it was");
  }
}

std::string seed(std::string_view text) {
  return "\x10" + std::string(text);
}

std::vector<std::string> seeds() {
  s3::ListResult list;
  list.bucket = "study-bucket";
  list.request.prefix = "in/";
  list.contents = {{"in/a&b", 12, "0123456789abcdef", {}}, {"in/<c>", 0, "", {}}};
  list.common_prefixes = {"in/d/"};
  list.truncated = true;
  list.next_continuation_token = "token";
  s3::DeleteResult deleted;
  deleted.deleted = {"a"};
  deleted.errors = {{"b", "AccessDenied", "no"}};
  return {
      seed(s3::print(list)),
      seed(s3::print(deleted)),
      seed(s3::print(s3::ErrorBody{"NoSuchKey", "gone", "/a/b", "1"})),
      seed(s3::print(s3::InitiatedUpload{"bucket", "key", "upload"})),
      seed(s3::print(s3::CompletedUpload{"http://a/b", "bucket", "key", "etag-2", "sum-2"})),
      seed(s3::print(s3::CompleteRequest{{{1, "etag", "sum"}, {2, "etag", ""}}})),
      seed(s3::print(s3::DeleteRequest{{"a", "b]]>"}, true})),
      seed(s3::print(s3::CreateBucketRequest{"eu-central-1"})),
      seed(s3::print(s3::BucketList{"owner", {{"bucket", {}}}})),
      seed("<!DOCTYPE a [<!ENTITY b \"c\">]><Delete>&b;</Delete>"),
      seed("bytes=0-9"),
      seed("bytes=-3"),
      seed("list-type=2&prefix=a%2Fb&delimiter=%2F&max-keys=7&encoding-type=url"),
      seed("my.bucket-1"),
  };
}

}  // namespace

Harness s3_xml_harness() {
  return {"s3_xml", run, 8 * KiB, seeds};
}

}  // namespace isthmus::fuzz
