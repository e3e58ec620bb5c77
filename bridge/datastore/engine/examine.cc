#include "datastore/engine/examine.h"

// DCMTK's headers need what osconfig.h decides about the platform.
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "datastore/engine/dicom_file.h"
#include "datastore/engine/dicom_metadata.h"
#include "datastore/engine/dicom_text.h"
#include "datastore/engine/instance_facts.h"
#include "datastore/engine/pixels/codecs.h"
#include "datastore/engine/pixels/layout.h"
#include "dicom/skeleton.h"
#include "dicom/sop_class.h"
#include "dicom/transfer_syntax.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;

constexpr std::uint64_t kMaxFrames = 1'000'000;

// contracts/healthimaging/warning-codes.json: documentedDecimal, which is what files hold.
constexpr int kElementsDiscarded = 45062;
constexpr int kSopClassMismatch = 45063;
constexpr int kTranscodingException = 45312;
constexpr int kFramesExtractionFailure = 45328;
constexpr int kFrameNumberMismatch = 45329;
constexpr int kInvalidOffsetTable = 45330;
constexpr int kInvalidUidFormat = 45570;
constexpr int kInvalidValueLength = 45571;
constexpr int kOther = 47513;

json refusal(std::string_view type, std::string_view code, std::string message) {
  return {{"ok", false}, {"exceptionType", type}, {"code", code}, {"message", std::move(message)}};
}

// Words of HealthImaging where they are known, ours where not.
json refusal_of(const Error& error) {
  if (error.code.starts_with("disk.") || error.fate != Fate::permanent) {
    return refusal("InternalServerException", error.code, "The file cannot be read now.");
  }
  if (error.code == "dicom.not_part10" || error.code == "dicom.no_transfer_syntax") {
    return refusal("ValidationException", error.code,
                   "DICOM attribute TransferSyntaxUID does not exist");
  }
  if (error.code == "dicom.missing_uid") {
    const std::string keyword = error.message.substr(0, error.message.find(' '));
    return refusal("ValidationException", error.code,
                   fmt::format("DICOM attribute {} does not exist", keyword));
  }
  return refusal("ValidationException", error.code, error.message);
}

// One file on its way to an answer.
struct File : DicomFile {
  PixelLayout pixels;
};

// The first value as plain words for grouping and search, or null.
json word(const json& level, const char* keyword) {
  const auto found = level.find(keyword);
  if (found == level.end()) return nullptr;
  const json& value = found->is_array() && !found->empty() ? found->front() : *found;
  std::string text;
  if (value.is_string()) text = value.get<std::string>();
  if (value.is_number()) text = value.dump();
  text.erase(text.find_last_not_of(' ') + 1);
  text.erase(0, text.find_first_not_of(' '));
  return text.empty() ? json(nullptr) : json(text);
}

json words(const std::vector<std::pair<const json*, const char*>>& wanted) {
  json object = json::object();
  for (const auto& [level, keyword] : wanted) object[keyword] = word(*level, keyword);
  return object;
}

json grouping(const Metadata& m) {
  return {{"study", words({{&m.study, "StudyDate"},
                           {&m.study, "AccessionNumber"},
                           {&m.patient, "PatientID"},
                           {&m.study, "StudyInstanceUID"},
                           {&m.study, "StudyID"}})},
          {"series", words({{&m.series, "SeriesInstanceUID"}, {&m.series, "SeriesNumber"}})}};
}

json tags(const Metadata& m, const std::string& transfer_syntax_uid) {
  json object = words({{&m.patient, "PatientID"},
                       {&m.patient, "PatientName"},
                       {&m.patient, "PatientBirthDate"},
                       {&m.patient, "PatientSex"},
                       {&m.study, "StudyInstanceUID"},
                       {&m.study, "StudyID"},
                       {&m.study, "StudyDescription"},
                       {&m.study, "StudyDate"},
                       {&m.study, "StudyTime"},
                       {&m.study, "AccessionNumber"},
                       {&m.study, "ReferringPhysicianName"},
                       {&m.series, "SeriesInstanceUID"},
                       {&m.series, "SeriesNumber"},
                       {&m.series, "Modality"},
                       {&m.series, "BodyPartExamined"},
                       {&m.series, "SeriesDescription"},
                       {&m.instance, "InstanceNumber"}});
  json facts = instance_facts(m.instance, transfer_syntax_uid);
  if (!facts.is_null()) object[kInstanceFacts] = std::move(facts);
  return object;
}

class Warnings {
 public:
  // The first of each type counts.
  void add(int code, const char* type, const char* message) {
    const bool known = std::any_of(list_.begin(), list_.end(),
                                   [type](const json& warning) { return warning["type"] == type; });
    if (!known) list_.push_back({{"code", code}, {"type", type}, {"message", message}});
  }
  json take() { return std::move(list_); }

