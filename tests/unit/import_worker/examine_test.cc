#include "datastore/engine/examine.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "datastore/engine/metadata_levels.h"
#include "support/dicom_factory.h"
#include "support/matchers.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;
using test::DicomRecipe;
using test::DicomWriter;

json examined(std::string file, const ExamineLimits& limits = {}) {
  static const bool ready = prepare_examiner().ok();
  EXPECT_TRUE(ready);
  return examine(*source_of(std::move(file)), limits);
}

json examined(const DicomRecipe& recipe) {
  return examined(test::make_part10(recipe));
}

// The instance level of a file with these elements more.
json instance_with(const std::function<void(DicomWriter&)>& more,
                   std::string_view syntax = test::kExplicitLittle) {
  DicomRecipe recipe{.transfer_syntax_uid = std::string(syntax)};
  recipe.more = more;
  const json answer = examined(recipe);
  EXPECT_TRUE(answer["ok"].get<bool>()) << answer.dump();
  return answer["metadata"]["instance"];
}

bool warns(const json& answer, std::string_view type, int code) {
  const json& list = answer["warnings"];
  return std::any_of(list.begin(), list.end(), [&](const json& warning) {
    return warning["type"] == type && warning["code"] == code;
  });
}

TEST(Examine, TellsTheIdentityAndShapeInEverySyntax) {
  for (const auto syntax :
       {test::kImplicitLittle, test::kExplicitLittle, test::kExplicitBig, test::kDeflated,
        test::kJpegBaseline, test::kHtj2kLossless, test::kRle}) {
    DicomRecipe recipe{.transfer_syntax_uid = std::string(syntax)};
    recipe.frames = 2;

    const json answer = examined(recipe);

    ASSERT_TRUE(answer["ok"].get<bool>()) << syntax << answer.dump();
    EXPECT_EQ(answer["transferSyntaxUID"], syntax);
    EXPECT_EQ(answer["identity"]["sopInstanceUID"], recipe.sop_instance_uid);
    EXPECT_EQ(answer["identity"]["seriesInstanceUID"], recipe.series_instance_uid);
    EXPECT_EQ(answer["identity"]["studyInstanceUID"], recipe.study_instance_uid);
    EXPECT_EQ(answer["identity"]["sopClassUID"], recipe.sop_class_uid);
    EXPECT_EQ(answer["rows"], 8);
    EXPECT_EQ(answer["columns"], 8);
    EXPECT_EQ(answer["frames"], 2);
    EXPECT_TRUE(answer["hasPixelData"].get<bool>());
    // The factory's fragments are no code streams: what must be decoded cannot be.
    const bool broken = syntax == test::kHtj2kLossless || syntax == test::kRle;
    EXPECT_EQ(answer["warnings"].size(), broken ? 1U : 0U) << syntax;
    EXPECT_EQ(warns(answer, "TRANSCODING_EXCEPTION", 45312), broken) << syntax;
    EXPECT_EQ(test::make_part10(recipe).substr(answer["datasetOffset"].get<std::size_t>()),
              test::make_dataset(recipe));
  }
}

TEST(Examine, SaysTheSameMetadataInEverySyntax) {
  const auto more = [](DicomWriter& w) {
    w.us(0x00281101, 7)
        .sequence(0x00400275, {DicomWriter(w.syntax()).us(0x00280010, 3).bytes()}, true);
  };
  const json expected = instance_with(more);
  for (const auto syntax : {test::kImplicitLittle, test::kExplicitBig, test::kDeflated,
                            test::kJpegBaseline, test::kHtj2kLossless}) {
    json found = instance_with(more, syntax);
    EXPECT_EQ(found["TransferSyntaxUID"], syntax);
    found["TransferSyntaxUID"] = expected["TransferSyntaxUID"];
    EXPECT_EQ(found, expected) << syntax;
  }
}

TEST(Examine, PutsElementsAtTheirLevel) {
  const json metadata = examined(DicomRecipe{})["metadata"];

  EXPECT_EQ(metadata["patient"]["PatientName"], "Synthetic^Nobody");
  EXPECT_EQ(metadata["patient"]["PatientSex"], "O ");
  EXPECT_EQ(metadata["study"]["StudyInstanceUID"], "2.25.1001");
  EXPECT_EQ(metadata["study"]["ReferringPhysicianName"], nullptr);
  EXPECT_EQ(metadata["series"]["Modality"], "CT");
  EXPECT_EQ(metadata["series"]["BodyPartExamined"], "CHEST ");
  EXPECT_EQ(metadata["series"]["SeriesNumber"], "1 ");
  EXPECT_EQ(metadata["instance"]["Rows"], 8);
  EXPECT_EQ(metadata["instance"]["FileMetaInformationVersion"], "AAE=");
  EXPECT_EQ(metadata["instance"]["TransferSyntaxUID"], test::kExplicitLittle);
  EXPECT_FALSE(metadata["instance"].contains("PixelData"));
  EXPECT_FALSE(metadata["instance"].contains("FileMetaInformationGroupLength"));
  EXPECT_FALSE(metadata["instance"].contains("PatientName"));
  EXPECT_EQ(metadata["DICOMVRs"], json::object());
}

