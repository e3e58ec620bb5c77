// The S3 client. Every byte that goes up is covered twice: by the signature (x-amz-content-sha256)
// and by x-amz-checksum-sha256, so that the store refuses what was damaged on the way.
#include "storage/s3.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "base/failpoint.h"
#include "storage/s3/answers.h"
#include "storage/s3/part_memory.h"
#include "wire/s3.h"
#include "wire/sigv4.h"

namespace isthmus {

namespace {

namespace wire_s3 = wire::s3;
namespace sigv4 = wire::sigv4;

constexpr std::string_view kPayloadHash = "x-amz-content-sha256";
constexpr std::string_view kChecksum = "x-amz-checksum-sha256";

// A request may take this long, and as much longer as its body takes on a slow line.
constexpr Milliseconds kRequestTimeout{60'000};
constexpr std::uint64_t kSlowestBytesPerSecond = 128 * KiB;
constexpr Milliseconds kDownloadTimeout{3'600'000};

Error protocol_error(std::string message) {
  return permanent_error("store.protocol", std::move(message));
}

Milliseconds timeout_for(std::uint64_t size_bytes) {
  return kRequestTimeout + std::chrono::seconds(size_bytes / kSlowestBytesPerSecond);
}

// One request to the bucket, before it has a URL.
struct Call {
  const char* method;
  std::string key;    // empty: the bucket itself
  std::string query;  // encoded
  http::Headers headers;
  std::shared_ptr<ByteSource> body;
  std::string payload_hash = std::string(sigv4::kEmptyPayloadHash);
  Milliseconds timeout = kRequestTimeout;
};

// A multipart upload in progress.
struct Parts {
  std::string upload_id;
  std::map<int, wire_s3::UploadedPart> known;  // what the bucket has of an earlier try
  wire_s3::CompleteRequest uploaded;
  std::vector<Digest> digests;
};

class S3Store : public ObjectStore {
 public:
  S3Store(Env& env, http::Transport& transport, CredentialsSource& credentials, S3Options options)
      : env_(env),
        credentials_(credentials),
        options_(std::move(options)),
        base_url_(base_url(options_)),
        uploads_(env, options_.sessions),
        part_memory_(std::make_shared<s3::PartMemory>(options_.parts_at_once)),
        http_(env, transport, options_.retry,
              [this](http::Request& request) { return sign(request); }) {}

  Result<StoredObject> put(const ObjectKey& key, std::shared_ptr<ByteSource> bytes,
                           const Digest& expected) override {
    if (bytes->size() > options_.multipart_threshold_bytes) {
      return put_in_parts(key, *bytes, expected);
    }
    Result<StoredObject> stored = put_whole(key, bytes, expected);
    if (stored.ok() || stored.error().code != "store.bad_digest") return stored;
    // Was it our copy, or the way? The caller gives the instance up for the one, not for the other.
    TRY_ASSIGN(const bool intact, is_intact(*bytes, expected));
    if (!intact) return stored;
    return transient_error("store.unavailable", "The bytes were damaged on their way.");
  }

  Result<StoredObject> head(const ObjectKey& key) override {
    TRY_ASSIGN(const http::Response response, succeed({"HEAD", key.text, "", {}, nullptr}));
    const std::string_view text = response.headers.get("Content-Length");
    StoredObject object{key, 0, wire_s3::from_etag_header(response.headers.get("ETag"))};
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), object.size_bytes);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
      return protocol_error("The bucket does not say how large an object is.");
    }
    return object;
  }

  Result<std::unique_ptr<ByteSource>> get(const ObjectKey& key) override {
    Call call{"GET", key.text, "", {}, nullptr};
    call.timeout = kDownloadTimeout;
    TRY_ASSIGN(http::Response response, succeed(std::move(call)));
    if (!response.body) return source_of(std::string());
    return std::move(response.body);
  }

