#include "base/ids.h"

namespace isthmus {

std::optional<Uid> Uid::parse(std::string_view text) {
  if (text.empty() || text.size() > 64 || text.front() == '.' || text.back() == '.') {
    return std::nullopt;
  }
  char before = '\0';
  for (const char c : text) {
    if (c == '.' ? before == '.' : (c < '0' || c > '9')) return std::nullopt;
    before = c;
  }
  Uid uid;
  uid.text_ = text;
  return uid;
}

}  // namespace isthmus
