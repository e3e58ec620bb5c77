// The Cloud Storage client.
#include <fmt/format.h>

#include <array>

#include "storage/gcs.h"
#include "storage/gcs/answers.h"
#include "storage/gcs/resumable.h"
#include "wire/gcs.h"

namespace isthmus {
namespace {

namespace wire_gcs = wire::gcs;
using gcs::Upload;

constexpr std::uint64_t kMaxAnswerBytes = 16 * MiB;  // a page of 1000 resources
constexpr Milliseconds kDownloadTimeout{3'600'000};
// Writers of one key that keep overtaking us: so often, and so long between two tries at most.
constexpr int kMostOvertakings = 50;
constexpr Milliseconds kOvertakingPause{40};

Error protocol_error(std::string message) {
  return permanent_error("store.protocol", std::move(message));
}

class GcsStore : public ObjectStore {
 public:
  GcsStore(Env& env, http::Transport& transport, TokenSource& tokens, UploadSessions* sessions,
           GcsOptions options)
      : env_(env),
        options_(std::move(options)),
        bearer_(transport, tokens),
        http_(env, bearer_, options_.retry, nullptr),
        resumable_(env, bearer_, http_, sessions, options_) {}

  Result<StoredObject> put(const ObjectKey& key, std::shared_ptr<ByteSource> bytes,
                           const Digest& expected) override {
    TRY_ASSIGN(const gcs::Sums sums, gcs::sums_of(*bytes));
    if (sums.sha256 != expected) {
      return permanent_error("store.bad_digest", "The bytes are not those that were announced.");
    }
    Upload upload{key, std::move(bytes), sums, 0};
    for (int tries = 0; tries < kMostOvertakings; ++tries) {
      auto made = upload.bytes->size() > options_.resumable_threshold_bytes ? resumable_.put(upload)
                                                                            : put_whole(upload);
      if (made.ok()) return confirmed(upload, *made);
      if (made.error().code != gcs::kConditionFailed) return damaged_or(upload, made.error());
      // A try before this one may have made it, and its answer was lost.
      TRY_ASSIGN(const std::optional<wire_gcs::Object> there, find(key));
      if (there && is_same(upload, *there)) return stored(key, *there);
      upload.generation = there ? there->generation : 0;
      if (tries > 0) env_.clock.sleep_for(jittered(kOvertakingPause));
    }
    return transient_error("store.unavailable", "Others keep writing the object.");
  }

  Result<StoredObject> head(const ObjectKey& key) override {
    TRY_ASSIGN(const std::optional<wire_gcs::Object> object, find(key));
    if (!object) return permanent_error("store.not_found", "There is no such object.");
    return stored(key, *object);
  }

  Result<std::unique_ptr<ByteSource>> get(const ObjectKey& key) override {
    http::Request request = to("GET", object_target(key) + "?alt=media");
    request.timeout = kDownloadTimeout;
    TRY_ASSIGN(http::Response response, succeed(std::move(request), "store.not_found"));
    if (!response.body) return source_of(std::string());
    return gcs::checked(std::move(response.body), wire_gcs::crc32c_of_hash_header(
                                                      response.headers.get(wire_gcs::kHashHeader)));
  }

  Result<void> list(std::string_view prefix,
                    const std::function<bool(const StoredObject&)>& each) override {
    std::string page_token;
    for (;;) {
      TRY_ASSIGN(const wire_gcs::Listing page,
                 list_page(prefix, page_token, options_.list_page_objects));
      for (const wire_gcs::Object& object : page.objects) {
        if (!object.name.starts_with(prefix)) {
          return protocol_error("The bucket listed an object that was not asked for.");
        }
        if (!each(stored(ObjectKey{object.name}, object))) return {};
      }
      if (page.next_page_token.empty()) return {};
      if (page.next_page_token == page_token) {
        return protocol_error("The bucket gives the same page of a listing again and again.");
      }
      page_token = page.next_page_token;
    }
  }

  Result<void> remove(const ObjectKey& key) override {
    resumable_.end(key);
    const auto gone = succeed(to("DELETE", object_target(key)), "store.not_found");
    if (!gone.ok() && gone.error().code != "store.not_found") return gone.error();
    return {};
  }

  Result<void> check() override {
    TRY(list_page("", "", 1));
    return {};
  }

 private:
  Milliseconds jittered(Milliseconds longest) {
    return Milliseconds(static_cast<std::int64_t>(unit_random(env_.entropy) *
                                                  static_cast<double>(longest.count())));
  }

  std::string bucket_target() const {
    return "/storage/v1/b/" + http::percent_encode(options_.bucket, false);
  }
  std::string object_target(const ObjectKey& key) const {
    return bucket_target() + "/o/" + http::percent_encode(key.text, false);
  }

  http::Request to(const char* method, const std::string& target) const {
    http::Request request;
    request.method = method;
    request.url = gcs::endpoint_of(options_) + target;
    if (!options_.user_project.empty()) {
      request.url += (target.find('?') == std::string::npos ? "?" : "&");
      request.url += "userProject=" + http::percent_encode(options_.user_project, false);
    }
    return request;
  }