  Result<void> list(std::string_view prefix,
                    const std::function<bool(const StoredObject&)>& each) override {
    wire_s3::ListRequest page;
    page.prefix = prefix;
    page.encode_url = true;
    page.max_keys = options_.list_page_keys;
    for (;;) {
      TRY_ASSIGN(const wire_s3::ListResult result, list_page(page));
      for (const wire_s3::ListedObject& object : result.contents) {
        if (!object.key.starts_with(prefix)) {
          return protocol_error("The bucket listed a key that was not asked for.");
        }
        if (!each({ObjectKey{object.key}, object.size_bytes, object.etag})) return {};
      }
      if (!result.truncated) return {};
      if (result.next_continuation_token == page.continuation_token) {
        return protocol_error("The bucket gives the same page of a listing again and again.");
      }
      page.continuation_token = result.next_continuation_token;
    }
  }

  Result<void> remove(const ObjectKey& key) override {
    end_unfinished(key);
    const auto gone = succeed({"DELETE", key.text, "", {}, nullptr});
    if (!gone.ok() && gone.error().code != "store.not_found") return gone.error();
    return {};
  }

  Result<void> check() override {
    wire_s3::ListRequest page;
    page.max_keys = 1;
    TRY(list_page(page));
    return {};
  }

 private:
  static std::string base_url(const S3Options& options) {
    std::string_view endpoint = options.endpoint;
    while (endpoint.ends_with('/')) endpoint.remove_suffix(1);
    if (options.path_style) return fmt::format("{}/{}", endpoint, options.bucket);
    const std::size_t host = endpoint.find("://");
    if (host == std::string_view::npos) return std::string(endpoint);  // http.bad_url, when used
    return fmt::format("{}://{}.{}", endpoint.substr(0, host), options.bucket,
                       endpoint.substr(host + 3));
  }

  Result<void> sign(http::Request& request) {
    TRY_ASSIGN(const Credentials who, credentials_.credentials());
    const std::string payload_hash(request.headers.get(kPayloadHash));
    return sigv4::sign(request, {who.access_key_id, who.secret_access_key, who.session_token},
                       options_.region, "s3", env_.clock.wall_now(), payload_hash);
  }

  // An answer of any status.
  Result<http::Response> send(Call call) {
    http::Request request;
    request.method = call.method;
    request.url = base_url_ + "/" + http::percent_encode(call.key, true);
    if (call.key.empty() && options_.path_style) request.url.pop_back();  // "/bucket"
    if (!call.query.empty()) request.url += "?" + call.query;
    request.headers = std::move(call.headers);
    request.headers.set(kPayloadHash, std::move(call.payload_hash));
    if (!options_.expected_bucket_owner.empty()) {
      request.headers.set("x-amz-expected-bucket-owner", options_.expected_bucket_owner);
    }
    request.body = std::move(call.body);
    request.timeout = call.timeout;
    return http_.send(std::move(request));
  }

  // An answer that is a success.
  Result<http::Response> succeed(Call call) {
    TRY_ASSIGN(http::Response response, send(std::move(call)));
    if (response.status >= 200 && response.status < 300) return response;
    return s3::refusal_of(response, env_.clock.wall_now()).error;
  }

  Result<std::string> text_of(http::Response& response) {
    if (!response.body) return std::string();
    return read_all(*response.body, wire_s3::kMaxXmlBytes);
  }

  // A document that cannot be read is no fault of the object.
  template <typename T>
  static Result<T> understood(Result<T> parsed) {
    if (parsed.ok()) return parsed;
    return protocol_error("The bucket's answer cannot be read: check the endpoint.");
  }

  static Result<bool> is_intact(ByteSource& bytes, const Digest& expected) {
    TRY(bytes.rewind());
    Sha256 sha;
    Bytes piece(static_cast<std::size_t>(256 * KiB));
    for (;;) {
      TRY_ASSIGN(const std::size_t got, bytes.read(piece));
      if (got == 0) break;
      sha.update(ByteSpan(piece).first(got));
    }
    return sha.finish() == expected;
  }