TEST(Examine, WritesValuesAsHealthImagingDoes) {
  const json instance = instance_with([](DicomWriter& w) {
    w.element(0x00281054, "LO", "HU")        // VM 1
        .element(0x00281055, "LO", "A\\B ")  // VM 1-n
        .element(0x00280009, "AT", std::string("\x18\0\x63\x10", 4))
        .element(0x00282000, "OB", "icc")  // bytes
        .element(0x00283010, "SQ", "")     // no items
        .us(0x00280106, 4095)
        .element(0x00281199, "UI", "")
        .sequence(0x00400555, {DicomWriter().element(0x0040A160, "UT", "a\\b").bytes(), ""}, false)
        .element(0x0040A30A, "DS", "1.50\\2");
  });

  EXPECT_EQ(instance["RescaleType"], "HU");
  EXPECT_EQ(instance["WindowCenterWidthExplanation"], json::array({"A", "B "}));
  EXPECT_EQ(instance["FrameIncrementPointer"], json::array({"00181063"}));
  EXPECT_EQ(instance["ICCProfile"], "aWNjAA==");
  EXPECT_EQ(instance["VOILUTSequence"], nullptr);
  EXPECT_EQ(instance["SmallestImagePixelValue"], 4095);
  EXPECT_EQ(instance["PaletteColorLookupTableUID"], nullptr);
  EXPECT_EQ(instance["AcquisitionContextSequence"], json::parse(R"([{"TextValue":"a\\b "},{}])"));
  EXPECT_EQ(instance["NumericValue"], json::array({"1.50", "2"}));
  EXPECT_EQ(instance["ImageType"], json::array({"ORIGINAL", "PRIMARY", "AXIAL"}));
  EXPECT_EQ(instance["WindowCenter"], json::array({"40"}));  // an array, though it has one value
  EXPECT_EQ(instance["RescaleIntercept"], "-1024 ");
}

TEST(Examine, KeysPrivateElementsByTagAndKeepsTheirVr) {
  DicomRecipe recipe;
  recipe.more = [](DicomWriter& w) {
    w.element(0x00290010, "LO", "VENDOR")
        .element(0x00291001, "LO", "text")
        .us(0x00291002, 7)
        .element(0x00291003, "UN", std::string("\1\2", 2))
        .element(0x00291004, "LO", "a\\b ")
        .sequence(0x00291005, {DicomWriter().element(0x00291006, "SH", "in").bytes()}, true);
  };

  const json metadata = examined(recipe)["metadata"];

  EXPECT_EQ(metadata["instance"]["00290010"], "VENDOR");
  EXPECT_EQ(metadata["instance"]["00291001"], "text");
  EXPECT_EQ(metadata["instance"]["00291002"], 7);
  EXPECT_EQ(metadata["instance"]["00291003"], "AQI=");
  EXPECT_EQ(metadata["instance"]["00291004"], json::array({"a", "b "}));
  EXPECT_EQ(metadata["instance"]["00291005"][0]["00291006"], "in");
  EXPECT_EQ(metadata["DICOMVRs"], json::parse(R"({"00290010":"LO","00291001":"LO","00291002":"US",
      "00291003":"UN","00291004":"LO","00291005":"SQ","00291006":"SH"})"));
}

TEST(Examine, ReadsKnownElementsThatARelayMadeUn) {
  const json instance = instance_with([](DicomWriter& w) {
    w.element(0x00281054, "UN", "HU").element(0x00280107, "UN", std::string("\x01\x02", 2));
  });

  EXPECT_EQ(instance["RescaleType"], "HU");
  EXPECT_EQ(instance["LargestImagePixelValue"], 0x0201);
}

TEST(Examine, NeverUsesGroupTwoOfTheDataSet) {
  DicomWriter w;
  w.element(0x00020002, "UI", "9.9.9").element(0x00020016, "AE", "EVIL");
  const json answer =
      examined(test::part10_around(w.bytes() + test::make_dataset({}), test::kExplicitLittle));

  ASSERT_TRUE(answer["ok"].get<bool>()) << answer.dump();
  EXPECT_EQ(answer["metadata"]["instance"]["MediaStorageSOPClassUID"], test::kCtImageStorage);
  EXPECT_FALSE(answer["metadata"]["instance"].contains("SourceApplicationEntityTitle"));
}

