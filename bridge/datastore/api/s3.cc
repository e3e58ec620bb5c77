#include "datastore/api/s3.h"

#include <algorithm>

#include "base/ids.h"
#include "datastore/api/s3_names.h"
#include "wire/s3.h"

namespace isthmus::datastore {

namespace s3 = wire::s3;

std::string lower_case(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return result;
}

namespace {

// The engine's and the signature's errors as S3 names them. What is not here and has a dot is ours
// to be ashamed of: InternalError.
struct Naming {
  std::string_view code;
  std::string_view s3_name;
};
constexpr Naming kNames[] = {
    {"datastore.no_such_bucket", "NoSuchBucket"},
    {"datastore.no_such_key", "NoSuchKey"},
    {"datastore.no_such_upload", "NoSuchUpload"},
    {"datastore.bucket_exists", "BucketAlreadyOwnedByYou"},
    {"datastore.bucket_not_empty", "BucketNotEmpty"},
    {"datastore.condition_failed", "PreconditionFailed"},
    {"datastore.invalid_part", "InvalidPart"},
    {"datastore.invalid_part_order", "InvalidPartOrder"},
    {"datastore.part_too_small", "EntityTooSmall"},
    {"datastore.full", "SlowDown"},
    {"datastore.busy", "SlowDown"},
    {"disk.full", "SlowDown"},
    {"s3.malformed_xml", "MalformedXML"},
    {"s3.invalid_argument", "InvalidArgument"},
    {"s3.invalid_range", "InvalidRange"},
    {"sigv4.missing", "AccessDenied"},
    {"sigv4.unsupported", "InvalidRequest"},
    {"sigv4.malformed", "AuthorizationHeaderMalformed"},
    {"sigv4.wrong_scope", "AuthorizationHeaderMalformed"},
    {"sigv4.no_date", "AccessDenied"},
    {"sigv4.skewed", "RequestTimeTooSkewed"},
    {"sigv4.unsigned_header", "AccessDenied"},
    {"sigv4.unknown_key", "InvalidAccessKeyId"},
    {"sigv4.not_allowed", "AccessDenied"},
    {"sigv4.mismatch", "SignatureDoesNotMatch"},
    {"sigv4.malformed_query", "AuthorizationQueryParametersError"},
    {"sigv4.not_yet_valid", "AccessDenied"},
    {"sigv4.expired", "AccessDenied"},
    {"datastore.checksum_mismatch", "BadDigest"},
    {"datastore.wrong_checksum_type", "InvalidRequest"},
    {"datastore.wrong_size", "InvalidRequest"},
};

std::string s3_name_of(const Error& error) {
  for (const Naming& naming : kNames) {
    if (naming.code == error.code) return std::string(naming.s3_name);
  }
  return error.code.find('.') == std::string::npos ? error.code : "InternalError";
}

// Answers a body that was streamed into a blob.
class PayloadExchange : public http::Exchange {
 public:
  using Then = std::function<http::Response(Result<ReceivedPayload>)>;
  PayloadExchange(PayloadReader reader, Then then)
      : reader_(std::move(reader)), then_(std::move(then)) {}

  bool feed(ByteSpan piece) override {
    fed_ = reader_.feed(piece);
    return fed_.ok();
  }
  http::Response finish() override {
    if (!fed_) return then_(fed_.error());
    return then_(reader_.finish());
  }

