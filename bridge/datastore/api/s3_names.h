// What an S3 request is for: its bucket and key, by path (/bucket/key) or by host
// (bucket.<virtual host>/key), and the source of a copy. Any thread.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "datastore/engine/objects.h"
#include "http/http.h"

namespace isthmus::datastore {

// Decoded; either may be empty. `virtual_hosts` are names below which a bucket's name is a host's.
// "InvalidURI", "InvalidBucketName", "KeyTooLongError" (permanent).
Result<ObjectName> s3_name_of(const http::Head& head, std::span<const std::string> virtual_hosts);

// Of x-amz-copy-source: "/bucket/key" or "bucket/key", percent-encoded, perhaps "?versionId=null".
// "InvalidArgument", "NotImplemented" (another version) (permanent).
Result<ObjectName> s3_copy_source(std::string_view header);

// A presigned URL carries in its query what else are headers (x-amz-meta-…, x-amz-content-sha256):
// the request with these as headers. One that is not presigned stays as it is.
http::Head with_query_headers(const http::Head& head);

}  // namespace isthmus::datastore
