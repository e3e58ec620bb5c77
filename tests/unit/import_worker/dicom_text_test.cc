#include "datastore/engine/dicom_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace isthmus::datastore {
namespace {

constexpr std::string_view kPn = "\\^=";

std::string decoded(std::string_view character_set, std::string_view value) {
  return TextDecoder(character_set).decode(value, kPn);
}

TEST(DicomText, InTheDefaultRepertoireIsAsciiAndNothingElse) {
  EXPECT_EQ(decoded("", "Synthetic^Name "), "Synthetic^Name ");
  EXPECT_EQ(decoded("ISO_IR 6", "J\xE9r\xF4me"), "J\xEF\xBF\xBDr\xEF\xBF\xBDme");
  EXPECT_EQ(decoded("ISO_IR 999", "a\x80z"), "a\xEF\xBF\xBDz");
  EXPECT_EQ(ascii_text(std::string_view("CT\0", 3)), "CT");
}

TEST(DicomText, IsReadInEverySingleByteSet) {
  EXPECT_EQ(decoded("ISO_IR 100", "J\xE9r\xF4me"), "Jérôme");
  EXPECT_EQ(decoded("ISO_IR 101", "Wa\xB3\xEAsa"), "Wałęsa");
  EXPECT_EQ(decoded("ISO_IR 144", "\xBB\xEE\xDA"), "Люк");
  EXPECT_EQ(decoded("ISO_IR 126", "\xC4\xE9\xEF"), "Διο");
  EXPECT_EQ(decoded("ISO_IR 138", "\xF9\xF8"), "שר");
  EXPECT_EQ(decoded("ISO_IR 127", "\xE2\xC8"), "قب");
  EXPECT_EQ(decoded("ISO_IR 148", "\xFD"), "ı");
  EXPECT_EQ(decoded("ISO_IR 203", "\xA4"), "€");
  EXPECT_EQ(decoded("ISO_IR 166", "\xB9"), "น");
  EXPECT_EQ(decoded("ISO_IR 13", "\xD4\xCF"), "ﾔﾏ");
  EXPECT_EQ(decoded("ISO 2022 IR 100\\ISO 2022 IR 126", "\xE9\x1B-F\xE9"), "éι");
}

// PS3.5 Annex H, I and K have these names.
TEST(DicomText, IsReadThroughCodeExtensions) {
  EXPECT_EQ(decoded("\\ISO 2022 IR 87",
                    "Yamada^Tarou=\x1B$B;3ED\x1B(B^\x1B$BB@O:\x1B(B=\x1B$B$d$^$@\x1B(B^\x1B$B$?$m$&"
                    "\x1B(B"),
            "Yamada^Tarou=山田^太郎=やまだ^たろう");
  EXPECT_EQ(decoded("ISO 2022 IR 13\\ISO 2022 IR 87", "\xD4\xCF^\x1B$B;3\x1B(J"), "ﾔﾏ^山");
  EXPECT_EQ(
      decoded("\\ISO 2022 IR 149", "Hong=\x1B$)C\xFB\xF3^\x1B$)C\xD1\xCE\xD4\xD7=\x1B$)C\xC8\xAB"),
      "Hong=洪^吉洞=홍");
  EXPECT_EQ(decoded("\\ISO 2022 IR 58", "\x1B$)A\xD5\xC5"), "张");
}

TEST(DicomText, ForgetsCodeExtensionsAtDelimiters) {
  EXPECT_EQ(decoded("\\ISO 2022 IR 149", "\x1B$)C\xFB\xF3^\xFB"), "洪^\xEF\xBF\xBD");
}

TEST(DicomText, IsReadInTheMultiByteSets) {
  EXPECT_EQ(decoded("GB18030", "Wang=\xCD\xF5^\xD0\xA1\xB6\xAB="), "Wang=王^小东=");
  EXPECT_EQ(decoded("GBK", "\xCD\xF5"), "王");
  // The second byte of this character is a backslash: it separates nothing.
  EXPECT_EQ(decoded("GB18030", "\x81\x5C"), "乗");
  EXPECT_EQ(decoded("GB18030", "\xCD"), "\xEF\xBF\xBD");
}

TEST(DicomText, KeepsValidUtf8AndReplacesTheRest) {
  EXPECT_EQ(decoded("ISO_IR 192", "王^小東 \xF0\x9F\x99\x82"), "王^小東 🙂");
  EXPECT_EQ(clean_utf8("a\xC0\xAFz"), "a\xEF\xBF\xBD\xEF\xBF\xBDz");              // overlong
  EXPECT_EQ(clean_utf8("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");  // a surrogate
  EXPECT_EQ(clean_utf8("\xF4\x90\x80\x80").substr(0, 3), "\xEF\xBF\xBD");         // beyond U+10FFFF
  EXPECT_EQ(clean_utf8("\xE7\x8E"), "\xEF\xBF\xBD\xEF\xBF\xBD");                  // cut
  EXPECT_EQ(clean_utf8(std::string_view("a\0b\0", 4)),
            "a\xEF\xBF\xBD"
            "b");
}

TEST(DicomText, IsAlwaysWhatJsonMayHold) {
  for (const auto* set : {"", "ISO_IR 100", "ISO_IR 192", "GB18030", "\\ISO 2022 IR 87",
                          "ISO 2022 IR 13\\ISO 2022 IR 87", "\\ISO 2022 IR 149", "nonsense"}) {
    for (int first = 0; first < 256; ++first) {
      for (const auto* frame : {"%", "\x1B$B%", "\x1B$)C%", "\x1B%", "%\\%^%", "\x1B$(D%%"}) {
        std::string value;
        for (const char c : std::string_view(frame))
          value += c == '%' ? static_cast<char>(first) : c;

        EXPECT_NO_THROW(nlohmann::json(decoded(set, value)).dump()) << set << " " << first;
      }
    }
  }
}

}  // namespace
}  // namespace isthmus::datastore