 private:
  json list_ = json::array();
};

std::uint64_t number(DcmDataset& dataset, const DcmTagKey& tag) {
  Uint16 value = 0;
  return dataset.findAndGetUint16(tag, value).good() ? value : 0;
}

struct Frames {
  std::uint64_t declared = 1;
  std::uint64_t there = 1;  // as many as the pixel data can hold
};

// Frames of native pixel data, by their size; of encapsulated ones, by offset table and fragments.
Frames frames_of(File& file) {
  Frames frames;
  Sint32 declared = 1;
  const bool said = file.dataset.findAndGetSint32(DCM_NumberOfFrames, declared).good();
  frames.declared = declared > 0 ? static_cast<std::uint64_t>(declared) : 0;
  if (!said) frames.declared = 1;
  frames.there = frames.declared;
  const dicom::Omission* pixels = file.skeleton.find(0x7FE00010);
  if (pixels == nullptr) return frames;
  if (pixels->encapsulated) {
    const std::uint64_t table = file.skeleton.scan.frames_in_offset_table;
    const std::uint64_t fragments = file.skeleton.scan.fragments;
    // A video is one stream in one or a few fragments, whatever its number of frames.
    const bool video = file.syntax->frame_content_type.starts_with("video/");
    if (table > 0) frames.there = table;
    if (table == 0 && fragments < frames.declared) frames.there = fragments;
    if (video) frames.there = frames.declared;
    return frames;
  }
  const std::uint64_t bits = number(file.dataset, DCM_Rows) * number(file.dataset, DCM_Columns) *
                             std::max<std::uint64_t>(number(file.dataset, DCM_SamplesPerPixel), 1) *
                             number(file.dataset, DCM_BitsAllocated);
  OFString photometric;    // stays empty when there is none
  const bool subsampled =  // YBR_FULL_422, …_420
      file.dataset.findAndGetOFString(DCM_PhotometricInterpretation, photometric).good() &&
      photometric.find("42") != OFString_npos;
  if (bits == 0 || subsampled) return frames;
  // Whole frames; frames of one-bit pixels are packed across bytes, and the end may be padded.
  frames.there = (pixels->end - pixels->value_begin) * 8 / bits;
  const bool padded = bits < 16 && frames.there == frames.declared + 16 / bits;
  if (padded) frames.there = frames.declared;
  return frames;
}

// Whoever makes an entry for each frame can trust this number.
std::uint64_t usable(const Frames& frames) {
  return std::clamp<std::uint64_t>(std::min(frames.declared, frames.there), 1, kMaxFrames);
}

bool has_leading_zero(const Uid& uid) {
  const std::string text = "." + uid.text();
  for (std::size_t dot = text.find(".0"); dot != std::string::npos;
       dot = text.find(".0", dot + 1)) {
    if (dot + 2 < text.size() && text[dot + 2] != '.') return true;
  }
  return false;
}

// Characters that a value of the VR may have, per value (PS3.5 Table 6.2-1); 0: not looked at.
std::size_t longest(DcmEVR vr) {
  switch (vr) {
    case EVR_AE:
    case EVR_CS:
    case EVR_DS:
    case EVR_SH:
      return 16;
    case EVR_IS:
      return 12;
    case EVR_LO:
    case EVR_UI:
      return 64;
    default:
      return 0;
  }
}

void warn_of_values(DcmDataset& dataset, Warnings& warnings) {
  DcmObject* next = nullptr;
  while ((next = dataset.nextInContainer(next)) != nullptr) {
    auto* element = dynamic_cast<DcmElement*>(next);
    const std::size_t limit = element == nullptr ? 0 : longest(element->getVR());
    char* text = nullptr;
    Uint32 length = 0;
    if (limit == 0 || element->getString(text, length).bad() || text == nullptr) continue;
    std::string_view rest(text, length);
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find('\\'), rest.size());
      std::string_view value = rest.substr(0, end);
      while (!value.empty() && (value.back() == ' ' || value.back() == '\0'))
        value.remove_suffix(1);
      // Characters of several bytes make LO and SH longer in bytes: four times is beyond any.
      const bool wide = element->getVR() == EVR_LO || element->getVR() == EVR_SH;
      if (value.size() > limit * (wide ? 4 : 1)) {
        warnings.add(kInvalidValueLength, "INVALID_DICOM_VALUE_LENGTH",
                     "The file was imported but has values longer than their VR allows.");
      } else if (element->getVR() == EVR_UI && !value.empty() && !Uid::parse(value)) {
        warnings.add(kInvalidUidFormat, "INVALID_UID_FORMAT",
                     "The file was imported but has UIDs of invalid format.");
      }
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
}

