#include "dicom/splice.h"

#include <gmock/gmock.h>

#include "support/dicom_factory.h"
#include "support/matchers.h"

namespace isthmus::test {
namespace {

using dicom::NewElement;
using dicom::Piece;

constexpr std::uint32_t kName = 0x00100010, kId = 0x00100020, kComments = 0x00104000;

// A sequence in front of what is changed, whose items have the same tags.
std::string sample(DicomWriter::Syntax syntax, bool undefined) {
  DicomWriter item(syntax);
  item.element(kName, "PN", "Inner");
  DicomWriter writer(syntax);
  writer.element(0x00080005, "CS", "ISO_IR 100")
      .sequence(0x00081140, {item.bytes(), item.bytes()}, undefined)
      .element(kName, "PN", "Outer")
      .element(kId, "LO", "SYNTHETIC")
      .element(0x00280010, "US", std::string("\x08\0", 2))
      .element(0x7FE00010, "OW", std::string(64, 'p'));
  return writer.bytes();
}

std::string uid_of(DicomWriter::Syntax syntax) {
  return std::string(syntax == DicomWriter::Syntax::explicit_big      ? kExplicitBig
                     : syntax == DicomWriter::Syntax::implicit_little ? kImplicitLittle
                                                                      : kExplicitLittle);
}

std::string joined(const std::string& old, const std::vector<Piece>& pieces) {
  std::string text;
  for (const Piece& piece : pieces) {
    text += piece.bytes.empty() ? old.substr(piece.begin, piece.end - piece.begin) : piece.bytes;
  }
  return text;
}

struct Spliced {
  std::string text;
  dicom::TopLevel top;
};
Result<Spliced> spliced(const std::string& old, const std::string& uid,
                        std::vector<NewElement> elements, std::uint32_t last = kComments) {
  const auto source = source_of(old);
  TRY_ASSIGN(auto top, dicom::read_top_level(*source, uid, last));
  std::string text = joined(old, dicom::splice(top, std::move(elements)));
  return Spliced{std::move(text), std::move(top)};
}

class Splice : public testing::TestWithParam<std::tuple<DicomWriter::Syntax, bool>> {
 protected:
  const DicomWriter::Syntax syntax = std::get<0>(GetParam());
  const std::string old = sample(syntax, std::get<1>(GetParam()));
  const std::string uid = uid_of(syntax);
};

INSTANTIATE_TEST_SUITE_P(Syntaxes, Splice,
                         testing::Combine(testing::Values(DicomWriter::Syntax::explicit_little,
                                                          DicomWriter::Syntax::implicit_little,
                                                          DicomWriter::Syntax::explicit_big),
                                          testing::Bool()));

TEST_P(Splice, LeavesEverythingWithoutChanges) {
  ASSERT_OK_AND_ASSIGN(const Spliced got, spliced(old, uid, {}));

  EXPECT_EQ(got.text, old);
  EXPECT_EQ(got.top.character_set, "ISO_IR 100");
}

TEST_P(Splice, ReplacesAtTheTopLevelAlone) {
  ASSERT_OK_AND_ASSIGN(const Spliced got, spliced(old, uid, {{kName, "<new>"}}));

  DicomWriter name(syntax);
  name.element(kName, "PN", "Outer");
  std::string wanted = old;
  wanted.replace(wanted.rfind(name.bytes()), name.bytes().size(), "<new>");
  EXPECT_EQ(got.text, wanted);
}

TEST_P(Splice, InsertsInTheOrderOfTagsAndRemoves) {
  ASSERT_OK_AND_ASSIGN(
      const Spliced got,
      spliced(old, uid, {{kComments, "<comments>"}, {kId, std::nullopt}, {0x00080001, "<first>"}}));

  DicomWriter id(syntax), rows(syntax);
  id.element(kId, "LO", "SYNTHETIC");
  rows.element(0x00280010, "US", std::string("\x08\0", 2));
  std::string wanted = old;
  wanted.replace(wanted.find(id.bytes()), id.bytes().size(), "");
  wanted.insert(wanted.find(rows.bytes()), "<comments>");
  EXPECT_EQ(got.text, "<first>" + wanted);
}

TEST_P(Splice, AppendsBehindTheLastElement) {
  DicomWriter writer(syntax);
  writer.element(kId, "LO", "SYNTHETIC");

  ASSERT_OK_AND_ASSIGN(const Spliced got, spliced(writer.bytes(), uid, {{kComments, "<last>"}}));

  EXPECT_EQ(got.text, writer.bytes() + "<last>");
}

TEST_P(Splice, RemovesNothingThatIsNotThere) {
  ASSERT_OK_AND_ASSIGN(const Spliced got, spliced(old, uid, {{kComments, std::nullopt}}));

  EXPECT_EQ(got.text, old);
}

TEST(SpliceRefuses, WhatIsDeflatedOrBroken) {
  EXPECT_THAT(spliced(deflated(sample(DicomWriter::Syntax::explicit_little, false)),
                      std::string(kDeflated), {}),
              FailsWith("dicom.unsupported", Fate::permanent));
  const std::string cut = sample(DicomWriter::Syntax::explicit_little, false).substr(0, 40);
  EXPECT_FALSE(spliced(cut, std::string(kExplicitLittle), {}).ok());
}

}  // namespace
}  // namespace isthmus::test
