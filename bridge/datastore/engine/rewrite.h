// A file with other metadata than it was imported with: what an update of its image set said,
// written into the data set. Pixel data are not touched, nor read. Runs in isthmus-import-worker.
//
// A request to the worker, one line; the metadata as examine.h has them:
//
//   {"path":"/abs/blob","rewrite":{"patient":{…},"study":{…},"series":{…},"instance":{…},
//    "DICOMVRs":{…}}}
//
// The answer:
//
//   {"ok":true,"same":true}                       the file says all that already
//   {"ok":true,"head":"base64","tail":12345}      the new file is `head`, and the old one from
//   `tail`
//   {"ok":false,"code":"rewrite.unsupported",…}   a deflated data set, values that are not in
//                                                 metadata for their length, or VRs that have no
//                                                 form there
// Or with other pixel data: "transferSyntax" beside "rewrite" (which may be null then: the metadata
// stay) asks for everything but the pixels themselves in Explicit VR, for a file in that syntax.
// The answer:
//
//   {"ok":true,"head":"base64","behind":"base64","pixels":{"tag":2145386512,"vr":"OW",
//    "begin":1234,"end":5678}}
//
//   The new file is `head`, the pixel data element, and `behind`. Where the file's own bytes are
//   the pixels' value they are from `begin` to `end` of it; else these two are absent, and the
//   value is made of decoded frames. Without "pixels" there are none. "rewrite.unsupported", too,
//   for what cannot be described in that syntax.
#pragma once

#include <nlohmann/json.hpp>

#include "base/bytes.h"

namespace isthmus::datastore {

// Does not throw but for want of memory, and json::exception for a request that is none.
nlohmann::json rewrite_file(ByteSource& file, const nlohmann::json& metadata);
nlohmann::json transcode_file(ByteSource& file, const nlohmann::json& metadata,
                              const std::string& transfer_syntax_uid);

}  // namespace isthmus::datastore