  // What is said of an object when it is made (PutObject, CreateMultipartUpload).
  void describe(http::Headers& headers) const {
    headers.set("Content-Type", "application/octet-stream");
    if (options_.encryption == S3Encryption::s3) {
      headers.set("x-amz-server-side-encryption", "AES256");
    }
    if (options_.encryption == S3Encryption::kms) {
      headers.set("x-amz-server-side-encryption", "aws:kms");
      if (!options_.kms_key_id.empty()) {
        headers.set("x-amz-server-side-encryption-aws-kms-key-id", options_.kms_key_id);
      }
    }
    if (!options_.storage_class.empty()) {
      headers.set("x-amz-storage-class", options_.storage_class);
    }
    std::string tags;
    for (const auto& [name, value] : options_.object_tags) {
      if (!tags.empty()) tags += '&';
      tags += http::percent_encode(name, false) + "=" + http::percent_encode(value, false);
    }
    if (!tags.empty()) headers.set("x-amz-tagging", tags);
  }

  Result<StoredObject> put_whole(const ObjectKey& key, std::shared_ptr<ByteSource> bytes,
                                 const Digest& expected) {
    const std::uint64_t size = bytes->size();
    Call call{"PUT", key.text, "", {}, std::move(bytes), expected.hex(), timeout_for(size)};
    describe(call.headers);
    call.headers.set(kChecksum, expected.base64());
    TRY_ASSIGN(const http::Response response, succeed(std::move(call)));
    if (const auto echoed = response.headers.find(kChecksum);
        echoed && *echoed != expected.base64()) {
      return protocol_error("The bucket stored the object under another checksum.");
    }
    return StoredObject{key, size, wire_s3::from_etag_header(response.headers.get("ETag"))};
  }

  // --- multipart
  // ----------------------------------------------------------------------------------
  // Holds one part in memory at a time: its digest goes ahead of its bytes.
  Result<StoredObject> put_in_parts(const ObjectKey& key, ByteSource& bytes,
                                    const Digest& expected) {
    TRY(bytes.rewind());
    Parts parts;
    if (!resume(key, bytes, expected, parts)) {
      TRY_ASSIGN(parts.upload_id, initiate(key));
      FAILPOINT(upload_begun);
      uploads_.keep(key, {parts.upload_id, expected, bytes.size()});
      FAILPOINT(upload_kept);
    }
    Result<StoredObject> stored = upload_and_complete(key, bytes, expected, parts);
    // What is kept of it the next try goes on with; the bytes themselves being wrong, none may.
    const bool goes_on =
        uploads_.outlive_the_process() && !stored.ok() && stored.error().fate == Fate::transient;
    if (goes_on) return stored;
    if (!stored.ok()) abort(key, parts.upload_id);
    if (stored.ok()) FAILPOINT(upload_completed);
    uploads_.forget(key);
    return stored;
  }

  // Whether an earlier upload of this key can be gone on with; then what the bucket has of it.
  bool resume(const ObjectKey& key, const ByteSource& bytes, const Digest& expected, Parts& parts) {
    const std::optional<UploadSession> kept = uploads_.find(key);
    if (!kept) return false;
    if (kept->digest != expected || kept->size_bytes != bytes.size()) {
      abort(key, kept->token);
      return false;
    }
    const auto known = parts_of(key, kept->token);
    if (!known.ok()) {
      env_.log.info("store.upload_not_resumed", {{"code", known.error().code}});
      return false;
    }
    parts.upload_id = kept->token;
    parts.known = *known;
    env_.log.info("store.upload_resumed", {{"parts", known->size()}});
    return true;
  }

