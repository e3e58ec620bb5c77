#include "fuzz/dcmtk_reading.h"

#include <dcmtk/config/osconfig.h>

#include <dcmtk/dcmdata/dcistrmb.h>
#include <dcmtk/dcmdata/dcostrmb.h>
#include <dcmtk/dcmdata/dctk.h>

#include <algorithm>
#include <optional>
#include <string>

#include "dicom/transfer_syntax.h"
#include "fuzz/fuzz.h"

namespace isthmus::fuzz {
namespace {

constexpr std::size_t kMaxItemTags = 60;    // fewer than the nesting our own limit allows
constexpr std::size_t kMaxBytes = 4 * KiB;  // DCMTK is slow, and not instrumented

// Each level of nesting needs an item, so that there are never more levels than item tags.
bool could_nest_deep(ByteSpan bytes) {
  constexpr std::string_view kLittle("\xFE\xFF\x00\xE0", 4);
  constexpr std::string_view kBig("\xFF\xFE\xE0\x00", 4);
  std::size_t count = 0;
  for (const std::string_view tag : {kLittle, kBig}) {
    const std::string_view text = as_text(bytes);
    for (auto at = text.find(tag); at != text.npos; at = text.find(tag, at + 1)) ++count;
  }
  return count > kMaxItemTags;
}

// Reads to the end without an error.
bool read_whole(DcmDataset& dataset, ByteSpan bytes, E_TransferSyntax syntax) {
  DcmInputBufferStream stream;
  stream.setBuffer(bytes.data(), static_cast<offile_off_t>(bytes.size()));
  stream.setEos();
  dataset.transferInit();
  const OFCondition read = dataset.read(stream, syntax, EGL_noChange);
  dataset.transferEnd();
  return read.good() && stream.eos();
}

// Gives the same bytes again, lengths defined or not as they were read.
bool writes_the_same(DcmDataset& dataset, ByteSpan bytes, E_TransferSyntax syntax) {
  for (const E_EncodingType lengths : {EET_ExplicitLength, EET_UndefinedLength}) {
    Bytes written(bytes.size() + 64);
    DcmOutputBufferStream stream(written.data(), static_cast<offile_off_t>(written.size()));
    dataset.transferInit();
    const OFCondition wrote =
        dataset.write(stream, syntax, lengths, nullptr, EGL_noChange, EPD_noChange);
    dataset.transferEnd();
    void* begin = nullptr;
    offile_off_t length = 0;
    stream.flushBuffer(begin, length);
    if (wrote.bad() || static_cast<std::size_t>(length) != bytes.size()) continue;
    if (std::equal(bytes.begin(), bytes.end(), written.begin())) return true;
  }
  return false;
}

// What DCMTK has as the UID of the tag; nothing when to it that is no UID.
std::optional<std::string> uid_of(DcmDataset& dataset, const DcmTagKey& tag) {
  DcmElement* element = nullptr;
  if (dataset.findAndGetElement(tag, element).bad() || element->ident() != EVR_UI) return {};
  OFString value;
  if (element->getOFStringArray(value).bad()) return {};
  while (!value.empty() && (value.back() == ' ' || value.back() == '\0')) value.pop_back();
  while (!value.empty() && value.front() == ' ') value.erase(0, 1);
  return std::string(value.c_str(), value.size());
}

std::uint64_t objects_of(DcmDataset& dataset) {
  DcmStack stack;
  std::uint64_t count = 0;
  while (dataset.nextObject(stack, OFTrue).good()) ++count;
  return count;
}

E_TransferSyntax syntax_of(std::string_view uid) {
  return DcmXfer(std::string(uid).c_str()).getXfer();
}

}  // namespace

void silence_dcmtk() {
  static const bool silent = [] {
    OFLog::configure(OFLogger::OFF_LOG_LEVEL);
    return true;
  }();
  (void)silent;
}

void check_against_dcmtk(ByteSpan bytes, std::string_view transfer_syntax_uid,
                         const Result<dicom::ScanReport>& scan, const Result<Identity>& identity) {
  silence_dcmtk();
  if (bytes.empty() || bytes.size() > kMaxBytes || could_nest_deep(bytes)) return;
  const E_TransferSyntax syntax = syntax_of(transfer_syntax_uid);
  DcmDataset dataset;
  if (!read_whole(dataset, bytes, syntax) || !writes_the_same(dataset, bytes, syntax)) return;

  check(scan.ok(), "a data set that DCMTK reads and writes back unchanged passes the scan: " +
                       (scan.ok() ? std::string() : describe(scan.error())));
  check_equal(scan->has_pixel_data,
              bool{dataset.tagExists(DCM_PixelData)} || dataset.tagExists(DCM_FloatPixelData) ||
                  dataset.tagExists(DCM_DoubleFloatPixelData),
              "pixel data are seen by both");
  // In Implicit VR only the dictionary tells a sequence from bytes; into pixel data DCMTK does not
  // go, so that fragments and their offset table are ours alone.
  const bool implicit = dicom::transfer_syntax_or_default(transfer_syntax_uid).implicit_vr;
  if (!implicit && scan->fragments == 0) {
    check_equal(scan->elements, objects_of(dataset), "the same elements and items are seen");
  }
  if (!identity.ok()) return;
  const auto check_uid = [&dataset](const Uid& ours, const DcmTagKey& tag) {
    const auto theirs = uid_of(dataset, tag);
    if (theirs) check_equal(std::string(ours.text()), *theirs, "the same identity is seen");
  };
  check_uid(identity->sop_class_uid, DCM_SOPClassUID);
  check_uid(identity->sop_instance_uid, DCM_SOPInstanceUID);
  check_uid(identity->study_instance_uid, DCM_StudyInstanceUID);
  check_uid(identity->series_instance_uid, DCM_SeriesInstanceUID);
}

}  // namespace isthmus::fuzz
