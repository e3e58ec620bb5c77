#include "datastore/api/gcs.h"

#include <algorithm>
#include <charconv>

#include "datastore/api/google_errors.h"
#include "wire/s3.h"

namespace isthmus::datastore {

using nlohmann::json;

namespace {

constexpr std::uint64_t kMostJsonBytes = 1 * MiB;
constexpr std::size_t kMostListed = 1000;  // objects.list: maxResults is cut to it
constexpr std::string_view kRoots[] = {"/storage/v1/", "/upload/storage/v1/",
                                       "/download/storage/v1/"};

Error invalid(std::string message) {
  return permanent_error("INVALID_ARGUMENT", std::move(message));
}

http::Response json_response(const json& value) {
  return http::text_response(200, "application/json; charset=UTF-8",
                             value.dump(-1, ' ', false, json::error_handler_t::replace));
}

http::Response no_content() {
  http::Response response;
  response.status = 204;
  return response;
}

Result<void> check_name(const ObjectName& name) {
  if (!wire::s3::valid_bucket_name(name.bucket)) return invalid("Invalid bucket name.");
  if (name.key.size() > wire::s3::kMaxKeyBytes || name.key.find('\0') != std::string::npos) {
    return invalid("Invalid object name.");
  }
  return {};
}

}  // namespace

std::string GcsCall::parameter(const std::string& parameter) const {
  const auto found = query.find(parameter);
  return found == query.end() ? "" : found->second;
}

std::string GcsCall::origin() const {
  return "http://" + std::string(head.headers.get("Host", "localhost"));
}

GcsApi::GcsApi(Env& env, GoogleTokens& tokens, Blobs& blobs, Objects& objects)
    : env_(env), tokens_(tokens), blobs_(blobs), objects_(objects) {
  route("POST", "/storage/v1/b", &GcsApi::insert_bucket);
  route("GET", "/storage/v1/b", &GcsApi::list_buckets);
  route("GET", "/storage/v1/b/{bucket}", &GcsApi::get_bucket);
  route("DELETE", "/storage/v1/b/{bucket}", &GcsApi::delete_bucket);
  route("GET", "/storage/v1/b/{bucket}/o", &GcsApi::list_objects);
  for (const char* root : {"/storage/v1", "/download/storage/v1"}) {
    route("GET", std::string(root) + "/b/{bucket}/o/{object}", &GcsApi::get_object);
  }
  route("PATCH", "/storage/v1/b/{bucket}/o/{object}", &GcsApi::patch_object);
  route("DELETE", "/storage/v1/b/{bucket}/o/{object}", &GcsApi::delete_object);
  route("POST", "/storage/v1/b/{bucket}/o/{object}/rewriteTo/b/{toBucket}/o/{toObject}",
        &GcsApi::rewrite_object);
  const std::string uploads = "/upload/storage/v1/b/{bucket}/o";
  router_.add("POST", uploads, [this](const http::Head& head, const http::PathParameters& path) {
    return upload(call_of(head, path));
  });
  router_.add("PUT", uploads, [this](const http::Head& head, const http::PathParameters& path) {
    return resume(call_of(head, path));
  });
  route("DELETE", uploads, &GcsApi::cancel_session);
  router_.on_not_found([this](const http::Head&, const http::PathParameters&) {
    return http::answer_with(finished(permanent_error("NOT_FOUND", "Not Found")));
  });
}

bool GcsApi::claims_path(std::string_view path) {
  return std::ranges::any_of(kRoots, [&](std::string_view root) {
    return path.starts_with(root.substr(0, root.size() - 1)) &&
           (path.size() == root.size() - 1 || path[root.size() - 1] == '/');
  });
}

std::unique_ptr<http::Exchange> GcsApi::open(const http::Head& head) {
  if (const Result<void> admitted = tokens_.admit(head); !admitted) {
    return http::answer_with(finished(admitted.error()));
  }
  return router_.open(head);
}

GcsCall GcsApi::call_of(const http::Head& head, const http::PathParameters& path) {
  GcsCall call;
  call.head = head;
  call.path = path;
  std::string query(head.query());
  std::ranges::replace(query, '+', ' ');  // before decoding: "%2B" is a plus
  for (auto& [name, value] : http::parse_query(query)) {
    call.query.insert_or_assign(std::move(name), std::move(value));
  }
  const auto of = [&](const char* name) {
    const auto found = path.find(name);
    return found == path.end() ? std::string() : found->second;
  };
  call.name = {of("bucket"), of("object")};
  return call;
}

void GcsApi::route(std::string method, std::string_view path_template, Action action) {
  router_.add(std::move(method), std::string(path_template),
              [this, action](const http::Head& head, const http::PathParameters& path) {
                return http::gather(
                    kMostJsonBytes,
                    [this, action, call = call_of(head, path)](std::string body) -> http::Response {
                      if (!call.name.bucket.empty()) {
                        const Result<void> named = check_name(call.name);
                        if (!named) return finished(named.error());
                      }
                      return finished((this->*action)(call, body));
                    });
              });
}

http::Response GcsApi::finished(Answer answer) {
  http::Response response =
      answer ? std::move(*answer)
             : google_refusal(env_, answer.error(), "datastore.cloud_storage_failed");
  response.headers.set("Server", "isthmus");
  return response;
}

GcsApi::Answer GcsApi::insert_bucket(const GcsCall& call, const std::string& body) {
  const json wanted = json::parse(body, nullptr, false);
  const bool named = wanted.is_object() && wanted.contains("name") && wanted["name"].is_string();
  if (!named) return invalid("Required field name is missing.");
  const std::string name = wanted["name"].get<std::string>();
  TRY(check_name({name, ""}));
  const Result<void> made = objects_.create_bucket(name);
  if (!made && made.error().code == "datastore.bucket_exists") {
    return permanent_error("ALREADY_EXISTS", "You already own this bucket.");
  }
  TRY(made);
  TRY_ASSIGN(const BucketRecord bucket, objects_.bucket(name));
  return json_response(gcs::print_bucket(bucket, call.origin()));
}

GcsApi::Answer GcsApi::get_bucket(const GcsCall& call, const std::string&) {
  TRY_ASSIGN(const BucketRecord bucket, objects_.bucket(call.name.bucket));
  return json_response(gcs::print_bucket(bucket, call.origin()));
}

GcsApi::Answer GcsApi::list_buckets(const GcsCall& call, const std::string&) {
  TRY_ASSIGN(const std::vector<BucketRecord> buckets, objects_.buckets());
  json answer = {{"kind", "storage#buckets"}};
  for (const BucketRecord& bucket : buckets) {
    if (!bucket.name.starts_with(call.parameter("prefix"))) continue;
    answer["items"].push_back(gcs::print_bucket(bucket, call.origin()));
  }
  return json_response(answer);
}

GcsApi::Answer GcsApi::delete_bucket(const GcsCall& call, const std::string&) {
  TRY(objects_.delete_bucket(call.name.bucket));
  return no_content();
}

GcsApi::Answer GcsApi::list_objects(const GcsCall& call, const std::string&) {
  for (const char* unknown : {"matchGlob", "versions", "endOffset", "softDeleted"}) {
    const std::string value = call.parameter(unknown);
    if (!value.empty() && value != "false") {
      return permanent_error("UNIMPLEMENTED", std::string(unknown) + " is not offered here.");
    }
  }
  ListQuery query;
  query.prefix = call.parameter("prefix");
  query.delimiter = call.parameter("delimiter");
  query.limit = kMostListed;
  if (const std::string text = call.parameter("maxResults"); !text.empty()) {
    const auto [end, failure] =
        std::from_chars(text.data(), text.data() + text.size(), query.limit);
    if (failure != std::errc{} || end != text.data() + text.size() || query.limit == 0) {
      return invalid("Invalid value for maxResults.");
    }
    query.limit = std::min(query.limit, kMostListed);
  }
  const std::string start = call.parameter("startOffset");
  if (const std::string token = call.parameter("pageToken"); !token.empty()) {
    const std::optional<Bytes> after = from_base64(token);
    if (!after) return invalid("Invalid value for pageToken.");
    query.after = as_text(*after);
  }
  query.from = start;
  TRY_ASSIGN(const ListPage page, objects_.list(call.name.bucket, query));
  json answer = {{"kind", "storage#objects"}};
  for (const ObjectRecord& object : page.objects) {
    answer["items"].push_back(gcs::print_object(call.name.bucket, object, call.origin()));
  }
  if (!page.common_prefixes.empty()) answer["prefixes"] = page.common_prefixes;
  if (page.truncated) answer["nextPageToken"] = to_base64(as_bytes(page.last));
  return json_response(answer);
}

Result<ObjectRecord> GcsApi::present(const GcsCall& call) {
  TRY_ASSIGN(ObjectRecord object, objects_.find(call.name));
  const std::string generation = call.parameter("generation");
  if (!generation.empty() && generation != std::to_string(object.generation)) {
    return permanent_error("NOT_FOUND", "No such object: that generation is not kept.");
  }
  return object;
}

GcsApi::Answer GcsApi::object_answer(const GcsCall& call, const std::string& bucket,
                                     const ObjectRecord& object) {
  ObjectRecord whole = object;
  TRY_ASSIGN(whole.crc32c, objects_.crc32c_of({bucket, object.key}, object));
  http::Response response = json_response(gcs::print_object(bucket, whole, call.origin()));
  response.headers.set("X-Goog-Generation", std::to_string(object.generation));
  return response;
}

GcsApi::Answer GcsApi::get_object(const GcsCall& call, const std::string&) {
  TRY_ASSIGN(ObjectRecord object, present(call));
  TRY_ASSIGN(PutCondition condition, gcs::parse_conditions(call.query));
  if (condition.generation_not_match == object.generation ||
      condition.metageneration_not_match == object.metageneration) {
    http::Response unchanged;
    unchanged.status = 304;
    return unchanged;
  }
  condition.generation_not_match = condition.metageneration_not_match = std::nullopt;
  TRY(check_condition(condition, &object));
  if (call.parameter("alt") == "media") return download(call, object);
  return object_answer(call, call.name.bucket, object);
}

GcsApi::Answer GcsApi::download(const GcsCall& call, const ObjectRecord& found) {
  ObjectRecord object = found;
  TRY_ASSIGN(object.crc32c, objects_.crc32c_of(call.name, object));
  std::optional<wire::s3::ByteRange> range;
  if (const auto text = call.head.headers.find("Range")) {
    TRY_ASSIGN(range, wire::s3::parse_range(*text, object.size_bytes));
  }
  http::Response response;
  response.headers.set("Content-Type", "application/octet-stream");
  for (const auto& [name, value] : object.headers) {
    const bool meta = name.starts_with("x-amz-meta-");
    response.headers.set(meta ? "x-goog-meta-" + name.substr(11) : name, value);
  }
  response.headers.set("Accept-Ranges", "bytes");
  response.headers.set("ETag", wire::s3::to_etag_header(object.etag));
  response.headers.set("Last-Modified", http::to_http_date(object.modified_at));
  response.headers.set("X-Goog-Hash", gcs::print_hashes(object));
  response.headers.set("X-Goog-Generation", std::to_string(object.generation));
  response.headers.set("X-Goog-Metageneration", std::to_string(object.metageneration));
  response.headers.set("X-Goog-Stored-Content-Length", std::to_string(object.size_bytes));
  response.headers.set("X-Goog-Storage-Class", "STANDARD");
  if (range) {
    response.status = 206;
    response.headers.set("Content-Range", wire::s3::content_range(*range, object.size_bytes));
  }
  TRY_ASSIGN(response.body, objects_.read(object, range ? range->offset : 0,
                                          range ? range->length : object.size_bytes));
  return response;
}

GcsApi::Answer GcsApi::patch_object(const GcsCall& call, const std::string& body) {
  TRY_ASSIGN(const ObjectRecord object, present(call));
  TRY_ASSIGN(PutCondition condition, gcs::parse_conditions(call.query));
  TRY_ASSIGN(const StoredHeaders headers, gcs::patched_headers(object.headers, body));
  // What was read is what is changed.
  condition.generation_match = condition.generation_match.value_or(object.generation);
  condition.metageneration_match = condition.metageneration_match.value_or(object.metageneration);
  TRY_ASSIGN(const ObjectRecord changed, objects_.describe(call.name, headers, condition));
  return object_answer(call, call.name.bucket, changed);
}

GcsApi::Answer GcsApi::delete_object(const GcsCall& call, const std::string&) {
  TRY_ASSIGN(const ObjectRecord object, present(call));
  TRY_ASSIGN(PutCondition condition, gcs::parse_conditions(call.query));
  if (!condition.generation_match) condition.generation_match = object.generation;
  TRY(objects_.remove(call.name, condition));
  return no_content();
}

// In one step: nothing is so large that its row takes long.
GcsApi::Answer GcsApi::rewrite_object(const GcsCall& call, const std::string& body) {
  TRY_ASSIGN(const ObjectRecord source, objects_.find(call.name));
  const ObjectName to{call.path.at("toBucket"), call.path.at("toObject")};
  TRY(check_name(to));
  TRY_ASSIGN(const PutCondition condition, gcs::parse_conditions(call.query));
  ObjectRecord record = source;
  if (!body.empty()) {
    TRY_ASSIGN(record.headers, gcs::patched_headers(source.headers, body));
  }
  TRY_ASSIGN(ObjectRecord stored, objects_.copy(source, to, std::move(record), condition));
  TRY_ASSIGN(stored.crc32c, objects_.crc32c_of(to, stored));
  const std::string size = std::to_string(stored.size_bytes);
  return json_response({{"kind", "storage#rewriteResponse"},
                        {"totalBytesRewritten", size},
                        {"objectSize", size},
                        {"done", true},
                        {"resource", gcs::print_object(to.bucket, stored, call.origin())}});
}

}  // namespace isthmus::datastore
