// Buckets, and what lies in them.
#include "datastore/api/s3.h"
#include "wire/s3.h"

namespace isthmus::datastore {

namespace s3 = wire::s3;

namespace {

http::Response empty_response(int status) {
  http::Response response;
  response.status = status;
  return response;
}

http::Response xml_response(std::string xml) {
  return http::text_response(200, "application/xml", std::move(xml));
}

}  // namespace

S3Api::Answer S3Api::list_buckets(const S3Call&) {
  TRY_ASSIGN(const std::vector<BucketRecord> buckets, objects_.buckets());
  s3::BucketList list;
  list.owner_id = "isthmus";
  for (const BucketRecord& bucket : buckets) {
    list.buckets.push_back({bucket.name, bucket.created_at});
  }
  return xml_response(s3::print(list));
}

S3Api::Answer S3Api::create_bucket(const S3Call& call, const std::string& body) {
  if (!body.empty()) {
    TRY_ASSIGN(const s3::CreateBucketRequest request, s3::parse_create_bucket_request(body));
    if (!request.location_constraint.empty() && request.location_constraint != region_) {
      return permanent_error("IllegalLocationConstraintException",
                             "The location constraint is not this data store's region.");
    }
  }
  const Result<void> made = objects_.create_bucket(call.name.bucket);
  // Making one's own bucket again succeeds in us-east-1 and only there (CreateBucket).
  const bool again = !made && made.error().code == "datastore.bucket_exists";
  if (!made && !(again && region_ == "us-east-1")) return made.error();
  http::Response response = empty_response(200);
  response.headers.set("Location", "/" + call.name.bucket);
  return response;
}

S3Api::Answer S3Api::head_bucket(const S3Call& call) {
  TRY(objects_.bucket(call.name.bucket));
  http::Response response = empty_response(200);
  response.headers.set("x-amz-bucket-region", region_);
  return response;
}

S3Api::Answer S3Api::delete_bucket(const S3Call& call) {
  TRY(objects_.delete_bucket(call.name.bucket));
  return empty_response(204);
}

S3Api::Answer S3Api::bucket_location(const S3Call& call) {
  TRY(objects_.bucket(call.name.bucket));
  return xml_response(s3::print_location(region_));
}

S3Api::Answer S3Api::list_objects(const S3Call& call) {
  const auto pairs = http::parse_query(call.head.query());
  TRY_ASSIGN(s3::ListRequest request, s3::parse_list_query(pairs));
  ListQuery query;
  query.prefix = request.prefix;
  query.delimiter = request.delimiter;
  query.after = request.start_after;
  query.limit = static_cast<std::size_t>(request.max_keys);
  if (request.continuation_token) {
    const std::optional<Bytes> after = from_base64(*request.continuation_token);
    if (!after) {
      return permanent_error("InvalidArgument", "The continuation token provided is incorrect");
    }
    query.after = as_text(*after);
  }
  TRY_ASSIGN(ListPage page, objects_.list(call.name.bucket, query));
  s3::ListResult result;
  result.bucket = call.name.bucket;
  result.request = std::move(request);
  result.truncated = page.truncated;
  if (page.truncated) {
    result.next_continuation_token = to_base64(as_bytes(page.last));
    result.next_marker = page.last;
  }
  for (const ObjectRecord& object : page.objects) {
    result.contents.push_back({object.key, object.size_bytes, object.etag, object.modified_at});
  }
  result.common_prefixes = std::move(page.common_prefixes);
  return xml_response(s3::print(result));
}

S3Api::Answer S3Api::delete_objects(const S3Call& call, const std::string& body) {
  TRY_ASSIGN(const s3::DeleteRequest request, s3::parse_delete_request(body));
  TRY(objects_.remove(call.name.bucket, request.keys));
  s3::DeleteResult result;
  if (!request.quiet) result.deleted = request.keys;
  return xml_response(s3::print(result));
}

}  // namespace isthmus::datastore
