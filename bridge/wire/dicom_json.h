// The DICOM JSON model (PS3.18 Annex F), made of metadata in HealthImaging's form: keyword keys and
// bare values (contracts/healthimaging/README.md section 4). No I/O.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace isthmus::wire {

struct DicomElement {
  std::string tag;  // "00100010"
  std::string vr;   // "PN"
};
// What a keyword stands for; nothing when nobody knows.
using ElementLookup = std::function<std::optional<DicomElement>(std::string_view keyword)>;

// One element of the model: {"vr":"PN","Value":[{"Alphabetic":"Doe^Jane"}]}. Padding goes (PS3.18
// section F.2.2); numbers as text (DS, IS) become numbers where they are some; bytes are
// InlineBinary; null is an element without a value. Sequences use `look_up` and `vrs` inside.
nlohmann::json dicom_json_element(const nlohmann::json& value, std::string_view vr,
                                  const nlohmann::json& vrs, const ElementLookup& look_up);

// Adds the elements of one "DICOM" object. Keys of eight hex digits have their VR in `vrs`
// ("DICOMVRs"), else UN. Group 0002 and keywords that nobody knows are left out.
void add_dicom_json(const nlohmann::json& attributes, const nlohmann::json& vrs,
                    const ElementLookup& look_up, nlohmann::json& into);

}  // namespace isthmus::wire
