#include "wire/dicom_values.h"

#include <gmock/gmock.h>

#include "support/dicom_factory.h"
#include "support/matchers.h"

namespace isthmus::test {
namespace {

using wire::ElementEncoding;
using wire::Repertoire;

std::optional<wire::DicomElement> look_up(std::string_view name) {
  if (name == "ReferencedSOPInstanceUID") return wire::DicomElement{"00081155", "UI"};
  if (name == "CodeMeaning") return wire::DicomElement{"00080104", "LO"};
  if (name == "ConceptNameCodeSequence") return wire::DicomElement{"0040A043", "SQ"};
  return std::nullopt;
}

Result<std::string> print(std::uint32_t tag, std::string_view vr, std::string_view value,
                          const ElementEncoding& encoding = {}) {
  return wire::print_element(tag, vr, value, encoding, look_up);
}

const ElementEncoding kLittle{}, kImplicit{.implicit_vr = true}, kBig{.big_endian = true};

ElementEncoding encoding_of(DicomWriter::Syntax syntax) {
  return {.implicit_vr = syntax == DicomWriter::Syntax::implicit_little,
          .big_endian = syntax == DicomWriter::Syntax::explicit_big};
}

TEST(PrintElement, AgreesWithAnotherWriter) {
  for (const auto syntax :
       {DicomWriter::Syntax::explicit_little, DicomWriter::Syntax::implicit_little,
        DicomWriter::Syntax::explicit_big}) {
    const ElementEncoding encoding = encoding_of(syntax);
    const auto written = [&](const std::function<void(DicomWriter&)>& write) {
      DicomWriter writer(syntax);
      write(writer);
      return writer.bytes();
    };
    EXPECT_EQ(*print(0x00100010, "PN", R"("A^B")", encoding),
              written([](auto& w) { w.element(0x00100010, "PN", "A^B"); }));
    EXPECT_EQ(*print(0x00080008, "CS", R"(["ORIGINAL","PRIMARY"])", encoding),
              written([](auto& w) { w.element(0x00080008, "CS", "ORIGINAL\\PRIMARY"); }));
    EXPECT_EQ(*print(0x00280010, "US", "513", encoding),
              written([](auto& w) { w.us(0x00280010, 513); }));
    EXPECT_EQ(*print(0x00080018, "UI", R"("2.25.7")", encoding),
              written([](auto& w) { w.element(0x00080018, "UI", "2.25.7"); }));
    EXPECT_EQ(*print(0x00100040, "CS", "null", encoding),
              written([](auto& w) { w.element(0x00100040, "CS", ""); }));
    EXPECT_EQ(*print(0x00082112, "SQ",
                     R"([{"ReferencedSOPInstanceUID":"2.25.7"},{"CodeMeaning":"x"}])", encoding),
              written([&](auto& w) {
                w.sequence(0x00082112,
                           {written([](auto& i) { i.element(0x00081155, "UI", "2.25.7"); }),
                            written([](auto& i) { i.element(0x00080104, "LO", "x"); })},
                           false);
              }));
  }
}

TEST(PrintElement, WritesNumbersOfEveryKind) {
  const auto value = [](std::string_view vr, std::string_view text) {
    return print(0x00090000, vr, text)->substr(8);
  };
  EXPECT_EQ(value("SS", "-2"), std::string("\xFE\xFF", 2));
  EXPECT_EQ(value("UL", "[1,2]"), std::string("\1\0\0\0\2\0\0\0", 8));
  EXPECT_EQ(value("SL", "-1"), std::string("\xFF\xFF\xFF\xFF", 4));
  EXPECT_EQ(value("FL", "1.5"), std::string("\0\0\xC0\x3F", 4));
  EXPECT_EQ(value("FD", "1"), std::string("\0\0\0\0\0\0\xF0\x3F", 8));
  EXPECT_EQ(value("AT", R"("00100020")"), std::string("\x10\0\x20\0", 4));
  EXPECT_EQ(*print(0x00090000, "OW", R"("AQI=")", kBig),
            std::string("\0\x09\0\0OW\0\0\0\0\0\x02\x02\x01", 14));
  EXPECT_EQ(print(0x00090000, "UN", R"("AQID")")->substr(12), std::string("\1\2\3\0", 4));
}

TEST(PrintElement, RefusesWhatDoesNotFit) {
  const auto refused = FailsWith("metadata.unsupported", Fate::permanent);
  EXPECT_THAT(print(0x00280010, "US", "65536"), refused);
  EXPECT_THAT(print(0x00280010, "US", "-1"), refused);
  EXPECT_THAT(print(0x00280010, "US", R"("x")"), refused);
  EXPECT_THAT(print(0x00280010, "SS", "1.5"), refused);
  EXPECT_THAT(print(0x00100010, "PN", "{}"), refused);
  EXPECT_THAT(print(0x00100010, "ZZ", R"("x")"), refused);
  EXPECT_THAT(print(0x00080001, "OB", R"("no base64")"), refused);
  EXPECT_THAT(print(0x00080001, "OW", R"("AQ==")"), refused);
  EXPECT_THAT(print(0x00090001, "AT", R"("nonsense")"), refused);
  EXPECT_THAT(print(0x00082112, "SQ", R"([{"Unknown":"x"}])"), refused);
  EXPECT_THAT(print(0x00082112, "SQ", R"(["x"])"), refused);
  EXPECT_THAT(print(0x00100010, "PN", "not JSON"), refused);
  EXPECT_THAT(print(0x00104000, "LT", '"' + std::string(70'000, 'x') + '"'), refused);
  EXPECT_THAT(print(0x00104000, "LT", '"' + std::string(70'000, 'x') + '"', kImplicit), IsOk());
}

TEST(PrintElement, GoesNoDeeperThanItsLimit) {
  std::string value = R"([{"CodeMeaning":"x"}])";
  for (int i = 0; i < 20; ++i) value = R"([{"ConceptNameCodeSequence":)" + value + "}]";

  EXPECT_THAT(print(0x0040A043, "SQ", value), FailsWith("metadata.unsupported"));
}

TEST(PrintElement, WritesTheCharactersThatTheDataSetHas) {
  const std::string umlaut = "\"J\xC3\xB6rg\"", kanji = "\"\xE5\xB1\xB1\"";
  const auto value = [](const std::string& text, Repertoire repertoire) {
    return print(0x00100010, "PN", text, {.repertoire = repertoire});
  };
  EXPECT_FALSE(wire::is_ascii(umlaut));
  EXPECT_TRUE(wire::is_ascii("\"Jorg\""));
  EXPECT_EQ(value(umlaut, Repertoire::utf8)->substr(8), "J\xC3\xB6rg ");
  EXPECT_EQ(value(umlaut, Repertoire::latin1)->substr(8), "J\xF6rg");
  EXPECT_THAT(value(umlaut, Repertoire::ascii), FailsWith("metadata.unsupported"));
  EXPECT_THAT(value(kanji, Repertoire::latin1), FailsWith("metadata.unsupported"));
}

}  // namespace
}  // namespace isthmus::test
