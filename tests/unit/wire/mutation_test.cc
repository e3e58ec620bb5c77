// Every reader of bytes from outside, on documents that were changed at random: it may refuse or
// accept, but must come back, and what it accepts must survive being printed. The seed is printed.
#include <functional>
#include <random>

#include "support/matchers.h"
#include "wire/healthimaging.h"
#include "wire/s3.h"
#include "wire/sigv4.h"

namespace isthmus::wire {
namespace {

constexpr unsigned kSeed = 20260131;
constexpr int kRounds = 2000;

std::string mutated(std::string text, std::mt19937& random) {
  static const std::string kPieces[] = {
      "<",        ">",         "&",    "\"",   "{",
      "}",        "[",         "]",    ":",    "\\u0000",
      "]]>",      "<![CDATA[", "<!--", "&#0;", "&#xFFFFFFFF;",
      "null",     "1e999",     "-1",   "\xFF", std::string(1, '\0'),
      "<a><a><a>"};
  for (std::size_t changes = 1 + random() % 3; changes > 0; --changes) {
    const std::size_t at = text.empty() ? 0 : random() % text.size();
    switch (random() % 4) {
      case 0:
        text.insert(at, kPieces[random() % std::size(kPieces)]);
        break;
      case 1:
        text.erase(at, 1 + random() % 8);
        break;
      case 2:
        text.insert(at, text.substr(at, random() % 64));
        break;
      default:
        if (!text.empty()) text[at] = static_cast<char>(random());
    }
  }
  return text;
}

// True when the text was accepted.
using Reader = std::function<bool(std::string_view)>;

void expect_survival(const std::string& document, const Reader& read) {
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  ASSERT_TRUE(read(document)) << document;
  std::mt19937 random(kSeed);
  int refused = 0;
  for (int round = 0; round < kRounds; ++round) {
    if (!read(mutated(document, random))) ++refused;
  }
  EXPECT_GT(refused, 0);
}

// Parses, prints what was read, and parses that again.
template <typename T>
Reader xml(Result<T> (*parse)(std::string_view)) {
  return [parse](std::string_view text) {
    const auto read = parse(text);
    if (!read.ok()) return false;
    EXPECT_THAT(parse(print(*read)), test::IsOk()) << text;
    return true;
  };
}

TEST(Mutations, OfS3DocumentsAreSurvived) {
  expect_survival(s3::print(s3::ErrorBody{"NoSuchKey", "m", "/r", "1"}), xml(s3::parse_error));
  expect_survival(s3::print(s3::DeleteRequest{{"a", "b&c"}, true}), xml(s3::parse_delete_request));
  expect_survival(s3::print(s3::DeleteResult{{"a"}, {{"b", "AccessDenied", "m"}}}),
                  [](auto text) { return s3::parse_delete_result(text).ok(); });
  expect_survival(s3::print(s3::CompleteRequest{{{1, "e", "c"}, {2, "f", ""}}}),
                  xml(s3::parse_complete_request));
  expect_survival(s3::print(s3::InitiatedUpload{"b", "k", "u"}), xml(s3::parse_initiated_upload));
  s3::ListResult list;
  list.request.encode_url = true;
  list.contents = {{"a b", 1, "e", {}}, {"c", 2, "f", {}}};
  list.common_prefixes = {"p/"};
  expect_survival(s3::print(list), [](auto text) { return s3::parse_list_result(text).ok(); });
}

template <typename T>
Reader answer() {
  return [](std::string_view text) {
    const auto read = healthimaging::parse_response<T>(text);
    if (!read.ok()) return false;
    EXPECT_THAT(healthimaging::parse_response<T>(healthimaging::print(*read)), test::IsOk())
        << text;
    return true;
  };
}
template <typename T>
Reader line(Result<T> (*parse)(std::string_view)) {
  return [parse](std::string_view text) {
    const auto read = parse(text);
    if (!read.ok()) return false;
    EXPECT_THAT(parse(healthimaging::print(*read)), test::IsOk()) << text;
    return true;
  };
}

TEST(Mutations, OfHealthImagingDocumentsAreSurvived) {
  namespace hi = healthimaging;
  const std::string id = "00112233445566778899aabbccddeeff";
  expect_survival(hi::print(hi::StartDICOMImportJobResponse{id, id, "SUBMITTED", WallTime()}),
                  answer<hi::StartDICOMImportJobResponse>());
  expect_survival(hi::print(hi::ListDICOMImportJobsResponse{
                      {{id, "n", "FAILED", id, "role", WallTime(), WallTime(), "m"}}, "next"}),
                  answer<hi::ListDICOMImportJobsResponse>());
  hi::ImageSetsMetadataSummary summary;
  summary.image_set_id = id;
  summary.tags.patient_name = "A^B";
  summary.version = 1;
  expect_survival(hi::print(hi::SearchImageSetsResponse{{summary}, {}, "n"}),
                  answer<hi::SearchImageSetsResponse>());
  hi::JobOutputManifest manifest;
  manifest.job_id = "j";
  manifest.image_sets = {{id, 1, true, 3}};
  expect_survival(hi::print(manifest), line(hi::parse_manifest));
  expect_survival(hi::print(hi::SuccessLine{"f", id, 1, true}), line(hi::parse_success_line));
  expect_survival(hi::print(hi::FailureLine{"f", "ValidationException", "m"}),
                  line(hi::parse_failure_line));
  expect_survival(hi::print(hi::WarningLine{{"f", id, 1, true}, {{1, "t", "m"}}}),
                  line(hi::parse_warning_line));
}

TEST(Mutations, OfRequestsAreSurvived) {
  namespace hi = healthimaging;
  const hi::PathParameters path{{"datastoreId", "00112233445566778899aabbccddeeff"}};
  hi::StartDICOMImportJobRequest start;
  start.datastore_id = path.begin()->second;
  start.data_access_role_arn = "arn:aws:iam::123456789012:role/import";
  start.client_token = "t";
  start.input_s3_uri = start.output_s3_uri = "s3://bucket/p/";
  start.import_configuration = hi::ImportConfiguration{{{"1.2", "1.2.3", "m"}}};
  expect_survival(hi::to_call(start).body, [&](std::string_view body) {
    return hi::parse_request<hi::StartDICOMImportJobRequest>({path, "", body}).ok();
  });
  hi::SearchValue value;
  value.patient_id = "P";
  hi::SearchImageSetsRequest search{path.begin()->second,
                                    std::vector<hi::SearchFilter>{{{value}, "EQUAL"}},
                                    hi::SearchSort{"ASC", "createdAt"}, 5, "t"};
  expect_survival(hi::to_call(search).body, [&](std::string_view body) {
    return hi::parse_request<hi::SearchImageSetsRequest>({path, "", body}).ok();
  });
}

TEST(Mutations, OfAuthorizationsAreSurvived) {
  expect_survival(
      "AWS4-HMAC-SHA256 Credential=A/20150830/eu-central-1/s3/aws4_request, "
      "SignedHeaders=host;x-amz-date, Signature=" +
          std::string(64, 'a'),
      [](std::string_view text) { return sigv4::parse_authorization(text).ok(); });
}

}  // namespace
}  // namespace isthmus::wire