void warn_of_file(const File& file, const Frames& frames, Warnings& warnings) {
  const Identity& id = file.identity;
  for (const Uid* uid :
       {&id.sop_class_uid, &id.sop_instance_uid, &id.study_instance_uid, &id.series_instance_uid}) {
    if (has_leading_zero(*uid)) {
      warnings.add(kInvalidUidFormat, "INVALID_UID_FORMAT",
                   "The file was imported but has UIDs of invalid format.");
    }
  }
  const std::string& meta_class = file.meta.media_storage_sop_class_uid;
  if (!meta_class.empty() && meta_class != id.sop_class_uid.text()) {
    warnings.add(kSopClassMismatch, "SOP_CLASS_DATA_MISMATCH",
                 "The file was imported but its MediaStorageSOPClassUID is not its SOPClassUID.");
  }
  if (!file.skeleton.scan.offset_table_valid) {
    warnings.add(kInvalidOffsetTable, "INVALID_OFFSET_TABLE",
                 "The file was imported but contains an invalid offset table, may see issues when "
                 "retrieving certain frames.");
  }
  if (frames.there != frames.declared) {
    warnings.add(kFrameNumberMismatch, "FRAME_NUMBER_MISMATCH",
                 "The file was imported but its NumberOfFrames is not the number of its frames.");
  }
}

std::string text_of(DcmDataset& dataset, const DcmTagKey& tag) {
  OFString text;  // stays empty when there is none
  if (dataset.findAndGetOFString(tag, text).bad()) return {};
  return {text.c_str(), text.length()};
}

PixelDescription description_of(File& file, const dicom::Omission& pixels) {
  PixelDescription description;
  description.transfer_syntax_uid = file.syntax->uid;
  const auto small = [&](const DcmTagKey& tag) {
    return static_cast<std::uint32_t>(number(file.dataset, tag));
  };
  description.rows = small(DCM_Rows);
  description.columns = small(DCM_Columns);
  description.samples = std::max<std::uint32_t>(small(DCM_SamplesPerPixel), 1);
  description.bits_allocated = small(DCM_BitsAllocated);
  description.bits_stored = small(DCM_BitsStored);
  if (description.bits_stored == 0) description.bits_stored = description.bits_allocated;
  description.is_signed = small(DCM_PixelRepresentation) == 1;
  description.planar = small(DCM_PlanarConfiguration) == 1;
  description.in_words = pixels.vr == "OW";
  description.photometric = ascii_text(text_of(file.dataset, DCM_PhotometricInterpretation));
  description.form = form_of(description);
  return description;
}

// Where the frames are and what is in them. The source is read once more, if they are measured.
Result<void> lay_out_pixels(ByteSource& source, const ExamineLimits& limits, File& file) {
  const dicom::Omission* pixels = file.skeleton.find(0x7FE00010);
  if (pixels == nullptr) return {};
  file.pixels.description = description_of(file, *pixels);
  const Frames frames = frames_of(file);
  file.pixels.frames =
      locate_frames(file.skeleton, file.pixels.description, frames.declared, kMaxFrames);
  if (!limits.measure_frames || file.pixels.frames.empty()) return {};
  const std::uint64_t offset = file.meta.dataset_offset_bytes;
  TRY(source.rewind());
  const auto dataset = slice_of(source, offset, source.size() - offset);
  const SteadyTime deadline = system_clock().steady_now() + limits.pixel_time;
  return measure_frames(*dataset, {}, file.pixels,
                        [&] { return system_clock().steady_now() < deadline; });
}

void warn_of_pixels(const File& file, Warnings& warnings) {
  const bool pixels = file.skeleton.scan.has_pixel_data;
  if (pixels && file.skeleton.find(0x7FE00010) == nullptr) {
    warnings.add(kFramesExtractionFailure, "FRAMES_EXTRACTION_FAILURE",
                 "The file was imported, but floating point pixel data have no image frames.");
  } else if (pixels && file.pixels.frames.empty()) {
    warnings.add(kFramesExtractionFailure, "FRAMES_EXTRACTION_FAILURE",
                 "The file was imported, but no image frames were found in its pixel data.");
  }
  for (const FrameRecord& frame : file.pixels.frames) {
    if (frame.state == FrameState::broken) {
      warnings.add(kTranscodingException, "TRANSCODING_EXCEPTION",
                   "The file was imported, but image frames of it cannot be decoded.");
    }
    if (frame.state == FrameState::unmeasured) {
      warnings.add(kOther, "OTHER",
                   "The file was imported, but image frames of it were not decoded, and have no "
                   "checksums.");
    }
  }
}

