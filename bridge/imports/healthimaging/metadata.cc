// The HealthImaging client for metadata of image sets.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "imports/healthimaging.h"
#include "imports/healthimaging/answers.h"
#include "imports/healthimaging/calls.h"
#include "wire/gzip.h"
#include "wire/healthimaging_updates.h"

namespace isthmus {
namespace {

namespace wire_hi = wire::healthimaging;

constexpr std::uint64_t kMaxErrorBytes = 64 * KiB;
// A version that is not the newest is not found, by these words, whatever its exception
// (contracts/healthimaging/README.md section 5).
constexpr std::string_view kNotLatest = "not the latest";

struct Meaning {
  std::string_view exception;
  const char* code;
  Fate fate;
};
constexpr Meaning kMeanings[] = {
    {"ThrottlingException", "metadata.throttled", Fate::transient},
    {"TooManyRequestsException", "metadata.throttled", Fate::transient},
    // Updates at once: there is room again when one ends. What is too large is not sent at all.
    {"ServiceQuotaExceededException", "metadata.throttled", Fate::transient},
    // Another change holds the image set.
    {"ConflictException", "metadata.busy", Fate::transient},
    {"ValidationException", "metadata.invalid", Fate::permanent},
    {"ResourceNotFoundException", "metadata.not_found", Fate::permanent},
    {"AccessDeniedException", "metadata.denied", Fate::permanent},
    {"UnrecognizedClientException", "metadata.denied", Fate::permanent},
    {"InvalidSignatureException", "metadata.denied", Fate::permanent},
    {"SignatureDoesNotMatch", "metadata.denied", Fate::permanent},
};

Meaning meaning_of(const wire_hi::ErrorBody& said, int status) {
  if (said.message.find(kNotLatest) != std::string::npos) {
    return {said.type, "metadata.stale", Fate::permanent};
  }
  const auto found = std::ranges::find(kMeanings, said.type, &Meaning::exception);
  if (found != std::end(kMeanings)) return *found;
  if (status == 429 || status == 402) return {said.type, "metadata.throttled", Fate::transient};
  if (status == 409) return {said.type, "metadata.busy", Fate::transient};
  if (status >= 500 || status == 408) return {said.type, "metadata.unavailable", Fate::transient};
  if (status == 401 || status == 403) return {said.type, "metadata.denied", Fate::permanent};
  if (status == 404) return {said.type, "metadata.not_found", Fate::permanent};
  return {said.type, "metadata.invalid", Fate::permanent};
}

// The service's words stay where they are: it may quote what it was sent.
Error error_of(http::Response& response, WallTime now) {
  std::string body;
  if (response.body) {
    if (auto text = read_all(*response.body, kMaxErrorBytes); text.ok()) body = std::move(*text);
  }
  const wire_hi::ErrorBody said =
      wire_hi::read_error(response.headers.get(wire_hi::kErrorTypeHeader), body);
  const Meaning meaning = meaning_of(said, response.status);
  return Error{meaning.code,
               fmt::format("The service answered {} {} to a call about metadata.", response.status,
                           healthimaging::cut(said.type, 64)),
               meaning.fate, http::retry_after_of(response.headers, now)};
}

Result<std::int64_t> version_of(const std::string& text) {
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  if (read.ec != std::errc{} || read.ptr != end || number < 1) {
    return transient_error("metadata.unavailable", "The answer has no version.");
  }
  return number;
}

// GetImageSetMetadata answers gzip, which stock clients hand on as it is
// (contracts/healthimaging/README.md section 4).
Result<std::string> unpacked(std::string_view packed, std::uint64_t limit) {
  std::string text;
  wire::GzipReader reader;
  const auto keep = [&](ByteSpan piece) -> Result<void> {
    if (text.size() + piece.size() > limit) {
      return permanent_error("metadata.too_large",
                             "The metadata document of an image set is above the limit.");
    }
    text += as_text(piece);
    return {};
  };
  Result<void> read = reader.feed(as_bytes(packed), keep);
  if (read.ok()) read = reader.finish();
  if (read.ok()) return text;
  if (read.error().code == "metadata.too_large") return read.error();
  return transient_error("metadata.unavailable",
                         "The metadata document came incomplete or is no gzip.");
}

bool is_changing(std::string_view state, std::string_view workflow) {
  return state == "LOCKED" || workflow == "UPDATING" || workflow == "COPYING" ||
         workflow == "UPDATING_FOR_STUDY_CONSISTENCY" ||
         workflow == "COPYING_WITH_READ_ONLY_ACCESS" || workflow == "IMPORTING";
}

class HealthImagingMetadata final : public MetadataService {
 public:
  HealthImagingMetadata(Env& env, http::Transport& transport, CredentialsSource& credentials,
                        HealthImagingMetadataOptions options)
      : options_(std::move(options)),
        calls_(env, transport, credentials, {options_.endpoint, options_.region, options_.retry},
               error_of, "metadata.unavailable"),
        // Whoever calls keeps to the pace of updates; tries of ours in between would not.
        updates_(env, transport, credentials,
                 {options_.endpoint, options_.region, http::RetryPolicy{.attempts = 1}}, error_of,
                 "metadata.unavailable") {}

