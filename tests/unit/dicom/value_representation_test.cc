// Values by their VR, after PS3.5 section 6.2, Table 6.2-1.
#include "dicom/value_representation.h"

#include <gtest/gtest.h>

#include <string>

namespace isthmus::dicom {
namespace {

struct Case {
  std::string vr, value;
};

std::string ideographs(std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += "\xE5\xB1\xB1";
  return text;
}

TEST(ValueRepresentation, TakesWhatTheStandardAllows) {
  const Case cases[] = {
      {"AE", "ISTHMUS_1"},
      {"AS", "042Y"},
      {"CS", "A_B 0123456789AB"},
      {"DA", "20240229"},
      {"DS", "-1.234567890E+05"},
      {"DS", " 70.5 "},
      {"DT", "20260131093000.123456+0100"},
      {"DT", "2026"},
      {"IS", "-2147483648"},
      {"IS", "+7"},
      {"TM", "0930"},
      {"TM", "235959.999999"},
      {"UI", "1.2.840.10008.1.1"},
      {"UR", "https://example.org/a"},
      {"SH", ideographs(16)},
      {"LO", ideographs(64)},
      {"LO", "padded" + std::string(100, ' ')},
      {"UC", std::string(100'000, 'x')},
      {"ST", "two\r\nlines, a back\\slash"},
      {"LT", std::string(10'240, 'x')},
      {"UT", std::string(100'000, 'x')},
      {"PN", "A^B^C^D^E=" + ideographs(64) + "=F"},
      {"PN", "=" + ideographs(3)},
      {"OB", "\x01"},
      {"ZZ", "whatever"},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(misfit(one.vr, one.value), "") << one.vr << " " << one.value;
  }
}

TEST(ValueRepresentation, TakesNothingAsAValueOfEveryVr) {
  for (const char* vr : {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR", "SH", "LO",
                         "UC", "ST", "LT", "UT", "PN"}) {
    EXPECT_EQ(misfit(vr, ""), "") << vr;
    EXPECT_EQ(misfit(vr, "  "), "") << vr;
  }
}

TEST(ValueRepresentation, SaysWhatIsWrong) {
  const Case cases[] = {
      {"AE", "SEVENTEEN_LETTERS"},
      {"AS", "42"},
      {"AS", "042X"},
      {"CS", "lower"},
      {"CS", "SEVENTEEN_LETTERS"},
      {"CS", "A\\B"},
      {"DA", "2026-01-31"},
      {"DA", "2026.01.31"},
      {"DA", "20261301"},
      {"DA", "20260230"},
      {"DA", "2026"},
      {"DS", "1,5"},
      {"DS", "12345678901234567"},
      {"DT", "20260230"},
      {"DT", "yesterday"},
      {"IS", "1.5"},
      {"IS", "2147483648"},
      {"IS", "-2147483649"},
      {"TM", "09:30"},
      {"TM", "250000"},
      {"UI", "1.2.x"},
      {"UI", "1.02"},
      {"UI", std::string(65, '1')},
      {"UR", "two words"},
      {"SH", std::string(17, 'x')},
      {"SH", "A\\B"},
      {"SH", "A\nB"},
      {"LO", ideographs(65)},
      {"LO", std::string("A\0B", 3)},
      {"UC", "A\\B"},
      {"ST", std::string(1'025, 'x')},
      {"LT", std::string(10'241, 'x')},
      {"UT",
       "A\x1B"
       "B"},
      {"PN", std::string(65, 'x')},
      {"PN", "A^B^C^D^E^F"},
      {"PN", "A=B=C=D"},
      {"PN", "A\\B"},
  };
  for (const Case& one : cases) {
    EXPECT_NE(misfit(one.vr, one.value), "") << one.vr << " " << one.value;
  }
}

}  // namespace
}  // namespace isthmus::dicom
