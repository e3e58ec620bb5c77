// Metadata in JSON or XML, and the bulk data that they name (PS3.18 section 8.6.1.2.4): kept in a
// scratch file until all parts are there, then put together one instance after the other.
#include <algorithm>
#include <array>

#include "api/stow/encode.h"
#include "api/stow/parts.h"
#include "api/stow/scratch.h"

namespace isthmus::api::stow {
namespace {

using wire::DicomObject;

constexpr std::uint32_t kCharacterSet = 0x00080005;
constexpr std::uint32_t kSopClassUid = 0x00080016;
constexpr std::uint32_t kSopInstanceUid = 0x00080018;
constexpr std::uint32_t kNumberOfFrames = 0x00280008;
constexpr std::uint32_t kPixelData = 0x7FE00010;
constexpr std::string_view kExplicitLittleEndian = "1.2.840.10008.1.2.1";
constexpr std::string_view kUtf8 = "ISO_IR 192";

// Image media types and the transfer syntax that they mean when no parameter names one (PS3.18
// section 8.7.3.3). A JPEG must name its own: the default, lossless, would be a lie for the many
// that are baseline.
struct Compressed {
  std::string_view media_type;
  std::string_view transfer_syntax;
};
constexpr std::array kCompressed{
    Compressed{"image/jpeg", ""},
    Compressed{"image/jls", "1.2.840.10008.1.2.4.80"},
    Compressed{"image/jp2", "1.2.840.10008.1.2.4.90"},
    Compressed{"image/jpx", "1.2.840.10008.1.2.4.92"},
    Compressed{"image/jphc", "1.2.840.10008.1.2.4.201"},
    Compressed{"image/jxl", "1.2.840.10008.1.2.4.110"},
    Compressed{"image/dicom-rle", "1.2.840.10008.1.2.5"},
    Compressed{"video/mpeg2", "1.2.840.10008.1.2.4.100"},
    Compressed{"video/mp4", "1.2.840.10008.1.2.4.102"},
    Compressed{"video/h265", "1.2.840.10008.1.2.4.107"},
};

// What decoders need, and a code stream alone does not say in DICOM's terms: photometric
// interpretation, rows, columns, samples, bits allocated, bits stored, high bit, representation.
constexpr std::array<std::uint32_t, 8> kPixelDescription{
    0x00280002, 0x00280004, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102, 0x00280103};

struct Piece {
  std::uint64_t offset = 0;
  std::uint64_t size_bytes = 0;
  wire::MediaType media;
  std::string location;
};

Error unsupported(const char* what) {
  return permanent_error("stow.bulk_unsupported", what);
}

bool has_text_beyond_ascii(const DicomObject& object) {
  const auto beyond = [](const std::string& text) {
    return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) > 0x7F; });
  };
  return std::ranges::any_of(object.attributes, [&](const wire::DicomAttribute& attribute) {
    return std::ranges::any_of(attribute.values, beyond) ||
           std::ranges::any_of(attribute.items, has_text_beyond_ascii);
  });
}

// The text came in UTF-8: a data set that says otherwise would be read wrongly. True: changed.
bool say_utf8(DicomObject& object) {
  if (object.text(kCharacterSet) == kUtf8 || !has_text_beyond_ascii(object)) return false;
  std::erase_if(object.attributes, [](const auto& one) { return one.tag == kCharacterSet; });
  wire::DicomAttribute character_set;
  character_set.tag = kCharacterSet;
  character_set.vr = "CS";
  character_set.values = {std::string(kUtf8)};
  const auto place =
      std::ranges::lower_bound(object.attributes, kCharacterSet, {}, &wire::DicomAttribute::tag);
  object.attributes.insert(place, std::move(character_set));
  return true;
}

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
    const bool coerced = say_utf8(object);
    InstanceIntake intake = instances_.begin();
    if (auto written = write(object, intake); !written.ok()) {
      return instances_.refuse(written.error(), intake.received_bytes() + 1,
                               object.text(kSopClassUid), object.text(kSopInstanceUid));
    }
    instances_.conclude(intake, coerced ? std::optional(kCoerced) : std::nullopt);
  }

  Result<void> write(const DicomObject& object, InstanceIntake& intake) const {
    dicom::FileMeta meta;
    TRY_ASSIGN(meta.transfer_syntax_uid, transfer_syntax(object));
    for (const std::uint32_t tag : {kSopClassUid, kSopInstanceUid}) {
      if (!Uid::parse(object.text(tag))) continue;  // what is missing is told by the probe
      std::string& into = tag == kSopClassUid ? meta.media_storage_sop_class_uid
                                              : meta.media_storage_sop_instance_uid;
      into = std::string(object.text(tag));
    }
    intake.dataset_follows(meta);
    const FindBulk find = [this](const std::string& uri, std::uint32_t tag, bool top_level) {
      return find_bulk(uri, tag, top_level);
    };
    return encode(object, find, [&intake](ByteSpan bytes) -> Result<void> {
      intake.append(bytes);
      return {};
    });
  }

  const Piece* find_piece(const std::string& uri) const {
    const auto found = std::ranges::find(bulk_, uri, &Piece::location);
    return found == bulk_.end() ? nullptr : &*found;
  }

  static const Compressed* compression_of(const Piece& piece) {
    const auto found = std::ranges::find(kCompressed, piece.media.type, &Compressed::media_type);
    return found == kCompressed.end() ? nullptr : &*found;
  }

  // Of the pixel data's part; everything else is Explicit VR Little Endian.
  Result<std::string> transfer_syntax(const DicomObject& object) const {
    const wire::DicomAttribute* pixels = object.find(kPixelData);
    const Piece* piece = pixels == nullptr ? nullptr : find_piece(pixels->bulk_uri);
    const Compressed* compressed = piece == nullptr ? nullptr : compression_of(*piece);
    if (compressed == nullptr) return std::string(kExplicitLittleEndian);
    const std::string syntax(
        piece->media.parameter("transfer-syntax", compressed->transfer_syntax));
    if (syntax.empty()) return unsupported("A compressed image must name its transfer-syntax.");
    const bool described = std::ranges::all_of(
        kPixelDescription, [&](std::uint32_t tag) { return !object.text(tag).empty(); });
    if (!described) return unsupported("The metadata do not describe the pixels.");
    const std::string_view frames = object.text(kNumberOfFrames);
    const bool one_stream =
        frames.empty() || frames == "1" || compressed->media_type.starts_with("video/");
    if (!one_stream) return unsupported("Several compressed frames must come as a Part 10 file.");
    return syntax;
  }

  Result<Bulk> find_bulk(const std::string& uri, std::uint32_t tag, bool top_level) const {
    const Piece* piece = find_piece(uri);
    if (piece == nullptr) {
      return permanent_error("stow.missing_bulk_data",
                             "No part has the Content-Location of a BulkDataURI.");
    }
    const bool encapsulated = compression_of(*piece) != nullptr;
    if (encapsulated && (tag != kPixelData || !top_level)) {
      return unsupported("Only the pixel data of an instance may be compressed.");
    }
    return Bulk{piece->size_bytes,
                [this, piece](const BytesSink& sink) {
                  return scratch_.read(piece->offset, piece->size_bytes, sink);
                },
                encapsulated};
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
