#include "datastore/engine/rewrite.h"

// DCMTK's headers need what osconfig.h decides about the platform.
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcostrmb.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <string>

#include "base/digest.h"
#include "datastore/engine/dicom_file.h"
#include "datastore/engine/dicom_metadata.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;

constexpr std::uint32_t kPixels = 0x7FE00000;
constexpr std::uint32_t kPixelData = 0x7FE00010;
constexpr std::size_t kSlack = 64 * KiB;
constexpr std::uint64_t kLongestValue = 64 * MiB;  // that is carried over into a file written anew
constexpr std::string_view kPart10 = "DICM";
constexpr std::size_t kPreambleBytes = 128;

Error unsupported(const char* why) {
  return permanent_error("rewrite.unsupported", why);
}

std::uint32_t number_of(const DcmTagKey& tag) {
  return static_cast<std::uint32_t>(tag.getGroup()) << 16 | tag.getElement();
}

// All levels as one.
json flat(const json& levels) {
  json all = json::object();
  for (const char* level : {"patient", "study", "series", "instance"}) {
    if (levels.contains(level)) all.update(levels[level]);
  }
  return all;
}

// Keys are keywords, or eight hex digits with a VR in `vrs`.
class Editor {
 public:
  Editor(DcmDataset& dataset, const json& vrs) : dataset_(dataset), vrs_(vrs) {}

  // Makes the data set say `wanted` instead of `current`; whether that was any change.
  Result<bool> apply(const json& current, const json& wanted) {
    bool changed = false;
    for (const auto& [key, value] : wanted.items()) {
      const auto found = current.find(key);
      if (found != current.end() && *found == value) continue;
      TRY_ASSIGN(const std::optional<DcmTag> tag, tag_of(key, dataset_));
      if (!tag || of_the_file(*tag)) continue;
      TRY(keep_words(value));
      TRY(set(dataset_, *tag, value));
      changed = true;
    }
    for (const auto& [key, value] : current.items()) {
      if (wanted.contains(key)) continue;
      TRY_ASSIGN(const std::optional<DcmTag> tag, tag_of(key, dataset_));
      if (!tag || of_the_file(*tag)) continue;
      dataset_.findAndDeleteElement(*tag);
      changed = true;
    }
    return changed;
  }

 private:
  // Of how it is written, not of what it says.
  static bool of_the_file(const DcmTag& tag) {
    return tag.getGroup() <= 2 || number_of(tag) >= kPixels || tag == DCM_SpecificCharacterSet;
  }

  // What one character set has, another may not: the whole becomes UTF-8 (PS3.3 section
  // C.12.1.1.2).
  Result<void> keep_words(const json& value) {
    const std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
    const bool ascii = std::ranges::all_of(text, [](unsigned char c) { return c < 0x80; });
    if (ascii || utf8_) return {};
    if (dataset_.convertToUTF8().bad()) {
      return unsupported("The file's text cannot be written in UTF-8.");
    }
    dataset_.putAndInsertString(DCM_SpecificCharacterSet, "ISO_IR 192");
    utf8_ = true;
    return {};
  }

