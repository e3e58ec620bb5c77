#include "datastore/engine/dicom_file.h"

#include <dcmtk/dcmdata/dcistrmb.h>
#include <fmt/format.h>

#include <algorithm>

#include "dicom/sop_class.h"

namespace isthmus::datastore {
namespace {

constexpr std::size_t kHeadBytes = 132 + 64 * KiB;  // as much as read_file_head looks at

Result<Bytes> read_head(ByteSource& file) {
  Bytes head(static_cast<std::size_t>(std::min<std::uint64_t>(file.size(), kHeadBytes)));
  std::size_t filled = 0;
  while (filled < head.size()) {
    TRY_ASSIGN(const std::size_t count, file.read(MutableByteSpan(head).subspan(filled)));
    if (count == 0) break;
    filled += count;
  }
  head.resize(filled);
  TRY(file.rewind());
  return head;
}

Result<const dicom::TransferSyntax*> importable_syntax(const std::string& uid) {
  const dicom::TransferSyntax* syntax = dicom::find_transfer_syntax(uid);
  if (syntax != nullptr && syntax->import != dicom::Import::refused) return syntax;
  // Only what has the form of a UID is repeated: it may hold anything.
  return permanent_error("dicom.unsupported_transfer_syntax",
                         Uid::parse(uid) ? fmt::format("Transfer syntax {} is not supported", uid)
                                         : "TransferSyntaxUID is not a valid UID");
}

// The identity that the gateway's receivers see too: one reader decides.
Result<Identity> identity_of(const dicom::Skeleton& skeleton, const dicom::TransferSyntax& syntax) {
  const std::string_view uid = syntax.deflated ? "1.2.840.10008.1.2.1" : syntax.uid;
  const auto probe =
      dicom::make_probe(uid, {.head_bytes = skeleton.bytes.size() + 1, .elements = 1'000'000});
  probe->feed(as_bytes(skeleton.bytes));
  TRY_ASSIGN(const Identity identity, probe->finish());
  if (dicom::sop_class_kind(identity.sop_class_uid.text()) == dicom::SopClassKind::not_storage) {
    return permanent_error("dicom.sop_class_not_supported", "SOPClassUID is not a storage class");
  }
  return identity;
}

}  // namespace

E_TransferSyntax dcmtk_syntax(const dicom::TransferSyntax& syntax) {
  if (syntax.implicit_vr) return EXS_LittleEndianImplicit;
  if (syntax.big_endian) return EXS_BigEndianExplicit;
  // Any encapsulated syntax that it knows: icons in sequences may have fragments, and the newer
  // syntaxes are encoded alike (PS3.5 Annex A.4).
  return syntax.encapsulated ? EXS_JPEGProcess14SV1 : EXS_LittleEndianExplicit;
}

namespace {

// DCMTK's parser sees what the scan has passed, and never a file or pixel data.
Result<void> parse(std::string_view bytes, E_TransferSyntax syntax, DcmDataset& into) {
  DcmInputBufferStream stream;
  stream.setBuffer(bytes.data(), static_cast<offile_off_t>(bytes.size()));
  stream.setEos();
  into.transferInit();
  const OFCondition read = into.read(stream, syntax, EGL_noChange, DCM_MaxReadLength);
  into.transferEnd();
  if (read.good() || bytes.empty()) return {};
  return permanent_error("dicom.unreadable", "The DICOM data set cannot be parsed");
}

}  // namespace

Result<void> read_dicom_file(ByteSource& source, const ExamineLimits& limits, DicomFile& file) {
  TRY_ASSIGN(file.head, read_head(source));
  TRY_ASSIGN(file.meta, dicom::read_file_head(file.head));
  TRY_ASSIGN(file.syntax, importable_syntax(file.meta.transfer_syntax_uid));
  const std::uint64_t offset = file.meta.dataset_offset_bytes;
  const auto dataset = slice_of(source, offset, source.size() - offset);
  TRY_ASSIGN(file.skeleton, dicom::read_skeleton(*dataset, file.syntax->uid,
                                                 {.value_bytes = limits.value_bytes,
                                                  .skeleton_bytes = limits.metadata_bytes}));
  TRY_ASSIGN(file.identity, identity_of(file.skeleton, *file.syntax));
  TRY(parse(file.skeleton.bytes, dcmtk_syntax(*file.syntax), file.dataset));
  // Group 2 has been read by its tags above; in Implicit VR, as some write it, there is no VR here.
  const std::string_view group =
      as_text(ByteSpan(file.head)).substr(132, static_cast<std::size_t>(offset) - 132);
  const bool explicit_vr = group.size() > 5 && group[4] >= 'A' && group[5] >= 'A';
  return parse(group, explicit_vr ? EXS_LittleEndianExplicit : EXS_LittleEndianImplicit,
               file.file_meta);
}

}  // namespace isthmus::datastore
