#include "datastore/engine/dicom_metadata.h"

// DCMTK's headers need what osconfig.h decides about the platform.
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/digest.h"
#include "datastore/engine/dicom_text.h"
#include "datastore/engine/metadata_levels.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;

std::uint32_t number_of(const DcmTagKey& tag) {
  return static_cast<std::uint32_t>(tag.getGroup()) << 16 | tag.getElement();
}

// What the dictionary says of a standard element.
struct Known {
  std::string keyword;
  bool several_values = false;  // VM is not 1
  DcmEVR vr = EVR_UN;
};

std::optional<Known> look_up(const DcmTagKey& tag) {
  if (tag.getGroup() % 2 != 0) return std::nullopt;
  const DcmDictEntry* entry = dcmDataDict.rdlock().findEntry(tag, nullptr);
  std::optional<Known> known;
  if (entry != nullptr) {
    std::string_view name = entry->getTagName();
    // DCMTK marks what later editions retired; PS3.6 does not.
    if (name.starts_with("RETIRED_")) name.remove_prefix(8);
    if (!name.starts_with("ACR_NEMA")) {
      known = Known{std::string(name), entry->getVMMax() != 1, entry->getEVR()};
    }
  }
  dcmDataDict.rdunlock();
  return known;
}

const std::optional<Known>& known_element(const DcmTagKey& tag) {
  static std::unordered_map<std::uint32_t, std::optional<Known>> cache;  // one thread (worker)
  const auto [place, fresh] = cache.try_emplace(number_of(tag));
  if (fresh) place->second = look_up(tag);
  return place->second;
}

// How the values of a VR are written.
enum class Form { text, ascii, number, tag, sequence, bytes };

struct Shape {
  Form form = Form::bytes;
  bool splits = false;          // at backslashes
  std::string_view delimiters;  // of code extensions
};

Shape shape_of(DcmEVR vr) {
  switch (vr) {
    case EVR_LO:
    case EVR_SH:
    case EVR_UC:
      return {Form::text, true, "\\"};
    case EVR_PN:
      return {Form::text, true, "\\^="};
    case EVR_LT:
    case EVR_ST:
    case EVR_UT:
      return {Form::text, false, ""};
    case EVR_AE:
    case EVR_AS:
    case EVR_CS:
    case EVR_DA:
    case EVR_DS:
    case EVR_DT:
    case EVR_IS:
    case EVR_TM:
    case EVR_UI:
      return {Form::ascii, true, ""};
    case EVR_UR:
      return {Form::ascii, false, ""};
    case EVR_FL:
    case EVR_FD:
    case EVR_SL:
    case EVR_SS:
    case EVR_SV:
    case EVR_UL:
    case EVR_US:
    case EVR_UV:
    case EVR_xs:
      return {Form::number, true, ""};
    case EVR_AT:
      return {Form::tag, true, ""};
    case EVR_SQ:
      return {Form::sequence, false, ""};
    default:
      return {};
  }
}

template <typename T>
std::string bytes_of(const T* values, std::size_t count) {
  if (values == nullptr) return {};
  return {reinterpret_cast<const char*>(values), count * sizeof(T)};
}

// The value as DCMTK holds it, numbers in this machine's byte order, which is little endian.
std::string raw_value(DcmElement& element) {
  const auto length = static_cast<std::size_t>(element.getLengthField());
  char* text = nullptr;
  Uint32 text_length = 0;
  if (element.isaString() && element.getString(text, text_length).good()) {
    return text == nullptr ? std::string() : std::string(text, text_length);
  }
  Uint8* u8 = nullptr;
  if (element.getUint8Array(u8).good()) return bytes_of(u8, length);
  Uint16* u16 = nullptr;
  if (element.getUint16Array(u16).good()) return bytes_of(u16, length / 2);
  Sint16* s16 = nullptr;
  if (element.getSint16Array(s16).good()) return bytes_of(s16, length / 2);
  Uint32* u32 = nullptr;
  if (element.getUint32Array(u32).good()) return bytes_of(u32, length / 4);
  Sint32* s32 = nullptr;
  if (element.getSint32Array(s32).good()) return bytes_of(s32, length / 4);
  Uint64* u64 = nullptr;
  if (element.getUint64Array(u64).good()) return bytes_of(u64, length / 8);
  Sint64* s64 = nullptr;
  if (element.getSint64Array(s64).good()) return bytes_of(s64, length / 8);
  Float32* f32 = nullptr;
  if (element.getFloat32Array(f32).good()) return bytes_of(f32, length / 4);
  Float64* f64 = nullptr;
  if (element.getFloat64Array(f64).good()) return bytes_of(f64, length / 8);
  return {};
}

