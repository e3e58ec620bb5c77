// Text of a data set in UTF-8, whatever its SpecificCharacterSet; what cannot be explained becomes
// U+FFFD, so that the answer is JSON in any case.
#pragma once

#include <string>
#include <string_view>

namespace isthmus::datastore {

class TextDecoder {
 public:
  // The value of (0008,0005), its values separated by backslashes; empty: the default repertoire.
  // Unknown ones: ASCII, and everything else is replaced.
  explicit TextDecoder(std::string_view specific_character_set);

  // The value of an element whose VR depends on the character set (PS3.5 section 6.1.2.3), trailing
  // NULs gone. `delimiters` are where code extensions end: "\\^=" for PN, "\\" for those with
  // values.
  std::string decode(std::string_view value, std::string_view delimiters) const;

 private:
  enum class Kind { single_bytes, utf8, multi_byte };

  Kind kind_ = Kind::single_bytes;
  // By the C library's names: of the whole text when kind_ is multi_byte, else of the upper half
  // before any escape sequence. Null: nothing is there.
  const char* encoding_ = nullptr;
};

// ASCII as it is, all else U+FFFD, trailing NULs gone: for VRs of the default repertoire only.
std::string ascii_text(std::string_view value);
// Valid UTF-8 as it is, each byte that is not part of some as U+FFFD. NULs inside are replaced too.
std::string clean_utf8(std::string_view value);

}  // namespace isthmus::datastore