  Result<std::optional<DcmTag>> tag_of(const std::string& key, DcmItem& item) {
    std::string hex = key, vr;
    const json known = describe_keyword(key);
    if (!known.is_null()) {
      hex = known.value("tag", "");
      vr = known.value("vr", "");
    } else if (const auto found = vrs_.find(key); found != vrs_.end() && found->is_string()) {
      vr = found->get<std::string>();
    }
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), number, 16);
    if (hex.size() != 8 || error != std::errc() || end != hex.data() + hex.size()) {
      return std::optional<DcmTag>();
    }
    const DcmTagKey place(static_cast<Uint16>(number >> 16), static_cast<Uint16>(number & 0xFFFF));
    DcmElement* there = nullptr;
    if (item.findAndGetElement(place, there).good()) {
      vr = DcmVR(DcmVR(there->getVR()).getValidEVR()).getValidVRName();
    }
    if (vr.empty()) return unsupported("The VR of an element is not known.");
    return std::optional(DcmTag(place, DcmVR(vr.c_str())));
  }

  Result<void> set(DcmItem& item, const DcmTag& tag, const json& value) {
    if (value.is_null()) return done(item.insertEmptyElement(tag, OFTrue));
    switch (tag.getEVR()) {
      case EVR_SQ:
        return set_items(item, tag, value);
      case EVR_OB:
      case EVR_UN:
      case EVR_OW:
        return set_bytes(item, tag, value);
      case EVR_OD:
      case EVR_OF:
      case EVR_OL:
      case EVR_OV:
        return unsupported("A VR has no form here.");
      default:
        return done(item.putAndInsertString(tag, text_of(value, tag).c_str()));
    }
  }

  static std::string text_of(const json& value, const DcmTag& tag) {
    if (value.is_array()) {
      std::string text;
      for (const json& one : value) text += (text.empty() ? "" : "\\") + text_of(one, tag);
      return text;
    }
    if (!value.is_string()) return value.is_null() ? "" : value.dump();
    const auto& text = value.get_ref<const std::string&>();
    if (tag.getEVR() != EVR_AT || text.size() != 8) return text;
    return "(" + text.substr(0, 4) + "," + text.substr(4) + ")";
  }

  Result<void> set_bytes(DcmItem& item, const DcmTag& tag, const json& value) {
    std::optional<Bytes> bytes;
    if (value.is_string()) bytes = from_base64(value.get<std::string>());
    if (!bytes) return unsupported("Bytes are not what their VR says.");
    if (bytes->size() % 2 != 0) bytes->push_back(std::byte{0});
    if (tag.getEVR() == EVR_OW) {
      std::vector<Uint16> words(bytes->size() / 2);
      std::copy_n(reinterpret_cast<const char*>(bytes->data()), bytes->size(),
                  reinterpret_cast<char*>(words.data()));
      return done(item.putAndInsertUint16Array(tag, words.data(), words.size()));
    }
    return done(item.putAndInsertUint8Array(tag, reinterpret_cast<const Uint8*>(bytes->data()),
                                            bytes->size()));
  }

  Result<void> set_items(DcmItem& item, const DcmTag& tag, const json& value) {
    auto sequence = std::make_unique<DcmSequenceOfItems>(tag);
    for (const json& one : value) {
      auto child = std::make_unique<DcmItem>();
      for (const auto& [key, inner] : one.items()) {
        TRY_ASSIGN(const std::optional<DcmTag> inside, tag_of(key, *child));
        if (inside) TRY(set(*child, *inside, inner));
      }
      if (sequence->append(child.get()).bad()) return unsupported("An item cannot be added.");
      static_cast<void>(child.release());  // the sequence owns it now
    }
    if (item.insert(sequence.get(), OFTrue).bad()) {
      return unsupported("A sequence cannot be added.");
    }
    static_cast<void>(sequence.release());  // and the item the sequence
    return {};
  }

  static Result<void> done(const OFCondition& condition) {
    if (condition.good()) return {};
    return unsupported("A value is not what its VR allows.");
  }

  DcmDataset& dataset_;
  const json& vrs_;
  bool utf8_ = false;
};

Result<std::string> print(DcmDataset& dataset, E_TransferSyntax syntax) {
  std::string bytes(dataset.calcElementLength(syntax, EET_UndefinedLength) + kSlack, '\0');
  DcmOutputBufferStream stream(bytes.data(), static_cast<offile_off_t>(bytes.size()));
  dataset.transferInit();
  const OFCondition written =
      dataset.write(stream, syntax, EET_UndefinedLength, nullptr, EGL_withoutGL);
  dataset.transferEnd();
  if (written.bad()) return unsupported("The data set cannot be written.");
  void* begin = nullptr;
  offile_off_t size = 0;
  stream.flushBuffer(begin, size);
  bytes.resize(static_cast<std::size_t>(size));
  return bytes;
}

// Group 2 with its length in front (PS3.10 section 7.1).
Result<std::string> print_file_meta(DcmDataset& meta, DcmDataset& dataset) {
  OFString instance;
  if (dataset.findAndGetOFString(DCM_SOPInstanceUID, instance).good()) {
    meta.putAndInsertString(DCM_MediaStorageSOPInstanceUID, instance.c_str());
  }
  meta.findAndDeleteElement(DCM_FileMetaInformationGroupLength);
  TRY_ASSIGN(const std::string elements, print(meta, EXS_LittleEndianExplicit));
  std::string group("\x02\x00\x00\x00UL\x04\x00", 8);
  for (int i = 0; i < 4; ++i) group += static_cast<char>(elements.size() >> (8 * i) & 0xFF);
  return group + elements;
}