TEST(Examine, DecodesTextByTheCharacterSetOfItsItem) {
  DicomWriter w;
  w.element(0x00080005, "CS", "ISO_IR 100")
      .element(0x00080016, "UI", test::kCtImageStorage)
      .element(0x00080018, "UI", "2.25.3")
      .element(0x00081030, "LO", "\xE9tude")
      .sequence(0x00081140,
                {DicomWriter().element(0x00081030, "LO", "h\xE9rit\xE9").bytes(),
                 DicomWriter()
                     .element(0x00080005, "CS", "ISO_IR 192")
                     .element(0x00081030, "LO", "王")
                     .bytes()},
                true)
      .element(0x0020000D, "UI", "2.25.1")
      .element(0x0020000E, "UI", "2.25.2");

  const json answer = examined(test::part10_around(w.bytes(), test::kExplicitLittle));

  EXPECT_EQ(answer["metadata"]["study"]["StudyDescription"], "étude ");
  EXPECT_EQ(answer["tags"]["StudyDescription"], "étude");
  const json& items = answer["metadata"]["instance"]["ReferencedImageSequence"];
  EXPECT_EQ(items[0]["StudyDescription"], "hérité");
  EXPECT_EQ(items[1]["StudyDescription"], "王 ");
}

TEST(Examine, GivesGroupingAndTagsWithoutPads) {
  const json answer = examined(DicomRecipe{.patient_id = "P-1"});

  EXPECT_EQ(answer["grouping"], json::parse(R"({
      "study":{"StudyDate":"20260131","AccessionNumber":"ACC1","PatientID":"P-1",
               "StudyInstanceUID":"2.25.1001","StudyID":"1"},
      "series":{"SeriesInstanceUID":"2.25.1001.1","SeriesNumber":"1"}})"));
  EXPECT_EQ(answer["tags"]["PatientSex"], "O");
  EXPECT_EQ(answer["tags"]["Modality"], "CT");
  EXPECT_EQ(answer["tags"]["BodyPartExamined"], "CHEST");
  const json without = examined(DicomRecipe{.accession_number = ""});
  EXPECT_EQ(without["grouping"]["study"]["AccessionNumber"], nullptr);
}

TEST(Examine, RefusesWithHealthImagingsWords) {
  const auto message = [](const json& answer) {
    EXPECT_FALSE(answer["ok"].get<bool>());
    EXPECT_EQ(answer["exceptionType"], "ValidationException");
    return answer["message"].get<std::string>();
  };
  EXPECT_EQ(message(examined("a text file")), "DICOM attribute TransferSyntaxUID does not exist");
  EXPECT_EQ(message(examined("")), "DICOM attribute TransferSyntaxUID does not exist");
  EXPECT_EQ(message(examined(test::part10_around(test::make_dataset({}), ""))),
            "DICOM attribute TransferSyntaxUID does not exist");
  EXPECT_EQ(message(examined(DicomRecipe{.sop_instance_uid = ""})),
            "DICOM attribute SOPInstanceUID does not exist");
  EXPECT_EQ(message(examined(DicomRecipe{.study_instance_uid = ""})),
            "DICOM attribute StudyInstanceUID does not exist");
  EXPECT_EQ(message(examined(DicomRecipe{.transfer_syntax_uid = "1.2.840.10008.1.2.4.110"})),
            "Transfer syntax 1.2.840.10008.1.2.4.110 is not supported");
  EXPECT_EQ(message(examined(DicomRecipe{.transfer_syntax_uid = "SECRET^NAME"})),
            "TransferSyntaxUID is not a valid UID");
  EXPECT_EQ(message(examined(DicomRecipe{.sop_class_uid = "1.2.840.10008.1.1"})),
            "SOPClassUID is not a storage class");
}

TEST(Examine, SaysWhatIsWrongWithoutSayingWhoseItIs) {
  DicomRecipe recipe{.patient_name = "SECRET^NAME"};
  const std::string file = test::make_part10(recipe);
  for (std::size_t cut = 133; cut < file.size(); cut += 7) {
    const json answer = examined(file.substr(0, cut));
    if (answer["ok"].get<bool>()) continue;
    EXPECT_EQ(answer.dump().find("SECRET"), std::string::npos) << answer.dump();
    EXPECT_EQ(answer["exceptionType"], "ValidationException");
  }
}

