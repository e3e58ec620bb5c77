// One frame, made into what a reader asked for. Runs in isthmus-import-worker: decoders that others
// wrote read a stranger's code streams here.
//
// A request to the worker, one line; description and record as the catalogue has them
// (pixel_layout.h), so that the instance is not parsed again:
//
//   {"path":"/abs/blob","datasetOffset":1024,"render":"HTJ2K","description":{…},"record":{…}}
//
// "render" is HTJ2K, JPEG_2000_LOSSLESS, or native: plain pixels, little endian, colour by pixel
// (one-bit pixels stay packed). The answer:
//
//   {"ok":true,"bytes":"base64"}
//   {"ok":false,"code":"pixels.broken","message":"…"}     also pixels.unsupported, pixels.too_large
#pragma once

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/env.h"

namespace isthmus::datastore {

// `file` is the whole instance. Does not throw but for want of memory.
nlohmann::json render_frame(std::unique_ptr<File> file, const nlohmann::json& request);

}  // namespace isthmus::datastore