// Where pixel data begin in the data set; nothing without any.
Result<std::optional<std::uint64_t>> pixels_begin(const DicomFile& file) {
  std::optional<std::uint64_t> begin;
  for (const dicom::Omission& omission : file.skeleton.omitted) {
    if (omission.tag < kPixels) return unsupported("The file has values that are not in metadata.");
    begin = std::min(begin.value_or(omission.begin), omission.begin);
  }
  return begin;
}

// What stands behind pixel data comes with them, as it is.
void drop_behind_pixels(DcmDataset& dataset) {
  std::vector<DcmTagKey> behind;
  DcmObject* next = nullptr;
  while ((next = dataset.nextInContainer(next)) != nullptr) {
    if (number_of(next->getTag()) > kPixelData) behind.push_back(next->getTag());
  }
  for (const DcmTagKey& tag : behind) dataset.findAndDeleteElement(tag);
}

// True when these metadata were any change.
Result<bool> apply_metadata(DicomFile& file, const json& wanted) {
  Metadata current;
  add_file_meta(file.file_meta, current);
  add_dataset(file.dataset, current);
  json all = current.instance;
  for (const json* level : {&current.patient, &current.study, &current.series}) all.update(*level);
  json vrs = current.vrs;
  if (wanted.contains("DICOMVRs")) vrs.update(wanted["DICOMVRs"]);
  return Editor(file.dataset, vrs).apply(all, flat(wanted));
}

std::string part10_head(const DicomFile& file, const std::string& meta,
                        const std::string& dataset) {
  std::string head(as_text(file.head).substr(0, kPreambleBytes));
  head += kPart10;
  head += meta;
  head += dataset;
  return head;
}

Result<json> rewritten(ByteSource& source, const json& wanted) {
  const auto file = std::make_unique<DicomFile>();
  TRY(read_dicom_file(source, {}, *file));
  if (file->syntax->deflated) return unsupported("The data set is deflated.");
  TRY_ASSIGN(const std::optional<std::uint64_t> pixels, pixels_begin(*file));
  TRY_ASSIGN(const bool changed, apply_metadata(*file, wanted));
  if (!changed) return json{{"ok", true}, {"same", true}};

  if (pixels) drop_behind_pixels(file->dataset);
  TRY_ASSIGN(const std::string dataset, print(file->dataset, dcmtk_syntax(*file->syntax)));
  TRY_ASSIGN(const std::string meta, print_file_meta(file->file_meta, file->dataset));
  const std::string head = part10_head(*file, meta, dataset);
  const std::uint64_t tail = pixels ? file->meta.dataset_offset_bytes + *pixels : source.size();
  return json{{"ok", true}, {"head", to_base64(as_bytes(head))}, {"tail", tail}};
}

// The pixel data element of a file that is written anew.
struct NewPixels {
  const dicom::Omission* there = nullptr;
  bool as_they_lie = false;  // their bytes are the new value
};

Result<NewPixels> new_pixels(const DicomFile& file, bool native) {
  NewPixels pixels;
  for (const dicom::Omission& omission : file.skeleton.omitted) {
    if (omission.tag < kPixels) return unsupported("The file has values that are too long.");
    if (pixels.there != nullptr) return unsupported("The file has pixel data of two kinds.");
    pixels.there = &omission;
  }
  const dicom::TransferSyntax& from = *file.syntax;
  pixels.as_they_lie = native && !from.encapsulated && !from.deflated && !from.big_endian;
  const bool floats = pixels.there != nullptr && pixels.there->tag != kPixelData;
  if (floats && !pixels.as_they_lie) return unsupported("Such pixel data are not encoded.");
  return pixels;
}

// Decoded frames are colour by pixel, filled up to three samples, and RGB where a code stream's
// transform had made something else of it. The lossless encoders turn RGB to YBR_RCT again (PS3.5
// section 8.2.4); what is not RGB they would turn, too, and nobody could be told.
Result<void> describe_pixels(DcmDataset& dataset, bool native) {
  Uint16 samples = 1, allocated = 0;
  dataset.findAndGetUint16(DCM_SamplesPerPixel, samples).good();
  dataset.findAndGetUint16(DCM_BitsAllocated, allocated).good();
  if (allocated < 8) return unsupported("One-bit pixels are given as they are.");
  if (samples < 3) return {};
  OFString photometric;
  if (dataset.findAndGetOFString(DCM_PhotometricInterpretation, photometric).bad()) {
    return unsupported("The file does not say what its colours are.");
  }
  dataset.putAndInsertUint16(DCM_PlanarConfiguration, 0);
  const bool rgb = photometric == "RGB" || photometric == "YBR_RCT" || photometric == "YBR_ICT";
  if (!native && !rgb) return unsupported("Colours other than RGB are not encoded anew.");
  const bool subsampled = photometric == "YBR_FULL_422" || photometric == "YBR_FULL";
  if (!rgb && !subsampled) return unsupported("Its colours have no plain form.");
  const char* now = !rgb ? "YBR_FULL" : native ? "RGB" : "YBR_RCT";
  dataset.putAndInsertString(DCM_PhotometricInterpretation, now);
  return {};
}