  MetadataLimits limits() const override { return options_.limits; }

  Result<ImageSetStatus> status(const std::string& image_set_id) override {
    const auto answer = calls_.ask<wire_hi::GetImageSetResponse>(
        wire_hi::GetImageSetRequest{options_.datastore_id, image_set_id, std::nullopt});
    ImageSetStatus status;
    if (!answer.ok()) {
      if (answer.error().code != "metadata.not_found") return answer.error();
      status.phase = ImageSetStatus::Phase::gone;
      return status;
    }
    const std::string workflow = answer->image_set_workflow_status.value_or("");
    TRY_ASSIGN(status.version, version_of(answer->version_id));
    status.primary = answer->is_primary.value_or(true);
    status.update_failed = workflow == "UPDATE_FAILED";
    status.message = healthimaging::cut(answer->message.value_or(""), 500);
    if (answer->image_set_state == "DELETED" || workflow == "DELETING") {
      status.phase = ImageSetStatus::Phase::gone;
    } else if (is_changing(answer->image_set_state, workflow)) {
      status.phase = ImageSetStatus::Phase::changing;
    }
    return status;
  }

  Result<MetadataValues> values(const std::string& image_set_id, std::int64_t version,
                                const MetadataChange& change) override {
    TRY_ASSIGN(
        const std::string packed,
        calls_.ask_text(wire_hi::GetImageSetMetadataRequest{options_.datastore_id, image_set_id,
                                                            std::to_string(version)},
                        options_.max_metadata_bytes));
    TRY_ASSIGN(const std::string text, unpacked(packed, options_.max_metadata_bytes));
    auto values = wire_hi::values_in(text, change);
    if (!values.ok()) return transient_error("metadata.unavailable", values.error().message);
    return values;
  }

  Result<std::int64_t> update(const std::string& image_set_id, const MetadataUpdate& update,
                              std::int64_t seen) override {
    wire_hi::UpdateImageSetMetadataRequest request;
    request.datastore_id = options_.datastore_id;
    request.image_set_id = image_set_id;
    request.latest_version_id = std::to_string(seen);
    if (update.change.force) request.force = true;
    if (update.include_study_image_sets) request.include_study_image_sets = true;
    request.updates = wire_hi::to_updates(update.change, update.stored);
    const std::size_t bytes = request.updates->removable_attributes.value_or("").size() +
                              request.updates->updatable_attributes.value_or("").size();
    if (bytes > options_.max_update_bytes) {
      return permanent_error("metadata.too_large",
                             fmt::format("The change of one image set has {} bytes; the service "
                                         "takes {}: make it in parts.",
                                         bytes, options_.max_update_bytes));
    }
    return accepted(request);
  }

  Result<std::int64_t> revert(const std::string& image_set_id, std::int64_t to,
                              std::int64_t seen) override {
    wire_hi::UpdateImageSetMetadataRequest request;
    request.datastore_id = options_.datastore_id;
    request.image_set_id = image_set_id;
    request.latest_version_id = std::to_string(seen);
    request.revert_to_version_id = std::to_string(to);
    return accepted(request);
  }

 private:
  Result<std::int64_t> accepted(const wire_hi::UpdateImageSetMetadataRequest& request) {
    TRY_ASSIGN(const auto answer, updates_.ask<wire_hi::UpdateImageSetMetadataResponse>(request));
    return version_of(answer.latest_version_id);
  }

  const HealthImagingMetadataOptions options_;
  healthimaging::Calls calls_;
  healthimaging::Calls updates_;
};

}  // namespace

std::unique_ptr<MetadataService> make_healthimaging_metadata(Env& env, http::Transport& transport,
                                                             CredentialsSource& credentials,
                                                             HealthImagingMetadataOptions options) {
  return std::make_unique<HealthImagingMetadata>(env, transport, credentials, std::move(options));
}

}  // namespace isthmus
