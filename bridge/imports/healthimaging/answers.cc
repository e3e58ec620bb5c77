#include "imports/healthimaging/answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "http/retrying.h"
#include "wire/healthimaging.h"

namespace isthmus::healthimaging {

namespace {

constexpr std::uint64_t kMaxErrorBytes = 64 * KiB;
constexpr std::size_t kMaxMessage = 300;

struct Meaning {
  std::string_view exception;
  const char* code;
  Fate fate;
};

// The model's exceptions, and those that AWS puts in front of every service ("Common errors").
constexpr Meaning kMeanings[] = {
    {"ThrottlingException", "import.throttled", Fate::transient},
    {"TooManyRequestsException", "import.throttled", Fate::transient},
    // Jobs at once: there is room again when one ends.
    {"ServiceQuotaExceededException", "import.quota", Fate::transient},
    {"InternalServerException", "import.unavailable", Fate::transient},
    {"ServiceUnavailable", "import.unavailable", Fate::transient},
    {"RequestExpired", "import.unavailable", Fate::transient},
    {"ExpiredTokenException", "import.unavailable", Fate::transient},
    {"AccessDeniedException", "import.denied", Fate::permanent},
    {"UnrecognizedClientException", "import.denied", Fate::permanent},
    {"InvalidSignatureException", "import.denied", Fate::permanent},
    {"SignatureDoesNotMatch", "import.denied", Fate::permanent},
    {"IncompleteSignature", "import.denied", Fate::permanent},
    {"ValidationException", "import.invalid", Fate::permanent},
    {"ResourceNotFoundException", "import.not_found", Fate::permanent},
    {"ConflictException", "import.conflict", Fate::permanent},
};

Meaning meaning_of(std::string_view exception, int status) {
  const auto found = std::ranges::find(kMeanings, exception, &Meaning::exception);
  if (found != std::end(kMeanings)) return *found;
  if (status == 429 || status == 402) return {exception, "import.throttled", Fate::transient};
  if (status >= 500 || status == 408) return {exception, "import.unavailable", Fate::transient};
  if (status == 401 || status == 403) return {exception, "import.denied", Fate::permanent};
  if (status == 404) return {exception, "import.not_found", Fate::permanent};
  if (status == 409) return {exception, "import.conflict", Fate::permanent};
  return {exception, "import.invalid", Fate::permanent};
}

// Failures of a single file that are not the file's: its object could not be read, or the service
// stumbled. Another try may go well.
constexpr std::array<std::string_view, 9> kNotTheFile = {
    "AccessDeniedException", "ConflictException",       "InternalError",
    "InternalFailure",       "InternalServerException", "ResourceNotFoundException",
    "ServiceUnavailable",    "ThrottlingException",     "ServiceQuotaExceededException"};

}  // namespace

Error error_of(http::Response& response, WallTime now) {
  std::string body;
  if (response.body) {
    if (auto text = read_all(*response.body, kMaxErrorBytes); text.ok()) body = std::move(*text);
  }
  const wire::healthimaging::ErrorBody said = wire::healthimaging::read_error(
      response.headers.get(wire::healthimaging::kErrorTypeHeader), body);
  const Meaning meaning = meaning_of(said.type, response.status);
  // Requests of this client hold no patient data, so neither does what is said about them.
  Error error{meaning.code,
              fmt::format("The import service answered {} {}: {}", response.status,
                          cut(said.type, 64), cut(said.message, kMaxMessage)),
              meaning.fate, http::retry_after_of(response.headers, now)};
  return error;
}

OutcomeKind kind_of_failure(std::string_view exception_type) {
  const bool other =
      exception_type.empty() || std::ranges::find(kNotTheFile, exception_type) != kNotTheFile.end();
  return other ? OutcomeKind::unaccounted : OutcomeKind::rejected;
}

std::string cut(std::string_view text, std::size_t limit) {
  std::size_t characters = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool begins = (static_cast<unsigned char>(text[at]) & 0xC0U) != 0x80U;
    if (begins && ++characters > limit) return std::string(text.substr(0, at));
  }
  return std::string(text);
}

}  // namespace isthmus::healthimaging
