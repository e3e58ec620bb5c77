// Metadata in JSON or XML, and the bulk data that they name (PS3.18 section 8.6.1.2.4): kept in a
// scratch file until all parts are there, then put together one instance after the other.
#include "api/stow/parts.h"
#include "api/stow/scratch.h"
#include "wire/dicom_encode.h"

namespace isthmus::api::stow {
namespace {

using wire::DicomObject;

constexpr std::uint32_t kSopClassUid = 0x00080016;
constexpr std::uint32_t kSopInstanceUid = 0x00080018;

struct Piece {
  std::uint64_t offset = 0;
  std::uint64_t size_bytes = 0;
  wire::MediaType media;
  std::string location;
};

class MetadataParts : public Parts {
 public:
  MetadataParts(Core& core, Instances& instances, BodyKind kind)
      : core_(core),
        instances_(instances),
        metadata_type_(kind == BodyKind::json ? "application/dicom+json" : "application/dicom+xml"),
        scratch_(core.env, core.admission, core.options.scratch_directory) {}

  Result<void> begin_part(const http::Headers& headers) override {
    // The first part is metadata even when it does not say so.
    const std::string_view otherwise =
        metadata_.empty() ? metadata_type_ : "application/octet-stream";
    auto media = wire::parse_media_type(headers.get("Content-Type", otherwise));
    if (!media) return permanent_error("api.bad_part", "A part's Content-Type cannot be read.");
    piece_ =
        Piece{scratch_.size(), 0, *std::move(media), std::string(headers.get("Content-Location"))};
    return {};
  }
  Result<void> part_bytes(ByteSpan bytes) override {
    piece_.size_bytes += bytes.size();
    if (is_metadata() && piece_.size_bytes > core_.options.max_metadata_bytes) {
      return permanent_error("api.too_large", "A part of metadata is larger than allowed here.");
    }
    return scratch_.append(bytes);
  }
  Result<void> end_part() override {
    (is_metadata() ? metadata_ : bulk_).push_back(std::move(piece_));
    return {};
  }

  Result<void> finish() override {
    for (const Piece& piece : metadata_) {
      auto objects = read(piece);
      if (!objects.ok()) {
        if (objects.error().fate != Fate::permanent) return objects.error();
        instances_.refuse(objects.error(), piece.size_bytes);
        continue;
      }
      for (DicomObject& object : *objects) store(object);
    }
    return {};
  }

 private:
  bool is_metadata() const { return piece_.media.type == metadata_type_; }

  Result<std::vector<DicomObject>> read(const Piece& piece) const {
    std::string text;
    TRY(scratch_.read(piece.offset, piece.size_bytes, [&text](ByteSpan bytes) -> Result<void> {
      text += as_text(bytes);
      return {};
    }));
    if (metadata_type_ == "application/dicom+json") return wire::parse_dicom_json(text);
    std::vector<DicomObject> one(1);
    TRY_ASSIGN(one.front(), wire::parse_native_dicom(text));
    return one;
  }

  void store(DicomObject& object) {
    const bool coerced = wire::say_utf8(object);
    InstanceIntake intake = instances_.begin();
    if (auto written = write(object, intake); !written.ok()) {
      return instances_.refuse(written.error(), intake.received_bytes() + 1,
                               object.text(kSopClassUid), object.text(kSopInstanceUid));
    }
    instances_.conclude(intake, coerced ? std::optional(kCoerced) : std::nullopt);
  }

  Result<void> write(const DicomObject& object, InstanceIntake& intake) const {
    std::vector<wire::BulkPart> bulk;
    for (const Piece& piece : bulk_) {
      bulk.push_back({piece.media, piece.location, piece.size_bytes,
                      [this, &piece](const wire::BytesSink& sink) {
                        return scratch_.read(piece.offset, piece.size_bytes, sink);
                      }});
    }
    dicom::FileMeta meta;
    TRY_ASSIGN(meta.transfer_syntax_uid, wire::assembled_transfer_syntax(object, bulk));
    for (const std::uint32_t tag : {kSopClassUid, kSopInstanceUid}) {
      if (!Uid::parse(object.text(tag))) continue;  // what is missing is told by the probe
      std::string& into = tag == kSopClassUid ? meta.media_storage_sop_class_uid
                                              : meta.media_storage_sop_instance_uid;
      into = std::string(object.text(tag));
    }
    intake.dataset_follows(meta);
    return wire::encode(object, wire::bulk_among(bulk), [&intake](ByteSpan bytes) -> Result<void> {
      intake.append(bytes);
      return {};
    });
  }

  Core& core_;
  Instances& instances_;
  const std::string_view metadata_type_;
  Scratch scratch_;
  Piece piece_;  // that is being received
  std::vector<Piece> metadata_;
  std::vector<Piece> bulk_;
};

}  // namespace

std::unique_ptr<Parts> make_metadata_parts(Core& core, Instances& instances, BodyKind kind) {
  return std::make_unique<MetadataParts>(core, instances, kind);
}

}  // namespace isthmus::api::stow