// As short as the 32 bits allow: 0.1 and not 0.10000000149011612. JSON has no word for NaN.
json float_json(float value) {
  if (!std::isfinite(value)) return nullptr;
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  double wide = 0;
  std::from_chars(digits, end, wide);
  return wide;
}

json double_json(double value) {
  return std::isfinite(value) ? json(value) : json(nullptr);
}

template <typename T>
T value_at(std::string_view raw, std::size_t index) {
  T value{};
  std::memcpy(&value, raw.data() + index * sizeof(T), sizeof(T));
  return value;
}

template <typename T, typename Write>
std::vector<json> numbers(std::string_view raw, Write write) {
  std::vector<json> values;
  for (std::size_t i = 0; i < raw.size() / sizeof(T); ++i)
    values.push_back(write(value_at<T>(raw, i)));
  return values;
}

std::vector<json> number_values(std::string_view raw, DcmEVR vr) {
  const auto same = [](auto value) { return json(value); };
  switch (vr) {
    case EVR_FL:
      return numbers<float>(raw, float_json);
    case EVR_FD:
      return numbers<double>(raw, double_json);
    case EVR_SL:
      return numbers<std::int32_t>(raw, same);
    case EVR_SS:
      return numbers<std::int16_t>(raw, same);
    case EVR_SV:
      return numbers<std::int64_t>(raw, same);
    case EVR_UL:
      return numbers<std::uint32_t>(raw, same);
    case EVR_UV:
      return numbers<std::uint64_t>(raw, same);
    default:
      return numbers<std::uint16_t>(raw, same);
  }
}

std::vector<json> tag_values(std::string_view raw) {
  std::vector<json> values;
  for (std::size_t i = 0; i + 1 < raw.size() / 2; i += 2) {
    values.emplace_back(fmt::format("{:04X}{:04X}", value_at<std::uint16_t>(raw, i),
                                    value_at<std::uint16_t>(raw, i + 1)));
  }
  return values;
}

std::vector<json> split_values(const std::string& text) {
  std::vector<json> values;
  std::size_t begin = 0;
  while (true) {
    const std::size_t end = text.find('\\', begin);
    values.emplace_back(text.substr(begin, end == std::string::npos ? end : end - begin));
    if (end == std::string::npos) return values;
    begin = end + 1;
  }
}

class Writer {
 public:
  explicit Writer(json& vrs) : vrs_(vrs) {}

  void add(DcmElement& element, const TextDecoder& text, json& into);
  json object(DcmItem& item, const TextDecoder& outer);
  void add_null(const DcmTagKey& tag, const std::string& vr, json& into);

 private:
  std::string key_of(const DcmTagKey& tag, const std::string& vr, const json& object);
  json sequence(DcmSequenceOfItems& sequence, const TextDecoder& text);

  json& vrs_;
};

// The keyword, or eight hex digits: for private and unknown elements, and for the second of a
// repeating group (overlays), whose keyword is taken.
std::string Writer::key_of(const DcmTagKey& tag, const std::string& vr, const json& object) {
  const std::optional<Known>& known = known_element(tag);
  if (known && !object.contains(known->keyword)) return known->keyword;
  std::string key = fmt::format("{:08X}", number_of(tag));
  vrs_[key] = vr;
  return key;
}

bool left_out(const DcmTagKey& tag) {
  // Group lengths are retired; pixel data are not metadata, those of icons neither.
  return tag.getElement() == 0x0000 || tag == DCM_PixelData || tag == DCM_FloatPixelData ||
         tag == DCM_DoubleFloatPixelData;
}

json values_json(std::vector<json> values, bool several) {
  if (several || values.size() > 1) return json(std::move(values));
  return values.empty() ? json(nullptr) : std::move(values.front());
}

void Writer::add(DcmElement& element, const TextDecoder& text, json& into) {
  const DcmTagKey tag = element.getTag();
  if (left_out(tag)) return;
  const std::optional<Known>& known = known_element(tag);
  DcmEVR vr = DcmVR(element.getVR()).getValidEVR();
  const std::string key = key_of(tag, DcmVR(vr).getValidVRName(), into);
  // A relay that did not know the VR wrote UN: the dictionary may know (PS3.5 section 6.2.2).
  if (vr == EVR_UN && known && known->vr != EVR_SQ) vr = known->vr;
  const Shape shape = shape_of(vr);
  if (shape.form == Form::sequence) {
    auto* items = dynamic_cast<DcmSequenceOfItems*>(&element);
    into[key] = items == nullptr ? json(nullptr) : sequence(*items, text);
    return;
  }
  const std::string raw = raw_value(element);
  const bool several = known && known->several_values;
  json& value = into[key];
  if (raw.empty()) return;
  switch (shape.form) {
    case Form::text:
    case Form::ascii: {
      const std::string decoded =
          shape.form == Form::text ? text.decode(raw, shape.delimiters) : ascii_text(raw);
      // A backslash where the dictionary knows one value only is part of it.
      const bool split = shape.splits && (several || !known);
      value = split ? values_json(split_values(decoded), several) : json(decoded);
      return;
    }
    case Form::number:
      value = values_json(number_values(raw, vr), several);
      return;
    case Form::tag:
      value = values_json(tag_values(raw), several);
      return;
    default:
      value = to_base64(as_bytes(raw));
  }
}

