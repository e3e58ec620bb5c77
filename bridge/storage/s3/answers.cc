#include "storage/s3/answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "http/retrying.h"
#include "wire/s3.h"

namespace isthmus::s3 {

namespace {

constexpr std::uint64_t kMaxErrorBytes = 64 * KiB;

struct Meaning {
  std::string_view s3_code;
  const char* code;
  Fate fate;
};

// Who refuses us today may let us in tomorrow, once somebody has mended keys, policies or clock:
// that is nothing the bytes can help, so it is transient. Names: "Error responses", Amazon S3 API
// Reference.
constexpr Meaning kMeanings[] = {
    {"NoSuchKey", "store.not_found", Fate::permanent},
    {"NotFound", "store.not_found", Fate::permanent},
    {"NoSuchBucket", "store.no_bucket", Fate::transient},
    {"BadDigest", "store.bad_digest", Fate::permanent},
    {"InvalidDigest", "store.bad_digest", Fate::permanent},
    {"XAmzContentSHA256Mismatch", "store.bad_digest", Fate::permanent},
    {"XAmzContentChecksumMismatch", "store.bad_digest", Fate::permanent},
    {"AccessDenied", "store.denied", Fate::transient},
    {"AccountProblem", "store.denied", Fate::transient},
    {"AllAccessDisabled", "store.denied", Fate::transient},
    {"AuthorizationHeaderMalformed", "store.denied", Fate::transient},
    {"ExpiredToken", "store.denied", Fate::transient},
    {"InvalidAccessKeyId", "store.denied", Fate::transient},
    {"InvalidToken", "store.denied", Fate::transient},
    {"RequestTimeTooSkewed", "store.denied", Fate::transient},
    {"SignatureDoesNotMatch", "store.denied", Fate::transient},
    {"TokenRefreshRequired", "store.denied", Fate::transient},
    {"SlowDown", "store.slow_down", Fate::transient},
    {"ServiceUnavailable", "store.slow_down", Fate::transient},
    {"RequestLimitExceeded", "store.slow_down", Fate::transient},
    {"TooManyRequests", "store.slow_down", Fate::transient},
    {"InternalError", "store.unavailable", Fate::transient},
    {"IncompleteBody", "store.unavailable", Fate::transient},
    {"NoSuchUpload", "store.unavailable", Fate::transient},  // aborted by somebody: start over
    {"OperationAborted", "store.unavailable", Fate::transient},
    {"QuotaExceeded", "store.unavailable", Fate::transient},
    {"RequestTimeout", "store.unavailable", Fate::transient},
};

Meaning meaning_of(std::string_view s3_code, int status) {
  const auto found = std::ranges::find(kMeanings, s3_code, &Meaning::s3_code);
  if (found != std::end(kMeanings)) return *found;
  if (status == 429 || status == 503) return {s3_code, "store.slow_down", Fate::transient};
  if (status >= 500) return {s3_code, "store.unavailable", Fate::transient};
  if (status == 401 || status == 403) return {s3_code, "store.denied", Fate::transient};
  return {s3_code, "store.protocol", Fate::permanent};
}

// An error name is letters and digits; anything else from outside does not enter a message.
bool plain_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  });
}

const char* advice_for(std::string_view code) {
  if (code == "store.denied") return "check keys, policy and clock";
  if (code == "store.no_bucket") return "create the bucket or correct its name";
  if (code == "store.bad_digest") return "the bytes were not those announced";
  if (code == "store.protocol") return "check endpoint and region";
  return "it is tried again later";
}

}  // namespace

Refusal refusal_of(http::Response& response, WallTime now) {
  std::string s3_code;
  if (response.body) {
    if (const auto body = read_all(*response.body, kMaxErrorBytes); body.ok()) {
      if (const auto document = wire::s3::parse_error(*body); document.ok()) {
        s3_code = document->code;
      }
    }
  }
  if (!plain_name(s3_code)) s3_code = wire::s3::code_of_status(response.status);
  const Meaning meaning = meaning_of(s3_code, response.status);
  Error error{meaning.code,
              fmt::format("The bucket answered {} {}: {}.", response.status, s3_code,
                          advice_for(meaning.code)),
              meaning.fate, http::retry_after_of(response.headers, now)};
  return {std::move(s3_code), std::move(error)};
}

}  // namespace isthmus::s3
