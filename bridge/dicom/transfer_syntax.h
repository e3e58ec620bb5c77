// The transfer syntaxes we know: how a data set is encoded in each, whether it may have lost
// something, and what an import into HealthImaging does with it.
#pragma once

#include <span>
#include <string_view>

namespace isthmus::dicom {

// What an import job does with pixel data of a syntax
// (contracts/healthimaging/transfer-syntaxes.json).
enum class Import {
  refused,     // not in the service's list
  transcoded,  // to the data store's own lossless format
  kept,        // stored as imported
  kept_if_binary_segmentation,
};

struct TransferSyntax {
  std::string_view uid;
  std::string_view name;  // PS3.6 Table A-1
  bool implicit_vr = false;
  bool big_endian = false;
  bool deflated = false;      // the data set as a whole
  bool encapsulated = false;  // pixel data in fragments
  bool lossy = false;         // may have lost information (standards/01-storage-scp.md section 1.4)
  bool jpip = false;          // the pixel data stay on the peer's server: never accepted
  Import import = Import::refused;
  // Content-Type of GetImageFrame when this is the *stored* syntax; empty when it never is.
  std::string_view frame_content_type;
};

// In the order of their UIDs' publication.
std::span<const TransferSyntax> known_transfer_syntaxes();

// Without padding. Null when unknown.
const TransferSyntax* find_transfer_syntax(std::string_view uid);

// Unknown ones, private or of tomorrow, are Explicit VR Little Endian with encapsulated pixel data
// (PS3.5 Annex A.4).
const TransferSyntax& transfer_syntax_or_default(std::string_view uid);

}  // namespace isthmus::dicom
