// Whether the values of a DICOM JSON element are what its VR allows, so that a caller hears it
// before anything is ordered. Private to api. Pure, but for the data dictionary.
#pragma once

#include <nlohmann/json.hpp>

#include "base/result.h"
#include "wire/dicom_json_values.h"

namespace isthmus::api {

// Of an element that wire::metadata_value() has read, its sequences included. The dictionary's VR
// counts, whatever the element says its vr is, but for numbers and bytes, of which the dictionary
// leaves a choice. What is not in the dictionary is checked by the vr that it has. Errors:
// "api.bad_value" (permanent); the message names the attribute, never a value.
Result<void> check_values(const nlohmann::json& element, const wire::ElementForm& form,
                          const wire::FormLookup& look_up);

}  // namespace isthmus::api