json Writer::sequence(DcmSequenceOfItems& sequence, const TextDecoder& text) {
  json items = json::array();
  DcmObject* next = nullptr;
  while ((next = sequence.nextInContainer(next)) != nullptr) {
    if (auto* item = dynamic_cast<DcmItem*>(next)) items.push_back(object(*item, text));
  }
  return items.empty() ? json(nullptr) : items;
}

std::string character_set_of(DcmItem& item) {
  DcmElement* element = nullptr;
  if (item.findAndGetElement(DCM_SpecificCharacterSet, element).bad()) return {};
  return element->isaString() ? raw_value(*element) : std::string();
}

// As deep as the scan allowed: 64.
json Writer::object(DcmItem& item, const TextDecoder& outer) {
  json result = json::object();
  std::optional<TextDecoder> own;
  if (item.tagExists(DCM_SpecificCharacterSet)) own.emplace(character_set_of(item));
  const TextDecoder& inner = own ? *own : outer;
  DcmObject* next = nullptr;
  while ((next = item.nextInContainer(next)) != nullptr) {
    if (auto* element = dynamic_cast<DcmElement*>(next)) add(*element, inner, result);
  }
  return result;
}

void Writer::add_null(const DcmTagKey& tag, const std::string& vr, json& into) {
  if (left_out(tag)) return;
  into[key_of(tag, vr.empty() ? "UN" : vr, into)] = nullptr;
}

json& level_object(std::uint32_t tag, Metadata& metadata) {
  switch (level_of(tag)) {
    case Level::patient:
      return metadata.patient;
    case Level::study:
      return metadata.study;
    case Level::series:
      return metadata.series;
    case Level::instance:
      break;
  }
  return metadata.instance;
}

// Groups that a data set must not have; they are never used (PS3.5 section 7.1, PS3.10
// section 7.1).
bool foreign_group(std::uint32_t tag) {
  const std::uint32_t group = tag >> 16;
  return group <= 0x0003 || group == 0x0005 || group == 0x0007 || group == 0xFFFF;
}

}  // namespace

void add_file_meta(DcmItem& file_meta, Metadata& metadata) {
  Writer writer(metadata.vrs);
  const TextDecoder text("");
  DcmObject* next = nullptr;
  while ((next = file_meta.nextInContainer(next)) != nullptr) {
    auto* element = dynamic_cast<DcmElement*>(next);
    if (element != nullptr) writer.add(*element, text, metadata.instance);
  }
}

void add_dataset(DcmItem& dataset, Metadata& metadata) {
  Writer writer(metadata.vrs);
  const TextDecoder text(character_set_of(dataset));
  DcmObject* next = nullptr;
  while ((next = dataset.nextInContainer(next)) != nullptr) {
    auto* element = dynamic_cast<DcmElement*>(next);
    if (element == nullptr) continue;
    const std::uint32_t tag = number_of(element->getTag());
    if (!foreign_group(tag)) writer.add(*element, text, level_object(tag, metadata));
  }
}

nlohmann::json describe_keyword(const std::string& keyword) {
  DcmTag tag;
  // Names and keywords are the same to DCMTK but for what it calls retired.
  const bool found = DcmTag::findTagFromName(keyword.c_str(), tag).good() ||
                     DcmTag::findTagFromName(("RETIRED_" + keyword).c_str(), tag).good();
  const std::optional<Known>& known = known_element(tag);
  if (!found || !known || known->keyword != keyword) return nullptr;
  return {{"tag", fmt::format("{:08X}", number_of(tag))},
          {"vr", DcmVR(DcmVR(known->vr).getValidEVR()).getValidVRName()},
          {"several", known->several_values},
          {"level", to_string(level_of(number_of(tag)))}};
}

void add_left_out(std::uint32_t tag, const std::string& vr, Metadata& metadata) {
  const DcmTagKey key(static_cast<Uint16>(tag >> 16), static_cast<Uint16>(tag & 0xFFFF));
  Writer(metadata.vrs).add_null(key, vr, level_object(tag, metadata));
}

}  // namespace isthmus::datastore
