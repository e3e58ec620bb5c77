// The objects that dicomStores.import takes: "gs://bucket/in/**.dcm". Source:
// contracts/google-healthcare section 2. Immutable, any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace isthmus::datastore {

// "gs://", which tells an import of Google's from HealthImaging's.
bool is_google_uri(std::string_view uri);

class ObjectPattern {
 public:
  // "INVALID_ARGUMENT" (permanent) for what is not of the grammar.
  static Result<ObjectPattern> parse(std::string_view uri);

  const std::string& bucket() const { return bucket_; }
  // What every match begins with.
  const std::string& prefix() const { return prefix_; }
  // No wildcard: one object or none.
  bool literal() const { return literal_; }
  bool matches(std::string_view key) const;

 private:
  std::string bucket_, pattern_, prefix_;
  bool literal_ = true;
  bool deep_ = false;   // "**": any object under the prefix …
  std::string ending_;  // … whose name ends so
};

}  // namespace isthmus::datastore
