#include "datastore/api/stow_assembly.h"

#include <algorithm>

#include "base/ids.h"
#include "dicom/part10.h"

namespace isthmus::datastore {
namespace {

constexpr std::string_view kMetadataType = "application/dicom+json";
constexpr std::size_t kMostMetadataBytes = 16 * MiB;
constexpr std::size_t kMostBulkParts = 5000;
constexpr std::uint32_t kSopClassUid = 0x00080016;
constexpr std::uint32_t kSopInstanceUid = 0x00080018;

Error invalid(std::string message) {
  return permanent_error("ValidationException", std::move(message));
}

// What is no UID is told by whoever examines the file.
std::string uid_in(const wire::DicomObject& object, std::uint32_t tag) {
  const std::string text(object.text(tag));
  return Uid::parse(text) ? text : std::string();
}

}  // namespace

Result<void> StowAssembly::begin_part(const http::Headers& headers) {
  // The first part is metadata even when it does not say so.
  const std::string_view otherwise = metadata_ ? "application/octet-stream" : kMetadataType;
  auto media = wire::parse_media_type(headers.get("Content-Type", otherwise));
  if (!media) return invalid("A part's Content-Type cannot be read.");
  in_metadata_ = media->type == kMetadataType;
  if (in_metadata_) {
    if (metadata_) return invalid("The metadata of all instances are one part.");
    metadata_.emplace();
    return {};
  }
  if (bulk_.size() >= kMostBulkParts) return invalid("There are too many parts.");
  if (!scratch_) {
    TRY_ASSIGN(scratch_, blobs_.scratch());
  }
  bulk_.push_back(
      {*std::move(media), std::string(headers.get("Content-Location")), scratch_size_, 0});
  return {};
}

Result<void> StowAssembly::part_bytes(ByteSpan bytes) {
  if (in_metadata_) {
    if (metadata_->size() + bytes.size() > kMostMetadataBytes) {
      return permanent_error("RequestEntityTooLargeException", "The metadata are too large.");
    }
    metadata_->append(as_text(bytes));
    return {};
  }
  TRY(scratch_->append(bytes));
  scratch_size_ += bytes.size();
  bulk_.back().size_bytes += bytes.size();
  return {};
}

Result<void> StowAssembly::end_part() {
  return {};
}

Result<std::vector<AssembledInstance>> StowAssembly::instances() {
  if (!metadata_) return invalid("There is no part of metadata.");
  Result<std::vector<wire::DicomObject>> objects = wire::parse_dicom_json(*metadata_);
  if (!objects) return invalid(objects.error().message);
  const std::vector<wire::BulkPart> bulk = bulk_parts();
  std::vector<AssembledInstance> instances;
  for (wire::DicomObject& object : *objects) {
    AssembledInstance& instance = instances.emplace_back();
    instance.sop_class_uid = uid_in(object, kSopClassUid);
    instance.sop_instance_uid = uid_in(object, kSopInstanceUid);
    Result<BlobPin> file = assemble(object, bulk);
    if (file) {
      instance.file = std::move(*file);
    } else if (file.error().fate == Fate::permanent) {
      instance.refusal = file.error().message;
    } else {
      return file.error();
    }
  }
  return instances;
}

std::vector<wire::BulkPart> StowAssembly::bulk_parts() {
  std::vector<wire::BulkPart> parts;
  for (const Piece& piece : bulk_) {
    parts.push_back({piece.media, piece.location, piece.size_bytes,
                     [this, &piece](const wire::BytesSink& sink) { return read(piece, sink); }});
  }
  return parts;
}

Result<BlobPin> StowAssembly::assemble(wire::DicomObject& object,
                                       std::span<const wire::BulkPart> bulk) {
  wire::say_utf8(object);
  dicom::FileMeta meta;
  TRY_ASSIGN(meta.transfer_syntax_uid, wire::assembled_transfer_syntax(object, bulk));
  meta.media_storage_sop_class_uid = uid_in(object, kSopClassUid);
  meta.media_storage_sop_instance_uid = uid_in(object, kSopInstanceUid);
  TRY_ASSIGN(const std::unique_ptr<BlobWriter> blob, blobs_.begin());
  TRY(blob->append(dicom::make_file_header(meta)));
  TRY(wire::encode(object, wire::bulk_among(bulk),
                   [&](ByteSpan bytes) { return blob->append(bytes); }));
  return blob->finish();
}

Result<void> StowAssembly::read(const Piece& piece, const wire::BytesSink& sink) {
  Bytes buffer(static_cast<std::size_t>(std::min<std::uint64_t>(piece.size_bytes, 256 * KiB)));
  for (std::uint64_t done = 0; done < piece.size_bytes;) {
    const auto wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), piece.size_bytes - done));
    TRY_ASSIGN(const std::size_t count,
               scratch_->read_at(piece.offset + done, MutableByteSpan(buffer).first(wanted)));
    if (count == 0) return transient_error("disk.io", "Bulk data cannot be read again.");
    TRY(sink(ByteSpan(buffer).first(count)));
    done += count;
  }
  return {};
}

}  // namespace isthmus::datastore
