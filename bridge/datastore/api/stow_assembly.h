// A Store request's body of metadata in DICOM JSON and the bulk data that they name (PS3.18 section
// 8.6.1.2.4), put together to Part 10 files: what Google's stores take beside files
// (contracts/google-healthcare section 6).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "datastore/engine/blobs.h"
#include "wire/dicom_encode.h"
#include "wire/multipart.h"

namespace isthmus::datastore {

struct AssembledInstance {
  std::string sop_class_uid;  // as the metadata say, for the answer
  std::string sop_instance_uid;
  std::optional<BlobPin> file;  // or
  std::string refusal;          // why there is none; without values of the metadata
};

// Bulk data lie in a file without a name until the instances are put together; metadata are in
// memory, up to 16 MiB. One thread.
class StowAssembly : public wire::PartSink {
 public:
  explicit StowAssembly(Blobs& blobs) : blobs_(blobs) {}

  // "ValidationException", "RequestEntityTooLargeException" (permanent), those of blobs.
  Result<void> begin_part(const http::Headers& headers) override;
  Result<void> part_bytes(ByteSpan bytes) override;
  Result<void> end_part() override;

  // After the last part: every instance of the metadata. "ValidationException" when they cannot be
  // read.
  Result<std::vector<AssembledInstance>> instances();

 private:
  struct Piece {
    wire::MediaType media;
    std::string location;
    std::uint64_t offset = 0;
    std::uint64_t size_bytes = 0;
  };
  std::vector<wire::BulkPart> bulk_parts();
  Result<BlobPin> assemble(wire::DicomObject& object, std::span<const wire::BulkPart> bulk);
  Result<void> read(const Piece& piece, const wire::BytesSink& sink);

  Blobs& blobs_;
  std::optional<std::string> metadata_;
  bool in_metadata_ = false;
  std::unique_ptr<File> scratch_;
  std::uint64_t scratch_size_ = 0;
  std::vector<Piece> bulk_;
};

}  // namespace isthmus::datastore
