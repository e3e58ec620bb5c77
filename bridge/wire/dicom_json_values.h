// The other direction of wire/dicom_json.h: from the DICOM JSON model (PS3.18 Annex F) to values as
// an image set's metadata document has them (contracts/healthimaging/README.md section 4). No I/O.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace isthmus::wire {

struct ElementForm {
  std::string key;  // keyword, or eight hex digits
  std::string vr;
  bool several_values = false;
};
// What a tag ("00100010") or a keyword stands for; nothing when nobody knows.
using FormLookup = std::function<std::optional<ElementForm>(std::string_view name)>;

// The value of one element: {"vr":"PN","Value":[{"Alphabetic":"Doe^Jane"}]} is "Doe^Jane". Without
// Value it is null. Elements inside sequences that nobody knows keep their tags.
// "api.bad_attribute" (permanent) when it is not of the model's form; the message names the
// element, never a value.
Result<nlohmann::json> metadata_value(const nlohmann::json& element, const ElementForm& form,
                                      const FormLookup& look_up);

}  // namespace isthmus::wire
