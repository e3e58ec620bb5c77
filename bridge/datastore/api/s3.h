// The S3 face of the data store, path-style (/<bucket>/<key>) and by host name. Buckets (create,
// head, list, delete, location), objects (put, get with ranges, head, copy, delete, delete many,
// list in both versions) and multipart uploads (create, put and copy part, list parts, complete,
// abort). Tags and storage classes are taken and forgotten; anything else is "NotImplemented".
// Bodies are streamed: none is held in memory but small XML documents. Source: Amazon S3 API
// Reference, version 2006-03-01.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "datastore/api/gate.h"
#include "datastore/api/payload.h"
#include "datastore/engine/objects.h"
#include "http/http.h"

namespace isthmus::datastore {

// A request that was let in, taken apart.
struct S3Call {
  http::Head head;
  ObjectName name;                           // bucket and key, decoded; either may be empty
  std::map<std::string, std::string> query;  // decoded
  std::string request_id;
  std::optional<ChunkSigning> signing;

  bool has(const std::string& parameter) const { return query.contains(parameter); }
  std::string parameter(const std::string& parameter) const;
};

// The header fields that an object keeps: "MetadataTooLarge".
Result<StoredHeaders> headers_to_keep(const http::Headers& headers);
// If-Match and If-None-Match of a put.
PutCondition condition_of(const http::Headers& headers);
// Those of a get: "PreconditionFailed", "NotModified" (RFC 9110 section 13.2.2).
Result<void> check_read_conditions(const http::Headers& headers, const ObjectRecord& object);
Result<int> part_number_of(const S3Call& call);
// ASCII.
std::string lower_case(std::string_view text);

class S3Api : public http::Handler {
 public:
  S3Api(Env& env, const Gate& gate, Blobs& blobs, Objects& objects,
        const DataStoreOptions& options);
  std::unique_ptr<http::Exchange> open(const http::Head& head) override;

 private:
  using Answer = Result<http::Response>;

  std::unique_ptr<http::Exchange> dispatch(S3Call call);
  std::unique_ptr<http::Exchange> on_service(S3Call call);
  std::unique_ptr<http::Exchange> on_bucket(S3Call call);
  std::unique_ptr<http::Exchange> on_object(S3Call call);
  std::unique_ptr<http::Exchange> not_implemented(const S3Call& call);
  // Answers at once.
  std::unique_ptr<http::Exchange> now(const S3Call& call, Answer answer);
  // Gathers a small body first, and checks it against what was signed.
  std::unique_ptr<http::Exchange> with_body(S3Call call,
                                            std::function<Answer(const S3Call&, std::string)> then);
  // Streams the body into a blob first.
  std::unique_ptr<http::Exchange> with_payload(
      S3Call call, std::function<Answer(const S3Call&, ReceivedPayload)> then);
  http::Response finished(const S3Call& call, Answer answer);
  http::Response refusal(const S3Call& call, const Error& error);

  Answer list_buckets(const S3Call& call);
  Answer create_bucket(const S3Call& call, const std::string& body);
  Answer head_bucket(const S3Call& call);
  Answer delete_bucket(const S3Call& call);
  Answer bucket_location(const S3Call& call);
  Answer list_objects(const S3Call& call);
  Answer delete_objects(const S3Call& call, const std::string& body);

  Answer check_put(const S3Call& call);
  Answer put_object(const S3Call& call, ReceivedPayload payload);
  Answer get_object(const S3Call& call);
  Answer delete_object(const S3Call& call);
  Answer get_tags(const S3Call& call);
  Result<ObjectRecord> copy_source(const S3Call& call);
  Result<void> set_copied_checksum(const S3Call& call, const ObjectRecord& source,
                                   ObjectRecord& record);
  Answer copy_object(const S3Call& call);

  Answer create_upload(const S3Call& call);
  Answer copy_part(const S3Call& call);
  Answer put_part(const S3Call& call, ReceivedPayload payload);
  Answer list_parts(const S3Call& call);
  Answer complete_upload(const S3Call& call, const std::string& body);
  Answer abort_upload(const S3Call& call);

  Env& env_;
  const Gate& gate_;
  Blobs& blobs_;
  Objects& objects_;
  const std::string region_;
  const std::vector<std::string> virtual_hosts_;
};

}  // namespace isthmus::datastore