 private:
  PayloadReader reader_;
  Then then_;
  Result<void> fed_;
};

// What the head says of the body. CompleteMultipartUpload's checksum headers are of the object.
http::Head body_claims(const S3Call& call) {
  http::Head head = call.head;
  if (!call.has("uploadId")) return head;
  for (const auto& [name, value] : call.head.headers.all()) {
    if (lower_case(name).starts_with("x-amz-checksum-")) head.headers.remove(name);
  }
  return head;
}

// Sub-resources that change what a request means: refused when they are not known here, because
// answering as if they were not there would do something else than what was asked.
constexpr std::string_view kSubresources[] = {"acl",
                                              "policy",
                                              "versioning",
                                              "versions",
                                              "cors",
                                              "lifecycle",
                                              "encryption",
                                              "logging",
                                              "website",
                                              "notification",
                                              "replication",
                                              "torrent",
                                              "restore",
                                              "select",
                                              "retention",
                                              "legal-hold",
                                              "object-lock",
                                              "analytics",
                                              "inventory",
                                              "metrics",
                                              "accelerate",
                                              "requestPayment",
                                              "attributes",
                                              "uploads",
                                              "policyStatus",
                                              "publicAccessBlock",
                                              "ownershipControls",
                                              "session",
                                              "intelligent-tiering"};

}  // namespace

std::string S3Call::parameter(const std::string& parameter) const {
  const auto found = query.find(parameter);
  return found == query.end() ? "" : found->second;
}

S3Api::S3Api(Env& env, const Gate& gate, Blobs& blobs, Objects& objects,
             const DataStoreOptions& options)
    : env_(env),
      gate_(gate),
      blobs_(blobs),
      objects_(objects),
      region_(options.region),
      virtual_hosts_(options.virtual_hosts) {}

std::unique_ptr<http::Exchange> S3Api::open(const http::Head& head) {
  S3Call call;
  call.head = with_query_headers(head);
  call.request_id = make_id_text(env_);
  for (auto& [name, value] : http::parse_query(head.query())) {
    call.query.insert_or_assign(std::move(name), std::move(value));
  }
  auto payload_hash = call.head.headers.find("x-amz-content-sha256");
  if (!payload_hash && Gate::presigned(head)) payload_hash = wire::sigv4::kUnsignedPayload;
  if (!payload_hash && !gate_.open_to_all() && head.headers.contains("Authorization")) {
    return now(call,
               permanent_error("InvalidRequest",
                               "Missing required header for this request: x-amz-content-sha256"));
  }
  auto signing = gate_.admit(head, "s3", payload_hash.value_or(""));
  if (!signing) return now(call, signing.error());
  call.signing = std::move(*signing);
  auto name = s3_name_of(head, virtual_hosts_);
  if (!name) return now(call, name.error());
  call.name = std::move(*name);
  return dispatch(std::move(call));
}

std::unique_ptr<http::Exchange> S3Api::dispatch(S3Call call) {
  const bool upload_call =
      !call.name.key.empty() && call.has("uploads") && call.head.method == "POST";
  for (const std::string_view subresource : kSubresources) {
    if (call.has(std::string(subresource)) && !upload_call) return not_implemented(call);
  }
  if (call.name.bucket.empty()) return on_service(std::move(call));
  if (call.name.key.empty()) return on_bucket(std::move(call));
  return on_object(std::move(call));
}

std::unique_ptr<http::Exchange> S3Api::on_service(S3Call call) {
  if (call.head.method == "GET") return now(call, list_buckets(call));
  return not_implemented(call);
}

std::unique_ptr<http::Exchange> S3Api::on_bucket(S3Call call) {
  const std::string& method = call.head.method;
  if (method == "PUT" && !call.has("tagging")) {
    return with_body(std::move(call), [this](const S3Call& done, std::string body) {
      return create_bucket(done, body);
    });
  }
  if (method == "POST" && call.has("delete")) {
    return with_body(std::move(call), [this](const S3Call& done, std::string body) {
      return delete_objects(done, body);
    });
  }
  if (method == "HEAD") return now(call, head_bucket(call));
  if (method == "DELETE" && !call.has("tagging")) return now(call, delete_bucket(call));
  if (method == "GET" && call.has("location")) return now(call, bucket_location(call));
  if (call.has("tagging")) return not_implemented(call);
  if (method == "GET") return now(call, list_objects(call));
  return not_implemented(call);
}

std::unique_ptr<http::Exchange> S3Api::on_object(S3Call call) {
  const std::string& method = call.head.method;
  const bool of_upload = call.has("uploadId");
  if (call.has("versionId") && call.parameter("versionId") != "null") return not_implemented(call);
  if (call.has("tagging")) {
    return method == "GET" ? now(call, get_tags(call)) : not_implemented(call);
  }
  if (method == "PUT" && call.head.headers.contains("x-amz-copy-source")) {
    return now(call, of_upload ? copy_part(call) : copy_object(call));
  }
  if (method == "PUT") {
    if (Answer refused = check_put(call); !refused) return now(call, std::move(refused));
    return with_payload(std::move(call), [this, of_upload](const S3Call& done,
                                                           ReceivedPayload payload) {
      return of_upload ? put_part(done, std::move(payload)) : put_object(done, std::move(payload));
    });
  }
  if (method == "POST" && call.has("uploads")) return now(call, create_upload(call));
  if (method == "POST" && of_upload) {
    return with_body(std::move(call), [this](const S3Call& done, std::string body) {
      return complete_upload(done, body);
    });
  }
  if (method == "DELETE") {
    return now(call, of_upload ? abort_upload(call) : delete_object(call));
  }
  if (method == "GET" && of_upload) return now(call, list_parts(call));
  if (method == "GET" || method == "HEAD") return now(call, get_object(call));
  return not_implemented(call);
}

std::unique_ptr<http::Exchange> S3Api::not_implemented(const S3Call& call) {
  return now(
      call, permanent_error("NotImplemented", "This operation is not offered by this data store."));
}

std::unique_ptr<http::Exchange> S3Api::now(const S3Call& call, Answer answer) {
  return http::answer_with(finished(call, std::move(answer)));
}

std::unique_ptr<http::Exchange> S3Api::with_body(
    S3Call call, std::function<Answer(const S3Call&, std::string)> then) {
  return http::gather(
      s3::kMaxXmlBytes,
      [this, call = std::move(call), then = std::move(then)](std::string body) -> http::Response {
        Result<std::string> payload = read_small_payload(body_claims(call), body, call.signing);
        if (!payload) return finished(call, payload.error());
        return finished(call, then(call, std::move(*payload)));
      });
}

std::unique_ptr<http::Exchange> S3Api::with_payload(
    S3Call call, std::function<Answer(const S3Call&, ReceivedPayload)> then) {
  auto claims = read_payload_claims(call.head);
  if (!claims) return now(call, claims.error());
  auto blob = blobs_.begin();
  if (!blob) return now(call, blob.error());
  PayloadReader reader(std::move(*claims), call.signing, std::move(*blob));
  return std::make_unique<PayloadExchange>(
      std::move(reader),
      [this, call = std::move(call),
       then = std::move(then)](Result<ReceivedPayload> received) -> http::Response {
        if (!received) return finished(call, received.error());
        return finished(call, then(call, std::move(*received)));
      });
}

http::Response S3Api::finished(const S3Call& call, Answer answer) {
  http::Response response = answer ? std::move(*answer) : refusal(call, answer.error());
  response.headers.set("x-amz-request-id", call.request_id);
  response.headers.set("Server", "isthmus");
  return response;
}

http::Response S3Api::refusal(const S3Call& call, const Error& error) {
  s3::ErrorBody body;
  body.code = s3_name_of(error);
  body.message = body.code == "InternalError"
                     ? "We encountered an internal error. Please try again."
                     : error.message;
  body.resource = std::string(call.head.path());
  body.request_id = call.request_id;
  if (body.code == "InternalError") {
    env_.log.error("datastore.s3_failed",
                   {{"request", call.request_id}, {"code", error.code}, {"why", error.message}});
  }
  const int status = body.code == "MetadataTooLarge" ? 400 : s3::status_of(body.code);
  if (status == 304) {
    http::Response unchanged;
    unchanged.status = status;
    return unchanged;
  }
  http::Response response = http::text_response(status, "application/xml", s3::print(body));
  if (status == 503) response.headers.set("Retry-After", "1");
  return response;
}

}  // namespace isthmus::datastore
