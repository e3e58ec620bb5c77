#include "datastore/api/media_types.h"

namespace isthmus::datastore {
namespace {

struct MediaType {
  std::string_view syntax;
  std::string_view type;
};

constexpr MediaType kTypes[] = {
    {"1.2.840.10008.1.2.4.50", "image/jpeg"},
    {"1.2.840.10008.1.2.4.90", "image/j2c"},
    {"1.2.840.10008.1.2.4.91", "image/j2c"},
    {"1.2.840.10008.1.2.4.112", "image/jxl"},
    {"1.2.840.10008.1.2.4.202", "image/jph"},
    {"1.2.840.10008.1.2.4.203", "image/jphc"},
    {"1.2.840.10008.1.2.4.107", "video/H256"},
    {"1.2.840.10008.1.2.4.108", "video/H256"},
    // Not among those of GetImageFrame, which transcodes them: DICOMweb gives them as they came
    // (PS3.18 table 8.7.3-5).
    {"1.2.840.10008.1.2.4.51", "image/jpeg"},
    {"1.2.840.10008.1.2.4.57", "image/jpeg"},
    {"1.2.840.10008.1.2.4.70", "image/jpeg"},
    {"1.2.840.10008.1.2.4.80", "image/jls"},
    {"1.2.840.10008.1.2.4.81", "image/jls"},
    {"1.2.840.10008.1.2.4.92", "image/jpx"},
    {"1.2.840.10008.1.2.4.93", "image/jpx"},
    {"1.2.840.10008.1.2.4.201", "image/jphc"},
    {"1.2.840.10008.1.2.5", "image/dicom-rle"},
};

// Names for the same.
constexpr std::string_view kSame[][2] = {{"image/jphc", "image/jph"},
                                         {"image/jp2", "image/j2c"},
                                         {"image/x-jls", "image/jls"},
                                         {"image/x-dicom-rle", "image/dicom-rle"},
                                         {"video/mpeg2", "video/mpeg"}};

std::string_view first_name(std::string_view type) {
  for (const auto& [other, name] : kSame) {
    if (type == other) return name;
  }
  return type;
}

// "….101" and "….101.1", its fragmentable sister.
bool is_between(std::string_view syntax, std::string_view first, std::string_view last) {
  if (syntax.ends_with(".1")) syntax.remove_suffix(2);
  return syntax.size() == first.size() && syntax >= first && syntax <= last;
}

}  // namespace

std::string_view frame_media_type(std::string_view stored_syntax) {
  for (const MediaType& known : kTypes) {
    if (known.syntax == stored_syntax) return known.type;
  }
  if (is_between(stored_syntax, "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.101")) {
    return "video/mpeg";
  }
  if (is_between(stored_syntax, "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.106")) {
    return "video/mp4";
  }
  return "application/octet-stream";
}

bool is_same_image_type(std::string_view one, std::string_view other) {
  return first_name(one) == first_name(other);
}

}  // namespace isthmus::datastore