json pixels_json(const PixelLayout& pixels) {
  Bytes records;
  records.reserve(pixels.frames.size() * kFrameRecordBytes);
  for (const FrameRecord& record : pixels.frames) append_record(record, records);
  return {{"description", to_json(pixels.description)}, {"records", to_base64(records)}};
}

// Values that are not in the metadata, and can be given as they lie in the file.
json bulk_json(const File& file) {
  json list = json::array();
  for (const dicom::Omission& omission : file.skeleton.omitted) {
    if (omission.encapsulated || omission.vr == "SQ" || omission.value_begin > omission.end)
      continue;
    list.push_back({{"tag", omission.tag},
                    {"vr", omission.vr},
                    {"begin", omission.value_begin},
                    {"size", omission.end - omission.value_begin}});
  }
  return list;
}

json metadata_json(Metadata&& m) {
  return {{"patient", std::move(m.patient)},
          {"study", std::move(m.study)},
          {"series", std::move(m.series)},
          {"instance", std::move(m.instance)},
          {"DICOMVRs", std::move(m.vrs)}};
}

json acceptance(File& file) {
  Metadata metadata;
  Warnings warnings;
  add_file_meta(file.file_meta, metadata);
  add_dataset(file.dataset, metadata);
  for (const dicom::Omission& omission : file.skeleton.omitted) {
    if (omission.tag >> 16 == 0x7FE0) continue;
    add_left_out(omission.tag, omission.vr, metadata);
    warnings.add(kElementsDiscarded, "ELEMENTS_DISCARDED",
                 "The file was imported but values too long for metadata are not in it.");
  }
  const Frames frames = frames_of(file);
  warn_of_file(file, frames, warnings);
  warn_of_values(file.dataset, warnings);
  warn_of_pixels(file, warnings);
  const Identity& id = file.identity;
  const bool pixels = file.skeleton.scan.has_pixel_data;
  json answer = {{"ok", true},
                 {"transferSyntaxUID", file.syntax->uid},
                 {"identity",
                  {{"sopClassUID", id.sop_class_uid.text()},
                   {"sopInstanceUID", id.sop_instance_uid.text()},
                   {"studyInstanceUID", id.study_instance_uid.text()},
                   {"seriesInstanceUID", id.series_instance_uid.text()}}},
                 {"grouping", grouping(metadata)},
                 {"tags", tags(metadata, std::string(file.syntax->uid))},
                 {"rows", number(file.dataset, DCM_Rows)},
                 {"columns", number(file.dataset, DCM_Columns)},
                 {"frames", pixels ? usable(frames) : 0},
                 {"hasPixelData", pixels},
                 {"datasetOffset", file.meta.dataset_offset_bytes},
                 {"warnings", warnings.take()},
                 {"metadata", metadata_json(std::move(metadata))}};
  if (json bulk = bulk_json(file); !bulk.empty()) answer["bulk"] = std::move(bulk);
  if (!file.pixels.frames.empty()) answer["pixelData"] = pixels_json(file.pixels);
  return answer;
}

}  // namespace

Result<void> prepare_examiner() {
  OFLog::configure(OFLogger::OFF_LOG_LEVEL);
  dcmEnableAutomaticInputDataCorrection.set(OFFalse);  // values as they are, pads included
  prepare_codecs();
  if (dcmDataDict.isDictionaryLoaded()) return {};
  return fatal_error("dicom.no_dictionary",
                     "DCMTK's data dictionary is missing: install libdcmtk17 with its data.");
}

json examine(ByteSource& file, const ExamineLimits& limits) {
  const auto state = std::make_unique<File>();
  Result<void> done = read_dicom_file(file, limits, *state);
  if (done.ok()) done = lay_out_pixels(file, limits, *state);
  return done.ok() ? acceptance(*state) : refusal_of(done.error());
}

std::string print_answer(json answer) {
  const auto dumped = [](const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
  };
  if (!answer.contains("metadata")) return dumped(answer);
  json document = {{"datasetOffset", answer["datasetOffset"]}};
  for (const char* name : {"metadata", "transferSyntaxUID", "frames", "rows", "columns", "bulk"}) {
    const auto found = answer.find(name);
    if (found == answer.end()) continue;
    document[name] = std::move(*found);
    answer.erase(found);
  }
  return dumped(answer) + '\t' + dumped(document);
}

nlohmann::json look_up_keywords(const nlohmann::json& keywords) {
  json elements = json::object();
  for (const json& keyword : keywords) {
    if (!keyword.is_string()) continue;
    json entry = describe_keyword(keyword.get<std::string>());
    if (!entry.is_null()) elements[keyword.get<std::string>()] = std::move(entry);
  }
  return {{"ok", true}, {"elements", std::move(elements)}};
}

}  // namespace isthmus::datastore