  Result<std::map<int, wire_s3::UploadedPart>> parts_of(const ObjectKey& key,
                                                        const std::string& upload_id) {
    std::map<int, wire_s3::UploadedPart> found;
    int after = 0;
    for (;;) {
      const std::string query = fmt::format("part-number-marker={}&uploadId={}", after,
                                            http::percent_encode(upload_id, false));
      TRY_ASSIGN(http::Response response, succeed({"GET", key.text, query, {}, nullptr}));
      TRY_ASSIGN(const std::string text, text_of(response));
      TRY_ASSIGN(const auto page, understood(wire_s3::parse_part_list(text)));
      for (const auto& part : page.parts) found[part.number] = part;
      if (!page.truncated) return found;
      if (page.next_marker <= after) return protocol_error("The list of parts has no end.");
      after = page.next_marker;
    }
  }

  // Parts that nobody will go on with are not paid for.
  void end_unfinished(const ObjectKey& key) {
    const std::optional<UploadSession> kept = uploads_.find(key);
    if (!kept) return;
    abort(key, kept->token);
    uploads_.forget(key);
  }

  std::uint64_t part_size_for(std::uint64_t size_bytes) const {
    constexpr auto kMost = static_cast<std::uint64_t>(wire_s3::kMaxParts);
    return std::max(
        {options_.part_bytes, wire_s3::kMinPartBytes, (size_bytes + kMost - 1) / kMost});
  }

  Result<std::string> initiate(const ObjectKey& key) {
    Call call{"POST", key.text, "uploads=", {}, nullptr};
    describe(call.headers);
    call.headers.set("x-amz-checksum-algorithm", "SHA256");
    TRY_ASSIGN(http::Response response, succeed(std::move(call)));
    TRY_ASSIGN(const std::string text, text_of(response));
    TRY_ASSIGN(wire_s3::InitiatedUpload upload, understood(wire_s3::parse_initiated_upload(text)));
    return std::move(upload.upload_id);
  }

  Result<StoredObject> upload_and_complete(const ObjectKey& key, ByteSource& bytes,
                                           const Digest& expected, Parts& parts) {
    const std::uint64_t size = bytes.size();
    const std::uint64_t part_size = part_size_for(size);
    Sha256 whole;
    for (std::uint64_t offset = 0; offset < size; offset += part_size) {
      TRY_ASSIGN(const s3::Part part,
                 part_memory_->read(bytes, std::min(part_size, size - offset)));
      whole.update(*part);
      TRY(put_part(key, part, parts));
    }
    if (whole.finish() != expected) {
      return permanent_error("store.bad_digest", "The bytes are not those that were announced.");
    }
    return complete(key, size, parts);
  }

  // Whether what the bucket has of an earlier try are these bytes. A store that keeps no SHA-256 of
  // parts names them by their MD5, unless it encrypts them (Ceph 16: no checksum in ListParts).
  static bool is_part(const wire_s3::UploadedPart& known, ByteSpan bytes, const Digest& digest) {
    if (known.size_bytes != bytes.size()) return false;
    if (!known.checksum_sha256.empty()) return known.checksum_sha256 == digest.base64();
    return known.etag == to_hex(md5(bytes));
  }

  Result<void> put_part(const ObjectKey& key, const s3::Part& part, Parts& parts) {
    const Bytes& bytes = *part;
    const Digest digest = sha256(bytes);
    const int number = static_cast<int>(parts.uploaded.parts.size()) + 1;
    const auto known = parts.known.find(number);
    if (known != parts.known.end() && is_part(known->second, bytes, digest)) {
      parts.uploaded.parts.push_back({number, known->second.etag, digest.base64()});
      parts.digests.push_back(digest);
      return {};
    }
    const Milliseconds timeout = timeout_for(bytes.size());
    Call call{"PUT",
              key.text,
              fmt::format("partNumber={}&uploadId={}", number,
                          http::percent_encode(parts.upload_id, false)),
              {},
              s3::source_of(part),
              digest.hex(),
              timeout};
    call.headers.set(kChecksum, digest.base64());
    TRY_ASSIGN(const http::Response response, succeed(std::move(call)));
    std::string etag = wire_s3::from_etag_header(response.headers.get("ETag"));
    if (etag.empty()) return protocol_error("The bucket gave no ETag for a part.");
    FAILPOINT(upload_part_sent);
    parts.uploaded.parts.push_back({number, std::move(etag), digest.base64()});
    parts.digests.push_back(digest);
    return {};
  }

