#include "dicom/probe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "support/dicom_factory.h"
#include "support/matchers.h"

namespace isthmus::dicom {
namespace {

using test::DicomRecipe;
using test::DicomWriter;
using test::FailsWith;
using test::IsOk;
using test::kExplicitBig;
using test::kExplicitLittle;
using test::kImplicitLittle;

Result<Identity> probe(std::string_view dataset, std::string_view syntax, std::size_t piece = 0,
                       ProbeLimits limits = {}) {
  const std::unique_ptr<Probe> probe = make_probe(syntax, limits);
  ByteSpan left = as_bytes(dataset);
  while (!left.empty()) {
    const std::size_t count = piece == 0 ? left.size() : std::min(piece, left.size());
    probe->feed(left.first(count));
    left = left.subspan(count);
  }
  return probe->finish();
}

// What a result says, for comparing results of different splits.
std::string told(const Result<Identity>& result) {
  if (!result.ok()) return result.error().code + " " + result.error().message;
  return result->sop_class_uid.text() + " " + result->sop_instance_uid.text() + " " +
         result->series_instance_uid.text() + " " + result->study_instance_uid.text() + " " +
         result->patient_id + " " + result->modality;
}

const std::vector<std::string> kSyntaxes{std::string(kExplicitLittle),
                                         std::string(kImplicitLittle),
                                         std::string(kExplicitBig),
                                         std::string(test::kDeflated),
                                         std::string(test::kJpegBaseline),
                                         std::string(test::kHtj2kLossless),
                                         "1.2.3.4.5.6.7"};

// Identity elements, each by its own, for data sets that lack or twist one.
DicomWriter& put_head(DicomWriter& w) {
  return w.element(0x00080016, "UI", test::kCtImageStorage).element(0x00080018, "UI", "2.25.3");
}
DicomWriter& put_tail(DicomWriter& w) {
  return w.element(0x00080060, "CS", "MR")
      .element(0x00100020, "LO", "SYN")
      .element(0x0020000D, "UI", "2.25.1")
      .element(0x0020000E, "UI", "2.25.2");
}

TEST(Probe, ReadsTheIdentityInEverySyntax) {
  for (const std::string& syntax : kSyntaxes) {
    DicomRecipe recipe{.transfer_syntax_uid = syntax};

    ASSERT_OK_AND_ASSIGN(const Identity identity, probe(test::make_dataset(recipe), syntax));

    EXPECT_EQ(identity.sop_class_uid.text(), recipe.sop_class_uid) << syntax;
    EXPECT_EQ(identity.sop_instance_uid.text(), recipe.sop_instance_uid) << syntax;
    EXPECT_EQ(identity.series_instance_uid.text(), recipe.series_instance_uid) << syntax;
    EXPECT_EQ(identity.study_instance_uid.text(), recipe.study_instance_uid) << syntax;
    EXPECT_EQ(identity.patient_id, recipe.patient_id) << syntax;
    EXPECT_EQ(identity.modality, recipe.modality) << syntax;
    EXPECT_EQ(identity.accession_number, recipe.accession_number) << syntax;
  }
}

TEST(Probe, SaysTheSameHoweverTheInputIsSplit) {
  for (const std::string& syntax : kSyntaxes) {
    const std::string dataset = test::make_dataset({.transfer_syntax_uid = syntax});
    const std::string whole = told(probe(dataset, syntax));

    for (std::size_t piece = 1; piece <= 40; ++piece) {
      ASSERT_EQ(told(probe(dataset, syntax, piece)), whole) << syntax << " by " << piece;
    }
    for (std::size_t split = 0; split <= dataset.size(); ++split) {
      const std::unique_ptr<Probe> two = make_probe(syntax);
      two->feed(as_bytes(dataset).first(split));
      two->feed(as_bytes(dataset).subspan(split));
      ASSERT_EQ(told(two->finish()), whole) << syntax << " at " << split;
    }
  }
}

TEST(Probe, SaysTheSameOfBrokenInputHoweverItIsSplit) {
  const std::string dataset = test::make_dataset({});
  for (std::size_t at = 0; at < 700; at += 3) {
    std::string broken = dataset;
    broken[at] = static_cast<char>(broken[at] ^ 0x5A);
    const std::string whole = told(probe(broken, kExplicitLittle));

    for (const std::size_t piece : {1U, 2U, 5U, 7U, 11U, 64U}) {
      ASSERT_EQ(told(probe(broken, kExplicitLittle, piece)), whole) << at << " by " << piece;
    }
  }
}

TEST(Probe, SeesWhatRoutesLookAt) {
  for (const std::string& syntax : kSyntaxes) {
    const DicomRecipe recipe{.transfer_syntax_uid = syntax,
                             .institution_name = "General Hospital",
                             .study_description = "CT Chest"};
    const std::unique_ptr<Probe> probe = make_probe(syntax);

    probe->feed(as_bytes(test::make_dataset(recipe)));

    EXPECT_EQ(probe->seen_institution_name(), "General Hospital") << syntax;
    EXPECT_EQ(probe->seen_study_description(), "CT Chest") << syntax;
  }
}

TEST(Probe, KeepsNoMoreOfAFreeTextThanItMayBeLong) {
  const DicomRecipe recipe{.study_description = std::string(4000, 'x')};
  const std::unique_ptr<Probe> probe = make_probe(kExplicitLittle);

  probe->feed(as_bytes(test::make_dataset(recipe)));

  EXPECT_EQ(probe->seen_study_description(), std::string(256, 'x'));
  EXPECT_EQ(probe->seen_institution_name(), "");
  EXPECT_TRUE(probe->finish().ok());
}

TEST(Probe, IsDoneBeforePixelDataComes) {
  const DicomRecipe recipe{.rows = 512, .columns = 512};
  const std::string dataset = test::make_dataset(recipe);
  const std::unique_ptr<Probe> probe = make_probe(kExplicitLittle);

  EXPECT_EQ(probe->feed(as_bytes(dataset).first(1000)), Probe::State::done);
  EXPECT_THAT(probe->finish(), IsOk());
}

TEST(Probe, TakesNothingFromInsideSequences) {
  for (const bool undefined : {false, true}) {
    for (const std::string_view vr : {"SQ", "UN"}) {
      if (vr == "UN" && !undefined) continue;  // opaque then
      // Inside UN the items are in Implicit VR (CP-246).
      DicomWriter inner(vr == "UN" ? DicomWriter::Syntax::implicit_little
                                   : DicomWriter::Syntax::explicit_little);
      inner.element(0x00080018, "UI", "9.9.9").element(0x0020000D, "UI", "9.9.8");
      inner.element(0x0020000E, "UI", "9.9.7").element(0x00100020, "LO", "INNER");
      DicomWriter w;
      w.sequence(0x00080006, {inner.bytes(), inner.bytes()}, undefined, vr);
      put_tail(put_head(w).sequence(0x00081140, {inner.bytes()}, undefined, vr));
      // Out of order, so that the probe looks on.

      ASSERT_OK_AND_ASSIGN(const Identity identity, probe(w.bytes(), kExplicitLittle));

      EXPECT_EQ(identity.sop_instance_uid.text(), "2.25.3");
      EXPECT_EQ(identity.study_instance_uid.text(), "2.25.1");
      EXPECT_EQ(identity.patient_id, "SYN");
    }
  }
}

TEST(Probe, FindsElementsThatAreOutOfOrder) {
  DicomWriter w;
  w.element(0x7FE00010, "OB", "pixels");
  w.element(0x0020000E, "UI", "2.25.2").element(0x0020000D, "UI", "2.25.1");
  w.element(0x00100020, "LO", "SYN").element(0x00080060, "CS", "MR");
  put_head(w);

  ASSERT_OK_AND_ASSIGN(const Identity identity, probe(w.bytes(), kExplicitLittle, 3));

  EXPECT_EQ(identity.sop_class_uid.text(), test::kCtImageStorage);
  EXPECT_EQ(identity.patient_id, "SYN");
  EXPECT_EQ(identity.modality, "MR");
}

TEST(Probe, NeverUsesGroupsThatDoNotBelongInADataSet) {
  DicomWriter w;
  w.element(0x00000002, "UI", "9.9").element(0x00001000, "UI", "9.9.1");
  w.element(0x00020002, "UI", "9.9").element(0x00020010, "UI", kImplicitLittle);
  put_tail(put_head(w));

  ASSERT_OK_AND_ASSIGN(const Identity identity, probe(w.bytes(), kExplicitLittle));

  EXPECT_EQ(identity.sop_instance_uid.text(), "2.25.3");
}

TEST(Probe, MissesUidsThatAreAbsentOrEmpty) {
  for (const std::uint32_t gone : {0x00080016U, 0x00080018U, 0x0020000DU, 0x0020000EU}) {
    for (const bool empty : {false, true}) {
      DicomWriter w;
      for (const std::uint32_t tag : {0x00080016U, 0x00080018U, 0x0020000DU, 0x0020000EU}) {
        if (tag != gone) w.element(tag, "UI", "1.2.3");
        if (tag == gone && empty) w.element(tag, "UI", "");
      }
      w.us(0x00280010, 1);

      EXPECT_THAT(probe(w.bytes(), kExplicitLittle),
                  FailsWith("dicom.missing_uid", Fate::permanent));
    }
  }
}

TEST(Probe, RefusesUidsThatBreakTheRules) {
  const std::vector<std::string> bad{"1.2.x",
                                     "1..2",
                                     ".1",
                                     "1.",
                                     "../../tmp/evil",
                                     "1.2\\3",
                                     "1 2",
                                     "1.2\n.3",
                                     std::string(65, '1'),
                                     std::string(200, '1'),
                                     std::string("1.2\0.3", 6)};
  for (const std::string& uid : bad) {
    DicomWriter w;
    w.element(0x00080016, "UI", test::kCtImageStorage).element(0x00080018, "UI", uid);
    put_tail(w);

    const Result<Identity> result = probe(w.bytes(), kExplicitLittle);

    EXPECT_THAT(result, FailsWith("dicom.invalid_uid", Fate::permanent)) << uid;
    if (uid.size() > 4) {
      EXPECT_EQ(result.error().message.find(uid), std::string::npos) << "no values in messages";
    }
  }
}

TEST(Probe, RefusesAnIdentityThatContradictsItself) {
  DicomWriter w;
  put_tail(put_head(w).element(0x00080018, "UI", "2.25.4"));
  EXPECT_THAT(probe(w.bytes(), kExplicitLittle), FailsWith("dicom.invalid_uid"));

  DicomWriter sequence;
  sequence.element(0x00080016, "UI", test::kCtImageStorage).sequence(0x00080018, {""}, false);
  EXPECT_THAT(probe(put_tail(sequence).bytes(), kExplicitLittle), FailsWith("dicom.invalid_uid"));
}

TEST(Probe, AcceptsUidsPaddedAnyWayAndOfAnyLengthAllowed) {
  for (const std::string& uid :
       {std::string("1.2.3 "), std::string("1.2.3\0", 6), std::string("1.2.3"),
        std::string(64, '2'), std::string("0.00.1 ")}) {
    DicomWriter w;
    w.element(0x00080016, "UI", test::kCtImageStorage);
    w.element_with_length(0x00080018, "UI", static_cast<std::uint32_t>(uid.size()), uid);

    EXPECT_THAT(probe(put_tail(w).bytes(), kExplicitLittle), IsOk()) << uid;
  }
}

TEST(Probe, TellsATruncatedHead) {
  const std::string dataset = test::make_dataset({});
  const std::size_t series_end = dataset.find("2.25.1001.1\0") + 12;
  for (std::size_t cut = 1; cut < series_end; ++cut) {
    const Result<Identity> result =
        probe(std::string_view(dataset).substr(0, cut), kExplicitLittle);

    ASSERT_FALSE(result.ok()) << cut;
    EXPECT_TRUE(result.error().code == "dicom.unreadable" ||
                result.error().code == "dicom.missing_uid");
  }
}

TEST(Probe, KeepsNoModalityThatIsNone) {
  DicomWriter w;
  put_head(w).element(0x00080060, "CS", "Nobody^Synthetic");
  w.element(0x0020000D, "UI", "2.25.1").element(0x0020000E, "UI", "2.25.2");

  ASSERT_OK_AND_ASSIGN(const Identity identity, probe(w.bytes(), kExplicitLittle));

  EXPECT_EQ(identity.modality, "");
  EXPECT_EQ(identity.patient_id, "");
}

TEST(Probe, ReadsAnAccessionNumberWithoutItsPaddingAndNoneThatIsNone) {
  for (const auto& [value, read] : {std::pair(std::string(" A 17 "), std::string("A 17")),
                                    std::pair(std::string(256, 'A'), std::string(256, 'A')),
                                    std::pair(std::string(258, 'A'), std::string())}) {
    DicomWriter w;
    put_head(w).element(0x00080050, "SH", value);
    w.element(0x0020000D, "UI", "2.25.1").element(0x0020000E, "UI", "2.25.2");

    ASSERT_OK_AND_ASSIGN(const Identity identity, probe(w.bytes(), kExplicitLittle));

    EXPECT_EQ(identity.accession_number, read);
  }
}

TEST(Probe, StopsAtItsLimits) {
  DicomWriter many;
  for (std::uint32_t i = 0; i < 200; ++i) many.us(0x00090000 + i, 1);
  EXPECT_THAT(probe(many.bytes(), kExplicitLittle, 0, {.elements = 100}),
              FailsWith("dicom.unreadable"));

  std::string deep;
  for (int i = 0; i < 65; ++i) {
    DicomWriter w;
    deep = w.sequence(0x00081140, {deep}, true).bytes();
  }
  EXPECT_THAT(probe(deep, kExplicitLittle), FailsWith("dicom.unreadable"));

  EXPECT_THAT(probe(many.bytes(), kExplicitLittle, 0, {.head_bytes = 500}),
              FailsWith("dicom.unreadable"));
  DicomWriter bulky;  // what is skipped costs nothing
  bulky.element(0x00080001, "OB", std::string(100'000, 'x'));
  EXPECT_THAT(probe(put_tail(put_head(bulky)).bytes(), kExplicitLittle, 0, {.head_bytes = 500}),
              IsOk());
}

TEST(Probe, InflatesNoFurtherThanItsLimit) {
  DicomWriter w;
  w.element(0x00080001, "OB", std::string(20 * MiB, '\0'));
  put_tail(put_head(w));

  EXPECT_THAT(probe(test::deflated(w.bytes()), test::kDeflated), FailsWith("dicom.unreadable"));
  EXPECT_THAT(probe(test::deflated(w.bytes()), test::kDeflated, 0, {.head_bytes = 32 * MiB}),
              IsOk());
}

TEST(Probe, RefusesWhatIsInAnotherSyntax) {
  const std::string explicit_vr = test::make_dataset({});
  const std::string implicit_vr =
      test::make_dataset({.transfer_syntax_uid = std::string(kImplicitLittle)});

  EXPECT_FALSE(probe(explicit_vr, kImplicitLittle).ok());
  EXPECT_FALSE(probe(implicit_vr, kExplicitLittle).ok());
  EXPECT_FALSE(probe(explicit_vr, kExplicitBig).ok());
  EXPECT_THAT(probe(explicit_vr, test::kDeflated), FailsWith("dicom.unreadable"));
  EXPECT_FALSE(
      probe("<html>not DICOM, and long enough to be looked at</html>", kExplicitLittle).ok());
}

TEST(Probe, OfNothingMissesItsUids) {
  EXPECT_THAT(probe("", kExplicitLittle), FailsWith("dicom.missing_uid"));
  EXPECT_THAT(probe(std::string(4096, '\0'), kExplicitLittle), FailsWith("dicom.missing_uid"));
}

TEST(Probe, IsACheapNoOpOnceDone) {
  const std::string dataset = test::make_dataset({});
  const std::unique_ptr<Probe> probe = make_probe(kExplicitLittle);
  probe->feed(as_bytes(dataset));

  EXPECT_EQ(probe->feed(as_bytes("garbage that is not looked at")), Probe::State::done);
  EXPECT_THAT(probe->finish(), IsOk());
  EXPECT_THAT(probe->finish(), IsOk());
}

}  // namespace
}  // namespace isthmus::dicom
