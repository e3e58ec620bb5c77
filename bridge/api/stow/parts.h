// What a request's parts become: instances. One kind for each kind of body. Private to api/stow.
#pragma once

#include <memory>

#include "api/stow/instances.h"
#include "wire/multipart.h"

namespace isthmus::api::stow {

class Parts : public wire::PartSink {
 public:
  // After the last part of a body that was whole.
  virtual Result<void> finish() = 0;
};

// Part 10 files, one a part, straight into the spool. A part without a type is one too.
std::unique_ptr<Parts> make_file_parts(Instances& instances);
// Metadata and bulk data, which are put together when all are there.
std::unique_ptr<Parts> make_metadata_parts(Core& core, Instances& instances, BodyKind kind);

}  // namespace isthmus::api::stow
