#include "storage/gcs/resumable.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/failpoint.h"

namespace isthmus::gcs {
namespace {

namespace wire_gcs = wire::gcs;

constexpr std::uint64_t kMaxAnswerBytes = 1 * MiB;
constexpr Milliseconds kRequestTimeout{60'000};
constexpr std::uint64_t kSlowestBytesPerSecond = 128 * KiB;
constexpr int kIncomplete = 308;
constexpr Milliseconds kFirstWait{200};
constexpr Milliseconds kLongestWait{10'000};

bool is_success(int status) {
  return status >= 200 && status < 300;
}

}  // namespace

Milliseconds timeout_for(std::uint64_t size_bytes) {
  return kRequestTimeout + std::chrono::seconds(size_bytes / kSlowestBytesPerSecond);
}

std::string endpoint_of(const GcsOptions& options) {
  std::string_view endpoint = options.endpoint;
  while (endpoint.ends_with('/')) endpoint.remove_suffix(1);
  return std::string(endpoint);
}

std::string upload_target(const GcsOptions& options, const char* type, const ObjectKey& key,
                          std::int64_t generation) {
  std::string target = fmt::format(
      "/upload/storage/v1/b/{}/o?uploadType={}&name={}"
      "&ifGenerationMatch={}",
      http::percent_encode(options.bucket, false), type, http::percent_encode(key.text, false),
      generation);
  if (!options.user_project.empty()) {
    target += "&userProject=" + http::percent_encode(options.user_project, false);
  }
  return target;
}

Result<wire_gcs::Object> ResumableUploads::put(const Upload& upload) {
  for (int sessions = 0;; ++sessions) {
    bool is_known = false;
    TRY_ASSIGN(const std::string session, session_of(upload, is_known));
    auto object = go_on(upload, session, is_known);
    if (object.ok()) {
      FAILPOINT(upload_completed);
      uploads_.forget(upload.key);
      return object;
    }
    const std::string& code = object.error().code;
    if (object.error().fate == Fate::permanent || code == kSessionOver) uploads_.forget(upload.key);
    if (code != kSessionOver) return object;
    // A session lives for a week. One that was just made and is gone already is another trouble.
    if (sessions == 1) return transient_error("store.unavailable", "Uploads end by themselves.");
  }
}

// One that an earlier try or an earlier process left, or a new one, kept before it is used.
Result<std::string> ResumableUploads::session_of(const Upload& upload, bool& is_known) {
  const std::optional<UploadSession> kept = uploads_.find(upload.key);
  is_known = kept && kept->digest == upload.sums.sha256 && kept->size_bytes == upload.bytes->size();
  if (is_known) return kept->token;
  TRY_ASSIGN(std::string session, begin(upload));
  FAILPOINT(upload_begun);
  uploads_.keep(upload.key, {session, upload.sums.sha256, upload.bytes->size()});
  FAILPOINT(upload_kept);
  return session;
}

// "DELETE of a session cancels it" (contracts/google-storage); what is not cancelled ends by itself
// in a week.
void ResumableUploads::end(const ObjectKey& key) {
  const std::optional<UploadSession> kept = uploads_.find(key);
  if (!kept) return;
  http::Request request;
  request.method = "DELETE";
  request.url = url_of(kept->token);
  ignore(once_.send(std::move(request)), "it ends by itself in a week");
  uploads_.forget(key);
}

Result<std::string> ResumableUploads::begin(const Upload& upload) {
  http::Request request;
  request.method = "POST";
  request.url = url_of(upload_target(options_, "resumable", upload.key, upload.generation));
  request.headers.set("Content-Type", "application/json; charset=UTF-8");
  request.headers.set("X-Upload-Content-Type", options_.content_type);
  request.headers.set("X-Upload-Content-Length", std::to_string(upload.bytes->size()));
  request.body = source_of(
      wire_gcs::print_metadata({options_.content_type, wire_gcs::crc32c_text(upload.sums.crc32c),
                                upload.sums.sha256.hex()}));
  TRY_ASSIGN(http::Response response, retrying_.send(std::move(request)));
  if (!is_success(response.status)) {
    return error_of(response, env_.clock.wall_now(), "store.no_bucket");
  }
  const std::string location(response.headers.get("Location"));
  const auto url = http::parse_url(location);
  if (!url.ok()) return permanent_error("store.protocol", "The bucket gave no upload session.");
  // Where we are told to go is where we asked: a private endpoint may answer with Google's host.
  return std::string(url->target);
}

Result<wire_gcs::Object> ResumableUploads::go_on(const Upload& upload, const std::string& session,
                                                 bool is_known) {
  const auto cursor = std::make_shared<Cursor>(upload.bytes);
  Progress progress;
  if (is_known) {
    TRY_ASSIGN(progress, ask(upload, session));
    env_.log.info("store.upload_resumed",
                  {{"bucket", options_.bucket}, {"kept_bytes", progress.bytes}});
  }
  Milliseconds wait = kFirstWait;
  for (int without_progress = 0; !progress.object;) {
    auto sent = send_piece(upload, session, cursor, progress.bytes);
    const bool is_cut = !sent.ok() && sent.error().fate == Fate::transient &&
                        sent.error().code != "store.denied" && sent.error().code != kSessionOver;
    if (!sent.ok() && !is_cut) return sent.error();
    if (is_cut && ++without_progress > options_.cuts_without_progress) return sent.error();
    if (is_cut) {
      env_.clock.sleep_for(std::max(sent.error().retry_after.value_or(Milliseconds(0)), wait));
      sent = ask(upload, session);
      if (!sent.ok()) return sent.error();
    }
    if (sent->object || sent->bytes > progress.bytes) {
      without_progress = 0;
      wait = kFirstWait;
    } else if (!is_cut && ++without_progress > options_.cuts_without_progress) {
      return transient_error("store.unavailable", "The bucket takes no more of an upload.");
    } else {
      wait = std::min(wait * 2, kLongestWait);
    }
    progress = std::move(*sent);
  }
  return *progress.object;
}

Result<ResumableUploads::Progress> ResumableUploads::ask(const Upload& upload,
                                                         const std::string& session) {
  http::Request request;
  request.method = "PUT";
  request.url = url_of(session);
  request.headers.set("Content-Range", fmt::format("bytes */{}", upload.bytes->size()));
  request.body = source_of(std::string());
  TRY_ASSIGN(http::Response response, retrying_.send(std::move(request)));
  return progress_of(std::move(response));
}

Result<ResumableUploads::Progress> ResumableUploads::send_piece(
    const Upload& upload, const std::string& session, const std::shared_ptr<Cursor>& cursor,
    std::uint64_t offset) {
  const std::uint64_t size = upload.bytes->size();
  if (offset >= size) return ask(upload, session);
  // A piece ends at a multiple of the granularity, wherever it begins.
  constexpr std::uint64_t kGranule = wire_gcs::kPieceGranularity;
  const std::uint64_t wanted = offset + std::max(options_.piece_bytes, kGranule);
  const std::uint64_t length = std::min(wanted - wanted % kGranule, size) - offset;
  http::Request request;
  request.method = "PUT";
  request.url = url_of(session);
  request.headers.set("Content-Type", options_.content_type);
  request.headers.set("Content-Range",
                      fmt::format("bytes {}-{}/{}", offset, offset + length - 1, size));
  request.body = window_of(cursor, offset, length);
  request.timeout = timeout_for(length);
  TRY_ASSIGN(http::Response response, once_.send(std::move(request)));
  FAILPOINT(upload_part_sent);
  return progress_of(std::move(response));
}

Result<ResumableUploads::Progress> ResumableUploads::progress_of(http::Response response) {
  Progress progress;
  if (response.status == kIncomplete) {
    const auto kept = wire_gcs::kept_bytes(response.headers.find("Range"));
    if (!kept) return permanent_error("store.protocol", "The bucket's Range cannot be read.");
    progress.bytes = *kept;
    return progress;
  }
  if (response.status == 404 || response.status == 410) {
    return transient_error(kSessionOver, "The upload session is over.");
  }
  if (!is_success(response.status)) {
    return error_of(response, env_.clock.wall_now(), "store.no_bucket");
  }
  std::string text;
  if (response.body) {
    TRY_ASSIGN(text, read_all(*response.body, kMaxAnswerBytes));
  }
  auto object = wire_gcs::parse_object(text);
  if (!object.ok()) return transient_error("store.unavailable", object.error().message);
  progress.object = std::move(*object);
  return progress;
}

std::string ResumableUploads::url_of(const std::string& target) const {
  return endpoint_of(options_) + target;
}

}  // namespace isthmus::gcs
