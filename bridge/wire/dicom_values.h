// From values as an image set's metadata document has them (contracts/healthimaging/README.md
// section 4) to elements as a data set has them (PS3.5 sections 6.2 and 7.1). No I/O.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/dicom_json.h"

namespace isthmus::wire {

enum class Repertoire { ascii, latin1, utf8 };

struct ElementEncoding {
  bool implicit_vr = false;
  bool big_endian = false;
  Repertoire repertoire = Repertoire::ascii;
};

// Head and value of one element, padded to even length. `value` is a JSON text: null is an element
// without a value, a list has several, sequences are lists of objects whose names `look_up` knows.
// "metadata.unsupported" (permanent) when the value is not of the VR's form, is too long for it, or
// has characters that are not in the repertoire; the message names the element, never the value.
Result<std::string> print_element(std::uint32_t tag, std::string_view vr, std::string_view value,
                                  const ElementEncoding& encoding, const ElementLookup& look_up);

// Whether a JSON text has characters beyond ASCII.
bool is_ascii(std::string_view value);

}  // namespace isthmus::wire