  Result<StoredObject> complete(const ObjectKey& key, std::uint64_t size, const Parts& parts) {
    const std::string body = wire_s3::print(parts.uploaded);
    Call call{"POST",
              key.text,
              "uploadId=" + http::percent_encode(parts.upload_id, false),
              {},
              source_of(body),
              sha256(body).hex(),
              timeout_for(size)};  // the store may put the parts together before it answers
    call.headers.set("Content-Type", "application/xml");
    TRY_ASSIGN(http::Response response, send(std::move(call)));
    if (response.status == 404) {
      // A try before this one may have completed it, and its answer was lost.
      const s3::Refusal refusal = s3::refusal_of(response, env_.clock.wall_now());
      if (refusal.s3_code != "NoSuchUpload" && refusal.s3_code != "NoSuchKey") return refusal.error;
      const auto found = confirm(key, size, parts);
      return found.ok() ? found : refusal.error;
    }
    if (response.status < 200 || response.status >= 300) {
      return s3::refusal_of(response, env_.clock.wall_now()).error;
    }
    TRY_ASSIGN(const std::string text, text_of(response));
    const auto completed = wire_s3::parse_completed_upload(text);
    if (!completed.ok() && completed.error().code == "s3.error_in_body") {
      return transient_error("store.unavailable", "The bucket could not put the parts together.");
    }
    TRY(understood(completed));
    const std::string& checksum = completed->checksum_sha256;
    if (!checksum.empty() && checksum != wire_s3::composite_checksum(parts.digests)) {
      return protocol_error("The bucket put the parts together to another checksum.");
    }
    return confirm(key, size, parts);
  }

  // The object under the key is the one made of these parts, as far as the store lets us see.
  Result<StoredObject> confirm(const ObjectKey& key, std::uint64_t size, const Parts& parts) {
    TRY_ASSIGN(StoredObject object, head(key));
    std::vector<std::array<std::byte, 16>> md5s;
    for (const wire_s3::CompletedPart& part : parts.uploaded.parts) {
      const auto raw = from_hex(part.etag);
      if (!raw || raw->size() != 16) break;  // an encrypting store's tags are no MD5s
      std::copy(raw->begin(), raw->end(), md5s.emplace_back().begin());
    }
    const bool comparable =
        md5s.size() == parts.uploaded.parts.size() && options_.encryption != S3Encryption::kms;
    if (object.size_bytes != size || (comparable && object.etag != wire_s3::multipart_etag(md5s))) {
      return transient_error("store.unavailable", "Another object is under the key: once more.");
    }
    return object;
  }

  void abort(const ObjectKey& key, const std::string& upload_id) {
    const auto aborted = succeed(
        {"DELETE", key.text, "uploadId=" + http::percent_encode(upload_id, false), {}, nullptr});
    if (aborted.ok() || aborted.error().code == "store.unavailable") return;
    env_.log.warn("store.abort_failed",
                  {{"bucket", options_.bucket}, {"code", aborted.error().code}});
  }

  Result<wire_s3::ListResult> list_page(const wire_s3::ListRequest& page) {
    TRY_ASSIGN(http::Response response,
               succeed({"GET", "", wire_s3::print_query(page), {}, nullptr}));
    TRY_ASSIGN(const std::string text, text_of(response));
    return understood(wire_s3::parse_list_result(text));
  }

  Env& env_;
  CredentialsSource& credentials_;
  const S3Options options_;
  const std::string base_url_;
  UploadsInProgress uploads_;
  const std::shared_ptr<s3::PartMemory> part_memory_;
  http::RetryingTransport http_;
};

}  // namespace

std::unique_ptr<ObjectStore> make_s3_store(Env& env, http::Transport& transport,
                                           CredentialsSource& credentials, S3Options options) {
  return std::make_unique<S3Store>(env, transport, credentials, std::move(options));
}

}  // namespace isthmus