TEST(Examine, RefusesWhatTheScanRefuses) {
  std::string deep;
  for (int i = 0; i < 65; ++i) deep = DicomWriter().sequence(0x00081140, {deep}, true).bytes();

  EXPECT_EQ(examined(test::part10_around(deep, test::kExplicitLittle))["code"], "dicom.too_deep");
  EXPECT_EQ(examined(test::make_part10({}), {.metadata_bytes = 100})["code"], "dicom.too_large");
}

TEST(Examine, WarnsOfAnInvalidOffsetTable) {
  DicomRecipe recipe{.transfer_syntax_uid = std::string(test::kJpegBaseline)};
  recipe.frames = 2;
  std::string file = test::make_part10(recipe);
  const std::size_t table = file.find(std::string("\xFE\xFF\x00\xE0\x08\0\0\0", 8)) + 8;
  file[table + 4] ^= 1;

  const json answer = examined(file);

  EXPECT_TRUE(warns(answer, "INVALID_OFFSET_TABLE", 45330)) << answer["warnings"];
}

TEST(Examine, WarnsWhenFramesAreNotAsManyAsDeclaredAndNeverBelievesThem) {
  DicomRecipe recipe;
  recipe.more = [](DicomWriter& w) { w.element(0x00280008, "IS", "2147483647"); };
  json answer = examined(recipe);
  EXPECT_TRUE(warns(answer, "FRAME_NUMBER_MISMATCH", 45329)) << answer["warnings"];
  EXPECT_EQ(answer["frames"], 1);

  recipe.more = [](DicomWriter& w) { w.element(0x00280008, "IS", "-1"); };
  EXPECT_EQ(examined(recipe)["frames"], 1);

  DicomRecipe jpeg{.transfer_syntax_uid = std::string(test::kJpegBaseline)};
  jpeg.more = [](DicomWriter& w) { w.element(0x00280008, "IS", "5"); };
  answer = examined(jpeg);
  EXPECT_TRUE(warns(answer, "FRAME_NUMBER_MISMATCH", 45329)) << answer["warnings"];
  EXPECT_EQ(answer["frames"], 1);
}

TEST(Examine, WarnsOfUidsAndLengths) {
  EXPECT_TRUE(
      warns(examined(DicomRecipe{.sop_instance_uid = "2.25.01"}), "INVALID_UID_FORMAT", 45570));
  DicomRecipe recipe;
  recipe.more = [](DicomWriter& w) { w.element(0x00281199, "UI", "not.a.uid"); };
  EXPECT_TRUE(warns(examined(recipe), "INVALID_UID_FORMAT", 45570));
  recipe.more = [](DicomWriter& w) { w.element(0x00281056, "CS", std::string(17, 'X')); };
  EXPECT_TRUE(warns(examined(recipe), "INVALID_DICOM_VALUE_LENGTH", 45571));
  EXPECT_FALSE(warns(examined(DicomRecipe{}), "INVALID_UID_FORMAT", 45570));
}

TEST(Examine, WarnsWhenTheFileMetaIsOfAnotherClass) {
  const std::string file = test::part10_around(test::make_dataset({}), test::kExplicitLittle,
                                               test::kSecondaryCapture, "2.25.1001.1.1");

  EXPECT_TRUE(warns(examined(file), "SOP_CLASS_DATA_MISMATCH", 45063));
}

TEST(Examine, LeavesOutLongValuesAndSaysSo) {
  DicomRecipe recipe;
  recipe.more = [](DicomWriter& w) {
    w.element(0x00291010, "OB", std::string(200, 'x'))
        .element(0x00420011, "OB", std::string(300, 'x'));
  };

  const json answer = examined(test::make_part10(recipe), {.value_bytes = 100});

  EXPECT_TRUE(warns(answer, "ELEMENTS_DISCARDED", 45062));
  EXPECT_EQ(answer["metadata"]["instance"]["EncapsulatedDocument"], nullptr);
  EXPECT_TRUE(answer["metadata"]["instance"].contains("00291010"));
  EXPECT_EQ(answer["metadata"]["DICOMVRs"]["00291010"], "OB");
}

TEST(Examine, KnowsTheLevels) {
  EXPECT_EQ(level_of(0x00100010), Level::patient);
  EXPECT_EQ(level_of(0x00120064), Level::patient);
  EXPECT_EQ(level_of(0x0020000D), Level::study);
  EXPECT_EQ(level_of(0x00101010), Level::study);
  EXPECT_EQ(level_of(0x0020000E), Level::series);
  EXPECT_EQ(level_of(0x300A0700), Level::series);
  EXPECT_EQ(level_of(0x00080018), Level::instance);
}

}  // namespace
}  // namespace isthmus::datastore
