// What the values of a step say. Private to the pipeline. Pure.
#pragma once

#include "model/metadata_update.h"

namespace isthmus {

// Whether `stored` is what the step wants, attribute by attribute.
inline bool has_what_is_wanted(const MetadataStep& step, const MetadataValues& stored) {
  for (std::size_t i = 0; i < step.values.size(); ++i) {
    if (i >= stored.size() || !same_value(stored[i], step.values[i].wanted)) return false;
  }
  return true;
}

// Whether somebody else changed one of the attributes to something else than what is wanted. Then
// `found` is set in those of the values.
inline bool is_touched(std::vector<MetadataStepValue>& values, const MetadataValues& stored) {
  bool touched = false;
  for (std::size_t i = 0; i < values.size() && i < stored.size(); ++i) {
    if (same_value(stored[i], values[i].before) || same_value(stored[i], values[i].wanted)) {
      continue;
    }
    values[i].found = stored[i];
    touched = true;
  }
  return touched;
}

// The values anew, with what is stored now as what was there before.
inline std::vector<MetadataStepValue> based_on(std::vector<MetadataStepValue> values,
                                               const MetadataValues& stored) {
  for (std::size_t i = 0; i < values.size() && i < stored.size(); ++i) {
    values[i].before = stored[i];
    values[i].found.reset();
  }
  return values;
}

}  // namespace isthmus