  // An answer that is a success.
  Result<http::Response> succeed(http::Request request, const char* missing) {
    TRY_ASSIGN(http::Response response, http_.send(std::move(request)));
    if (response.status >= 200 && response.status < 300) return response;
    return gcs::error_of(response, env_.clock.wall_now(), missing);
  }

  static Result<std::string> text_of(http::Response& response) {
    if (!response.body) return std::string();
    return read_all(*response.body, kMaxAnswerBytes);
  }

  // A document that cannot be read is no fault of the object.
  template <typename T>
  static Result<T> understood(Result<T> parsed) {
    if (parsed.ok()) return parsed;
    return protocol_error("The bucket's answer cannot be read: check the endpoint.");
  }

  Result<std::optional<wire_gcs::Object>> find(const ObjectKey& key) {
    auto response = succeed(to("GET", object_target(key)), "store.not_found");
    if (!response.ok()) {
      if (response.error().code == "store.not_found") return std::optional<wire_gcs::Object>();
      return response.error();
    }
    TRY_ASSIGN(const std::string text, text_of(*response));
    TRY_ASSIGN(wire_gcs::Object object, understood(wire_gcs::parse_object(text)));
    return std::optional(std::move(object));
  }

  Result<wire_gcs::Listing> list_page(std::string_view prefix, const std::string& page_token,
                                      int objects) {
    std::string target = fmt::format("{}/o?prefix={}&maxResults={}", bucket_target(),
                                     http::percent_encode(prefix, false), objects);
    if (!page_token.empty()) target += "&pageToken=" + http::percent_encode(page_token, false);
    TRY_ASSIGN(http::Response response, succeed(to("GET", target), "store.no_bucket"));
    TRY_ASSIGN(const std::string text, text_of(response));
    return understood(wire_gcs::parse_listing(text));
  }

  // Metadata with the checksum, then the bytes, in one request.
  Result<wire_gcs::Object> put_whole(const Upload& upload) {
    std::array<std::byte, 16> random{};
    env_.entropy.fill(random);
    const std::string boundary = "isthmus-" + to_hex(random);
    const wire_gcs::NewObject object{
        options_.content_type, wire_gcs::crc32c_text(upload.sums.crc32c), upload.sums.sha256.hex()};
    http::Request request;
    request.method = "POST";
    request.url = gcs::endpoint_of(options_) +
                  gcs::upload_target(options_, "multipart", upload.key, upload.generation);
    request.headers.set("Content-Type", "multipart/related; boundary=" + boundary);
    request.body = gcs::joined(
        fmt::format("--{0}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{1}\r\n"
                    "--{0}\r\nContent-Type: {2}\r\n\r\n",
                    boundary, wire_gcs::print_metadata(object), options_.content_type),
        upload.bytes, fmt::format("\r\n--{}--\r\n", boundary));
    request.timeout = gcs::timeout_for(upload.bytes->size());
    TRY_ASSIGN(http::Response response, succeed(std::move(request), "store.no_bucket"));
    TRY_ASSIGN(const std::string text, text_of(response));
    auto made = wire_gcs::parse_object(text);
    if (!made.ok()) return transient_error("store.unavailable", made.error().message);
    return made;
  }

  static bool is_same(const Upload& upload, const wire_gcs::Object& object) {
    return object.size_bytes == upload.bytes->size() &&
           object.crc32c == wire_gcs::crc32c_text(upload.sums.crc32c) &&
           (object.sha256.empty() || object.sha256 == upload.sums.sha256.hex());
  }

  static StoredObject stored(const ObjectKey& key, const wire_gcs::Object& object) {
    return {key, object.size_bytes, object.etag};
  }

  Result<StoredObject> confirmed(const Upload& upload, const wire_gcs::Object& object) {
    if (is_same(upload, object)) return stored(upload.key, object);
    return protocol_error("The bucket stored the object under another checksum.");
  }

  // Was it our copy, or the way? The caller gives the instance up for the one, not for the other.
  Result<StoredObject> damaged_or(const Upload& upload, const Error& error) {
    if (error.code != "store.protocol") return error;
    TRY_ASSIGN(const gcs::Sums now, gcs::sums_of(*upload.bytes));
    if (now.sha256 != upload.sums.sha256) {
      return permanent_error("store.bad_digest", "The bytes changed while they were uploaded.");
    }
    return error;
  }

  Env& env_;
  const GcsOptions options_;
  BearerTransport bearer_;
  http::RetryingTransport http_;
  gcs::ResumableUploads resumable_;
};

}  // namespace

std::unique_ptr<ObjectStore> make_gcs_store(Env& env, http::Transport& transport,
                                            TokenSource& tokens, UploadSessions* sessions,
                                            GcsOptions options) {
  return std::make_unique<GcsStore>(env, transport, tokens, sessions, std::move(options));
}

}  // namespace isthmus
