#include "datastore/api/media_types.h"

namespace isthmus::datastore {
namespace {

struct MediaType {
  std::string_view syntax;
  std::string_view type;
};

constexpr MediaType kTypes[] = {
    {"1.2.840.10008.1.2.4.50", "image/jpeg"},  {"1.2.840.10008.1.2.4.90", "image/j2c"},
    {"1.2.840.10008.1.2.4.91", "image/j2c"},   {"1.2.840.10008.1.2.4.112", "image/jxl"},
    {"1.2.840.10008.1.2.4.202", "image/jph"},  {"1.2.840.10008.1.2.4.203", "image/jphc"},
    {"1.2.840.10008.1.2.4.107", "video/H256"}, {"1.2.840.10008.1.2.4.108", "video/H256"},
};

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

}  // namespace isthmus::datastore
