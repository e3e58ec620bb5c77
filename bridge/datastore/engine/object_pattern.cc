#include "datastore/engine/object_pattern.h"

#include <algorithm>

namespace isthmus::datastore {
namespace {

constexpr std::string_view kScheme = "gs://";
constexpr std::string_view kWildcards = "*?";

Error invalid(const char* why) {
  return permanent_error("INVALID_ARGUMENT", std::string("invalid gcsSource.uri: ") + why);
}

// One segment between slashes; the last star is the one to go back to.
bool segment_matches(std::string_view pattern, std::string_view text) {
  std::size_t at = 0, in = 0, star = std::string_view::npos, resume = 0;
  while (in < text.size()) {
    if (at < pattern.size() && (pattern[at] == '?' || pattern[at] == text[in]) &&
        pattern[at] != '*') {
      ++at;
      ++in;
    } else if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      resume = in;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      in = ++resume;
    } else {
      return false;
    }
  }
  while (at < pattern.size() && pattern[at] == '*') ++at;
  return at == pattern.size();
}

}  // namespace

bool is_google_uri(std::string_view uri) {
  return uri.starts_with(kScheme);
}

Result<ObjectPattern> ObjectPattern::parse(std::string_view uri) {
  if (!is_google_uri(uri)) return invalid("it must begin with gs://.");
  uri.remove_prefix(kScheme.size());
  const std::size_t slash = uri.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == uri.size()) {
    return invalid("it must be gs://bucket_id/object_id.");
  }
  ObjectPattern made;
  made.bucket_ = uri.substr(0, slash);
  made.pattern_ = uri.substr(slash + 1);
  const std::string& pattern = made.pattern_;
  if (made.bucket_.find_first_of(kWildcards) != std::string::npos) {
    return invalid("the bucket has a wildcard.");
  }
  const std::size_t first = pattern.find_first_of(kWildcards);
  made.literal_ = first == std::string::npos;
  made.prefix_ = pattern.substr(0, first);
  const std::size_t deep = pattern.find("**");
  if (deep == std::string::npos) return made;
  made.deep_ = true;
  made.ending_ = pattern.substr(deep + 2);
  const bool extension = made.ending_.size() > 1 && made.ending_.front() == '.' &&
                         made.ending_.find_first_of("*?/") == std::string::npos;
  if (first != deep || !(made.ending_.empty() || extension)) {
    return invalid("** stands alone, at the end or in front of a file extension.");
  }
  return made;
}

bool ObjectPattern::matches(std::string_view key) const {
  if (deep_) {
    return key.starts_with(prefix_) && key.size() >= prefix_.size() + ending_.size() &&
           key.ends_with(ending_);
  }
  std::string_view pattern = pattern_;
  while (true) {
    const std::size_t of_pattern = pattern.find('/'), of_key = key.find('/');
    if (!segment_matches(pattern.substr(0, of_pattern), key.substr(0, of_key))) return false;
    if ((of_pattern == std::string_view::npos) != (of_key == std::string_view::npos)) return false;
    if (of_pattern == std::string_view::npos) return true;
    pattern.remove_prefix(of_pattern + 1);
    key.remove_prefix(of_key + 1);
  }
}

}  // namespace isthmus::datastore
