// The Cloud Storage face of the data store (JSON API v1): buckets (insert, get, list, delete),
// objects (insert as media, multipart and resumable; get, also with alt=media and ranges; list,
// patch, rewrite, delete), with generations, conditions and CRC32C. The same buckets and objects as
// S3's. Bodies are streamed. Source: contracts/google-storage.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "datastore/api/gcs_resource.h"
#include "datastore/api/google_tokens.h"
#include "datastore/engine/objects.h"
#include "http/http.h"
#include "http/router.h"

namespace isthmus::datastore {

// A request that was let in, taken apart.
struct GcsCall {
  http::Head head;
  ObjectName name;
  std::map<std::string, std::string> query;  // decoded
  http::PathParameters path;

  std::string parameter(const std::string& name) const;
  // "http://host:port", as the caller knows this server.
  std::string origin() const;
};

class GcsApi : public http::Handler {
 public:
  GcsApi(Env& env, GoogleTokens& tokens, Blobs& blobs, Objects& objects);
  std::unique_ptr<http::Exchange> open(const http::Head& head) override;
  // "/storage/v1/…", "/upload/storage/v1/…", "/download/storage/v1/…".
  static bool claims_path(std::string_view path);

 private:
  friend class GcsUpload;
  using Answer = Result<http::Response>;
  using Action = Answer (GcsApi::*)(const GcsCall&, const std::string& body);

  void route(std::string method, std::string_view path_template, Action action);
  http::Response finished(Answer answer);
  static GcsCall call_of(const http::Head& head, const http::PathParameters& path);

  Answer insert_bucket(const GcsCall& call, const std::string& body);
  Answer get_bucket(const GcsCall& call, const std::string& body);
  Answer list_buckets(const GcsCall& call, const std::string& body);
  Answer delete_bucket(const GcsCall& call, const std::string& body);
  Answer list_objects(const GcsCall& call, const std::string& body);
  Answer get_object(const GcsCall& call, const std::string& body);
  Answer patch_object(const GcsCall& call, const std::string& body);
  Answer delete_object(const GcsCall& call, const std::string& body);
  Answer rewrite_object(const GcsCall& call, const std::string& body);
  Answer download(const GcsCall& call, const ObjectRecord& object);
  // "NOT_FOUND" for a generation that is not the present one.
  Result<ObjectRecord> present(const GcsCall& call);
  Answer object_answer(const GcsCall& call, const std::string& bucket, const ObjectRecord& object);

  std::unique_ptr<http::Exchange> upload(GcsCall call);
  std::unique_ptr<http::Exchange> resume(GcsCall call);
  Answer begin_session(const GcsCall& call, const std::string& body);
  Answer cancel_session(const GcsCall& call, const std::string& body);

  Env& env_;
  GoogleTokens& tokens_;
  Blobs& blobs_;
  Objects& objects_;
  http::Router router_;
};

}  // namespace isthmus::datastore
