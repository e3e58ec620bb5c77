#include "dicom/transfer_syntax.h"

#include <algorithm>
#include <array>

namespace isthmus::dicom {
namespace {

enum Flags : unsigned {
  kImplicit = 1,
  kBigEndian = 2,
  kDeflated = 4,
  kEncapsulated = 8,
  kLossy = 16,
  kJpip = 32,
};

constexpr TransferSyntax entry(std::string_view uid, std::string_view name, unsigned flags,
                               Import import, std::string_view frame_content_type) {
  return {.uid = uid,
          .name = name,
          .implicit_vr = (flags & kImplicit) != 0,
          .big_endian = (flags & kBigEndian) != 0,
          .deflated = (flags & kDeflated) != 0,
          .encapsulated = (flags & kEncapsulated) != 0,
          .lossy = (flags & kLossy) != 0,
          .jpip = (flags & kJpip) != 0,
          .import = import,
          .frame_content_type = frame_content_type};
}

// PS3.6 Table A-1 (with the retired ones, and one private that is common); the imports by
// contracts/healthimaging/transfer-syntaxes.json. "video/H256" is spelled so by the service model.
constexpr std::array kKnown{
    entry("1.2.840.10008.1.2", "Implicit VR Little Endian", kImplicit, Import::transcoded, ""),
    entry("1.2.840.10008.1.2.1", "Explicit VR Little Endian", 0,
          Import::kept_if_binary_segmentation, "application/octet-stream"),
    entry("1.2.840.10008.1.2.1.98", "Encapsulated Uncompressed Explicit VR Little Endian",
          kEncapsulated, Import::refused, ""),
    entry("1.2.840.10008.1.2.1.99", "Deflated Explicit VR Little Endian", kDeflated,
          Import::transcoded, ""),
    entry("1.2.840.10008.1.2.2", "Explicit VR Big Endian", kBigEndian, Import::transcoded, ""),
    entry("1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)", kEncapsulated | kLossy,
          Import::kept, "image/jpeg"),
    entry("1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 & 4)", kEncapsulated | kLossy,
          Import::transcoded, ""),
    entry("1.2.840.10008.1.2.4.52", "JPEG Extended (Process 3 & 5)", kEncapsulated | kLossy,
          Import::refused, ""),
    entry("1.2.840.10008.1.2.4.53", "JPEG Spectral Selection, Non-Hierarchical (Process 6 & 8)",
          kEncapsulated | kLossy, Import::refused, ""),
    entry("1.2.840.10008.1.2.4.54", "JPEG Spectral Selection, Non-Hierarchical (Process 7 & 9)",
          kEncapsulated | kLossy, Import::refused, ""),
    entry("1.2.840.10008.1.2.4.55", "JPEG Full Progression, Non-Hierarchical (Process 10 & 12)",
          kEncapsulated | kLossy, Import::refused, ""),
    entry("1.2.840.10008.1.2.4.56", "JPEG Full Progression, Non-Hierarchical (Process 11 & 13)",
          kEncapsulated | kLossy, Import::refused, ""),
    entry("1.2.840.10008.1.2.4.57", "JPEG Lossless, Non-Hierarchical (Process 14)", kEncapsulated,
          Import::transcoded, ""),
    entry("1.2.840.10008.1.2.4.58", "JPEG Lossless, Non-Hierarchical (Process 15)", kEncapsulated,
          Import::refused, ""),
    entry("1.2.840.10008.1.2.4.59", "JPEG Extended, Hierarchical (Process 16 & 18)",
          kEncapsulated | kLossy, Import::refused, ""),
    entry("1.2.840.10008.1.2.4.60", "JPEG Extended, Hierarchical (Process 17 & 19)",
          kEncapsulated | kLossy, Import::refused, ""),
    entry("1.2.840.10008.1.2.4.61", "JPEG Spectral Selection, Hierarchical (Process 20 & 22)",
          kEncapsulated | kLossy, Import::refused, ""),
    entry("1.2.840.10008.1.2.4.62", "JPEG Spectral Selection, Hierarchical (Process 21 & 23)",
          kEncapsulated | kLossy, Import::refused, ""),
    entry("1.2.840.10008.1.2.4.63", "JPEG Full Progression, Hierarchical (Process 24 & 26)",
          kEncapsulated | kLossy, Import::refused, ""),
    entry("1.2.840.10008.1.2.4.64", "JPEG Full Progression, Hierarchical (Process 25 & 27)",
          kEncapsulated | kLossy, Import::refused, ""),
    entry("1.2.840.10008.1.2.4.65", "JPEG Lossless, Hierarchical (Process 28)", kEncapsulated,
          Import::refused, ""),
    entry("1.2.840.10008.1.2.4.66", "JPEG Lossless, Hierarchical (Process 29)", kEncapsulated,
          Import::refused, ""),
    entry("1.2.840.10008.1.2.4.70", "JPEG Lossless, Non-Hierarchical, First-Order Prediction",
          kEncapsulated, Import::transcoded, ""),
    entry("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless", kEncapsulated, Import::transcoded, ""),
    entry("1.2.840.10008.1.2.4.81", "JPEG-LS Near-Lossless", kEncapsulated | kLossy,
          Import::transcoded, ""),
    entry("1.2.840.10008.1.2.4.90", "JPEG 2000 Lossless Only", kEncapsulated, Import::transcoded,
          ""),
    entry("1.2.840.10008.1.2.4.91", "JPEG 2000", kEncapsulated | kLossy, Import::kept, "image/j2c"),
    entry("1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2 Multi-component Lossless Only", kEncapsulated,
          Import::transcoded, ""),
    entry("1.2.840.10008.1.2.4.93", "JPEG 2000 Part 2 Multi-component", kEncapsulated | kLossy,
          Import::transcoded, ""),
    entry("1.2.840.10008.1.2.4.94", "JPIP Referenced", kJpip, Import::refused, ""),
    entry("1.2.840.10008.1.2.4.95", "JPIP Referenced Deflate", kJpip | kDeflated, Import::refused,
          ""),
    entry("1.2.840.10008.1.2.4.100", "MPEG2 Main Profile / Main Level", kEncapsulated | kLossy,
          Import::kept, "video/mpeg"),
    entry("1.2.840.10008.1.2.4.100.1", "Fragmentable MPEG2 Main Profile / Main Level",
          kEncapsulated | kLossy, Import::kept, "video/mpeg"),
    entry("1.2.840.10008.1.2.4.101", "MPEG2 Main Profile / High Level", kEncapsulated | kLossy,
          Import::kept, "video/mpeg"),
    entry("1.2.840.10008.1.2.4.101.1", "Fragmentable MPEG2 Main Profile / High Level",
          kEncapsulated | kLossy, Import::kept, "video/mpeg"),
    entry("1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1",
          kEncapsulated | kLossy, Import::kept, "video/mp4"),
    entry("1.2.840.10008.1.2.4.102.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1",
          kEncapsulated | kLossy, Import::kept, "video/mp4"),
    entry("1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1",
          kEncapsulated | kLossy, Import::kept, "video/mp4"),
    entry("1.2.840.10008.1.2.4.103.1",
          "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1",
          kEncapsulated | kLossy, Import::kept, "video/mp4"),
    entry("1.2.840.10008.1.2.4.104", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video",
          kEncapsulated | kLossy, Import::kept, "video/mp4"),
    entry("1.2.840.10008.1.2.4.104.1",
          "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video",
          kEncapsulated | kLossy, Import::kept, "video/mp4"),
    entry("1.2.840.10008.1.2.4.105", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video",
          kEncapsulated | kLossy, Import::kept, "video/mp4"),
    entry("1.2.840.10008.1.2.4.105.1",
          "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video",
          kEncapsulated | kLossy, Import::kept, "video/mp4"),
    entry("1.2.840.10008.1.2.4.106", "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2",
          kEncapsulated | kLossy, Import::kept, "video/mp4"),
    entry("1.2.840.10008.1.2.4.106.1",
          "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", kEncapsulated | kLossy,
          Import::kept, "video/mp4"),
    entry("1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile / Level 5.1", kEncapsulated | kLossy,
          Import::kept, "video/H256"),
    entry("1.2.840.10008.1.2.4.108", "HEVC/H.265 Main 10 Profile / Level 5.1",
          kEncapsulated | kLossy, Import::kept, "video/H256"),
    entry("1.2.840.10008.1.2.4.110", "JPEG XL Lossless", kEncapsulated, Import::refused, ""),
    entry("1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression", kEncapsulated | kLossy,
          Import::refused, ""),
    entry("1.2.840.10008.1.2.4.112", "JPEG XL", kEncapsulated | kLossy, Import::kept, "image/jxl"),
    entry("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 Lossless Only", kEncapsulated,
          Import::transcoded, ""),
    entry("1.2.840.10008.1.2.4.202", "High-Throughput JPEG 2000 with RPCL Options Lossless Only",
          kEncapsulated, Import::transcoded, "image/jph"),
    entry("1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000", kEncapsulated | kLossy,
          Import::kept, "image/jphc"),
    entry("1.2.840.10008.1.2.4.204", "JPIP HTJ2K Referenced", kJpip, Import::refused, ""),
    entry("1.2.840.10008.1.2.4.205", "JPIP HTJ2K Referenced Deflate", kJpip | kDeflated,
          Import::refused, ""),
    entry("1.2.840.10008.1.2.5", "RLE Lossless", kEncapsulated, Import::transcoded, ""),
    entry("1.2.840.10008.1.2.6.1", "RFC 2557 MIME Encapsulation", 0, Import::refused, ""),
    entry("1.2.840.10008.1.2.6.2", "XML Encoding", 0, Import::refused, ""),
    entry("1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression", kEncapsulated,
          Import::refused, ""),
    entry("1.2.840.10008.1.20", "Papyrus 3 Implicit VR Little Endian", kImplicit, Import::refused,
          ""),
    entry("1.2.840.113619.5.2", "Private GE Implicit VR Little Endian, Big Endian Pixel Data",
          kImplicit, Import::refused, ""),
};

constexpr TransferSyntax kUnknown = entry("", "unknown", kEncapsulated, Import::refused, "");

}  // namespace

std::span<const TransferSyntax> known_transfer_syntaxes() {
  return kKnown;
}

const TransferSyntax* find_transfer_syntax(std::string_view uid) {
  const auto found =
      std::find_if(kKnown.begin(), kKnown.end(),
                   [uid](const TransferSyntax& syntax) { return syntax.uid == uid; });
  return found == kKnown.end() ? nullptr : &*found;
}

const TransferSyntax& transfer_syntax_or_default(std::string_view uid) {
  const TransferSyntax* known = find_transfer_syntax(uid);
  return known != nullptr ? *known : kUnknown;
}

}  // namespace isthmus::dicom
