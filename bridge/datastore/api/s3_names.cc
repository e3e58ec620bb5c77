#include "datastore/api/s3_names.h"

#include <algorithm>
#include <array>

#include "wire/s3.h"
#include "wire/sigv4.h"

namespace isthmus::datastore {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return result;
}

// The bucket that the host names; empty when it names none.
std::string bucket_of_host(std::string_view host, std::span<const std::string> virtual_hosts) {
  const std::string name = lower(host.substr(0, host.find(':')));
  for (const std::string& base : virtual_hosts) {
    const std::string ending = "." + lower(base);
    if (name.size() > ending.size() && name.ends_with(ending)) {
      return name.substr(0, name.size() - ending.size());
    }
  }
  return "";
}

Result<ObjectName> checked(ObjectName name) {
  if (!name.bucket.empty() && !wire::s3::valid_bucket_name(name.bucket)) {
    return permanent_error("InvalidBucketName", "The specified bucket is not valid.");
  }
  if (name.key.size() > wire::s3::kMaxKeyBytes) {
    return permanent_error("KeyTooLongError", "Your key is too long.");
  }
  return name;
}

// "bucket/key/with/slashes"
Result<ObjectName> split_name(std::string_view path) {
  const std::size_t slash = std::min(path.find('/'), path.size());
  const auto bucket = http::percent_decode(path.substr(0, slash));
  const auto key = http::percent_decode(path.substr(std::min(slash + 1, path.size())));
  if (!bucket || !key || key->find('\0') != std::string::npos) {
    return permanent_error("InvalidURI", "Couldn't parse the specified URI.");
  }
  return checked({*bucket, *key});
}

}  // namespace

Result<ObjectName> s3_name_of(const http::Head& head, std::span<const std::string> virtual_hosts) {
  std::string_view path = head.path();
  if (path.starts_with('/')) path.remove_prefix(1);
  const std::string bucket = bucket_of_host(head.headers.get("Host"), virtual_hosts);
  if (bucket.empty()) return split_name(path);
  const auto key = http::percent_decode(path);
  if (!key || key->find('\0') != std::string::npos) {
    return permanent_error("InvalidURI", "Couldn't parse the specified URI.");
  }
  return checked({bucket, *key});
}

Result<ObjectName> s3_copy_source(std::string_view header) {
  const std::size_t question = header.find('?');
  if (question != std::string_view::npos && header.substr(question) != "?versionId=null") {
    return permanent_error("NotImplemented", "Only the present version of a source can be copied.");
  }
  std::string_view path = header.substr(0, question);
  if (path.starts_with('/')) path.remove_prefix(1);
  auto name = split_name(path);
  if (!name || name->bucket.empty() || name->key.empty()) {
    return permanent_error("InvalidArgument",
                           "Copy Source must mention the source bucket and key: sourcebucket/key");
  }
  return name;
}

http::Head with_query_headers(const http::Head& head) {
  constexpr std::array<std::string_view, 7> kOfTheSignature = {
      "x-amz-algorithm", "x-amz-credential",    "x-amz-date",          "x-amz-expires",
      "x-amz-signature", "x-amz-signedheaders", "x-amz-security-token"};
  http::Head filled = head;
  if (head.headers.contains("Authorization") || !wire::sigv4::is_presigned(head.query())) {
    return filled;
  }
  for (const auto& [name, value] : http::parse_query(head.query())) {
    const std::string header = lower(name);
    if (!header.starts_with("x-amz-") || filled.headers.contains(header)) continue;
    if (std::ranges::find(kOfTheSignature, header) != kOfTheSignature.end()) continue;
    filled.headers.set(header, value);
  }
  return filled;
}

}  // namespace isthmus::datastore