// Takes out what stands behind the pixel data, in Explicit VR Little Endian.
Result<std::string> cut_behind(DcmDataset& dataset) {
  DcmDataset behind;
  std::vector<DcmTagKey> tags;
  DcmObject* next = nullptr;
  while ((next = dataset.nextInContainer(next)) != nullptr) {
    if (number_of(next->getTag()) >= kPixels) tags.push_back(next->getTag());
  }
  for (const DcmTagKey& tag : tags) {
    std::unique_ptr<DcmElement> element(dataset.remove(tag));
    // Tables of where the frames were, and how long, are of the old pixel data.
    if (number_of(tag) < kPixelData || !element) continue;
    if (behind.insert(element.get()).bad()) return unsupported("The data set cannot be written.");
    static_cast<void>(element.release());
  }
  if (!behind.canWriteXfer(EXS_LittleEndianExplicit)) {
    return unsupported("The data set cannot be written in Explicit VR.");
  }
  return print(behind, EXS_LittleEndianExplicit);
}

Result<json> transcoded(ByteSource& source, const json& wanted, const std::string& syntax) {
  const bool native = syntax == "1.2.840.10008.1.2.1";
  const auto file = std::make_unique<DicomFile>();
  TRY(read_dicom_file(source, {.value_bytes = kLongestValue}, *file));
  TRY_ASSIGN(const NewPixels pixels, new_pixels(*file, native));
  if (wanted.is_object()) TRY(apply_metadata(*file, wanted));
  if (pixels.there != nullptr && !pixels.as_they_lie) TRY(describe_pixels(file->dataset, native));
  TRY_ASSIGN(const std::string behind, cut_behind(file->dataset));
  if (!file->dataset.canWriteXfer(EXS_LittleEndianExplicit)) {
    return unsupported("The data set cannot be written in Explicit VR.");
  }
  TRY_ASSIGN(const std::string dataset, print(file->dataset, EXS_LittleEndianExplicit));
  file->file_meta.putAndInsertString(DCM_TransferSyntaxUID, syntax.c_str());
  TRY_ASSIGN(const std::string meta, print_file_meta(file->file_meta, file->dataset));
  const std::string head = part10_head(*file, meta, dataset);
  json answer = {
      {"ok", true}, {"head", to_base64(as_bytes(head))}, {"behind", to_base64(as_bytes(behind))}};
  if (pixels.there == nullptr) return answer;
  Uint16 allocated = 0;
  file->dataset.findAndGetUint16(DCM_BitsAllocated, allocated).good();
  const std::string vr = !native                                           ? "OB"
                         : pixels.as_they_lie && !pixels.there->vr.empty() ? pixels.there->vr
                         : pixels.there->tag != kPixelData                 ? "OF"
                         : allocated > 8 || pixels.as_they_lie             ? "OW"
                                                                           : "OB";
  answer["pixels"] = {{"tag", pixels.there->tag}, {"vr", vr}};
  if (pixels.as_they_lie) {
    const std::uint64_t offset = file->meta.dataset_offset_bytes;
    answer["pixels"]["begin"] = offset + pixels.there->value_begin;
    answer["pixels"]["end"] = offset + pixels.there->end;
  }
  return answer;
}

json answer_of(const Result<json>& answer) {
  if (answer) return *answer;
  return {{"ok", false}, {"code", answer.error().code}, {"message", answer.error().message}};
}

}  // namespace

json rewrite_file(ByteSource& file, const json& metadata) {
  return answer_of(rewritten(file, metadata));
}

json transcode_file(ByteSource& file, const json& metadata, const std::string& syntax) {
  return answer_of(transcoded(file, metadata, syntax));
}

}  // namespace isthmus::datastore
