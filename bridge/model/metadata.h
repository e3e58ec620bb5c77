// Changes of metadata that was imported: what a caller wants to have set or removed, told by the
// image set document's own names (contracts/healthimaging/README.md, sections 4 and 5).
//
// Values are JSON texts as the document holds them: "\"DOE^JANE\"", "[\"1\",\"2\"]", "null". They
// are patient data: never in a log, a metric or an error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/metadata_levels.h"

namespace isthmus {

enum class AttributeAction { set, remove, remove_instance };
std::string_view to_string(AttributeAction action);
std::optional<AttributeAction> attribute_action_from(std::string_view text);

// One attribute of one level; or a whole instance (remove_instance), which has no key.
struct AttributeChange {
  AttributeAction action = AttributeAction::set;
  MetadataLevel level = MetadataLevel::instance;
  std::string series_instance_uid;   // of series and instances
  std::string sop_instance_uid;      // of instances
  std::string key;                   // PS3.6 keyword; of private elements eight hex digits
  std::string vr;                    // of private elements that are set; else it may be empty
  std::optional<std::string> value;  // of `set`
  // What the caller believes to be stored: another value is a conflict.
  std::optional<std::string> expected;

  // What it leaves behind: nothing when it is removed.
  const std::optional<std::string>& wanted() const { return value; }
  bool operator==(const AttributeChange&) const = default;
};

struct MetadataChange {
  std::vector<AttributeChange> attributes;
  bool force = false;  // guarded attributes, named by the caller, are among them
};

// Of one image set, one for each attribute of a change, in its order: what is stored. Of instances
// to be removed "{}" while they are there.
using MetadataValues = std::vector<std::optional<std::string>>;

// Whether two values say the same: trailing spaces are padding (PS3.5 section 6.2).
bool same_value(const std::optional<std::string>& a, const std::optional<std::string>& b);

// Patient and study level alone: what all image sets of a study share.
bool is_of_whole_study(const MetadataChange& change);

// An image set as its service has it now.
struct ImageSetStatus {
  enum class Phase { settled, changing, gone };
  Phase phase = Phase::settled;
  std::int64_t version = 0;  // the newest
  bool primary = false;
  bool update_failed = false;  // the newest version is of an update that could not be done
  std::string message;         // the service's words; they may hold patient data
};

}  // namespace isthmus
