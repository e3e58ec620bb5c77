#include "datastore/engine/rewrite.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/digest.h"
#include "datastore/engine/examine.h"
#include "support/dicom_factory.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;
using test::DicomRecipe;
using test::DicomWriter;

json examined(const std::string& file) {
  static const bool ready = prepare_examiner().ok();
  EXPECT_TRUE(ready);
  return examine(*source_of(file), {});
}

struct Rewritten {
  json answer;
  std::string file;
};

Rewritten rewritten(const std::string& file, const json& metadata) {
  Rewritten made{rewrite_file(*source_of(file), metadata), ""};
  if (!made.answer.contains("head")) return made;
  const auto head = from_base64(made.answer["head"].get<std::string>());
  EXPECT_TRUE(head.has_value());
  made.file = std::string(as_text(*head)) + file.substr(made.answer["tail"].get<std::size_t>());
  return made;
}

// What is said of the frames: where they lie is another matter.
json pixels_of(const json& answer) {
  if (!answer.contains("pixelData")) return nullptr;
  const std::string records = answer["pixelData"].value("records", "");
  return {answer["frames"], records.size(), answer["pixelData"]["description"]};
}

TEST(Rewrite, LeavesAFileAloneThatSaysItAlready) {
  const std::string file = test::make_part10({});

  EXPECT_EQ(rewritten(file, examined(file)["metadata"]).answer,
            json({{"ok", true}, {"same", true}}));
}

TEST(Rewrite, WritesWhatWasReplacedInsertedAndRemoved) {
  DicomRecipe recipe;
  recipe.more = [](DicomWriter& w) { w.element(0x00081030, "LO", "ABDOMEN "); };
  const std::string file = test::make_part10(recipe);
  json wanted = examined(file)["metadata"];
  wanted["patient"]["PatientName"] = "MÜLLER^ÄNNA1";
  wanted["patient"].erase("PatientSex");
  wanted["study"]["StudyDescription"] = "CHEST ";
  wanted["series"]["SeriesNumber"] = nullptr;
  wanted["instance"]["SourceImageSequence"] =
      json::array({{{"ReferencedSOPInstanceUID", "1.2.34"}}, json::object()});
  wanted["instance"]["ImageType"] = {"DERIVED", "SECONDARY "};
  wanted["instance"]["00190010"] = "MAKER ";
  wanted["instance"]["00191001"] = 7;
  wanted["DICOMVRs"] = {{"00190010", "LO"}, {"00191001", "US"}};

  const Rewritten made = rewritten(file, wanted);

  ASSERT_FALSE(made.file.empty()) << made.answer;
  json found = examined(made.file)["metadata"];
  EXPECT_EQ(found["instance"]["SpecificCharacterSet"], json({"ISO_IR 192"}));
  // Nobody wanted that, but without it the name could not be said.
  found["instance"].erase("SpecificCharacterSet");
  wanted["instance"].erase("SpecificCharacterSet");
  EXPECT_EQ(found, wanted);
  EXPECT_EQ(pixels_of(examined(made.file)), pixels_of(examined(file)));
}

TEST(Rewrite, ANewInstanceUidIsInTheFileMetaInformationToo) {
  const std::string file = test::make_part10({});
  json wanted = examined(file)["metadata"];
  wanted["instance"]["SOPInstanceUID"] = "2.25.99";

  const json answer = examined(rewritten(file, wanted).file);

  EXPECT_EQ(answer["identity"]["sopInstanceUID"], "2.25.99");
  EXPECT_EQ(answer["metadata"]["instance"]["MediaStorageSOPInstanceUID"], "2.25.99");
}

TEST(Rewrite, RefusesWhatItCannotKeepWhole) {
  DicomRecipe deflated{.transfer_syntax_uid = std::string(test::kDeflated)};
  DicomRecipe long_value;
  long_value.more = [](DicomWriter& w) { w.element(0x00191001, "UN", std::string(5 * MiB, 'x')); };
  for (const DicomRecipe& recipe : {deflated, long_value}) {
    const std::string file = test::make_part10(recipe);
    json wanted = examined(file)["metadata"];
    wanted["patient"]["PatientName"] = "OTHER^NAME";

    EXPECT_EQ(rewritten(file, wanted).answer.value("code", ""), "rewrite.unsupported");
  }
}

// Real files of every kind: the name changes, and nothing else does.
TEST(Rewrite, ChangesOneThingInRealFilesAndNothingElse) {
  USE_SHARED(const auto shared);
  int tried = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(shared / "dicom")) {
    if (!entry.is_regular_file() || entry.path().extension() != ".dcm") continue;
    if (entry.file_size() > 2 * MiB || tried >= 150) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    const std::string file = text.str();
    const json before = examined(file);
    if (!before.value("ok", false)) continue;
    SCOPED_TRACE(entry.path().filename().string());
    EXPECT_TRUE(rewritten(file, before["metadata"]).answer.value("same", false) ||
                rewritten(file, before["metadata"]).answer.value("code", "") ==
                    "rewrite.unsupported");
    json wanted = before["metadata"];
    wanted["patient"]["PatientName"] = "OTHER^NAME";

    const Rewritten made = rewritten(file, wanted);

    if (made.file.empty()) {
      EXPECT_EQ(made.answer.value("code", ""), "rewrite.unsupported");
      continue;
    }
    ++tried;
    const json after = examined(made.file);
    ASSERT_TRUE(after.value("ok", false)) << after;
    // Some name another instance there than in the data set: a file that is made anew does not.
    wanted["instance"]["MediaStorageSOPInstanceUID"] = wanted["instance"]["SOPInstanceUID"];
    EXPECT_EQ(after["metadata"], wanted);
    EXPECT_EQ(pixels_of(after), pixels_of(before));
  }
  EXPECT_GT(tried, 20);
}

// The file that is put together of an answer, where its own bytes are the pixels' value.
std::string put_together(const json& answer, const std::string& file) {
  const auto head = from_base64(answer.value("head", ""));
  const auto behind = from_base64(answer.value("behind", ""));
  EXPECT_TRUE(head && behind);
  const json& pixels = answer["pixels"];
  const std::size_t begin = pixels["begin"].get<std::size_t>();
  const std::size_t size = pixels["end"].get<std::size_t>() - begin;
  DicomWriter element;
  element.element(pixels["tag"].get<std::uint32_t>(), pixels["vr"].get<std::string>(),
                  file.substr(begin, size));
  return std::string(as_text(*head)) + element.bytes() + std::string(as_text(*behind));
}

TEST(Transcode, WritesLittleEndianFilesInExplicitVrAroundTheirOwnPixels) {
  for (const std::string_view from : {test::kImplicitLittle, test::kExplicitLittle}) {
    SCOPED_TRACE(from);
    DicomRecipe recipe;
    recipe.transfer_syntax_uid = from;
    recipe.more = [](DicomWriter& w) { w.element(0x00091001, "LO", "private "); };
    const std::string file = test::make_part10(recipe);
    const json before = examined(file);

    const json answer =
        transcode_file(*source_of(file), nullptr, std::string(test::kExplicitLittle));

    ASSERT_TRUE(answer.value("ok", false)) << answer;
    const json after = examined(put_together(answer, file));
    ASSERT_TRUE(after.value("ok", false)) << after;
    EXPECT_EQ(after["transferSyntaxUID"], test::kExplicitLittle);
    EXPECT_EQ(after["identity"], before["identity"]);
    EXPECT_EQ(after["metadata"]["patient"], before["metadata"]["patient"]);
    json tags = before["tags"];
    tags["instance"]["transferSyntaxUID"] = test::kExplicitLittle;
    EXPECT_EQ(after["tags"], tags);
    EXPECT_EQ(after["frames"], before["frames"]);
  }
}

TEST(Transcode, AsksForFramesWhereTheBytesAreOthers) {
  for (const std::string_view from :
       {test::kExplicitBig, test::kDeflated, test::kRle, test::kHtj2kLossless}) {
    SCOPED_TRACE(from);
    DicomRecipe recipe;
    recipe.transfer_syntax_uid = from;
    const json answer = transcode_file(*source_of(test::make_part10(recipe)), nullptr,
                                       std::string(test::kExplicitLittle));

    ASSERT_TRUE(answer.value("ok", false)) << answer;
    EXPECT_EQ(answer["pixels"]["tag"], 0x7FE00010);
    EXPECT_FALSE(answer["pixels"].contains("begin")) << answer["pixels"];
  }
  const json encoded =
      transcode_file(*source_of(test::make_part10({})), nullptr, std::string(test::kHtj2kLossless));
  EXPECT_EQ(encoded["pixels"], json({{"tag", 0x7FE00010}, {"vr", "OB"}}));
}

TEST(Transcode, WritesTheMetadataThatItIsGiven) {
  const std::string file = test::make_part10({});
  json wanted = examined(file)["metadata"];
  wanted["patient"]["PatientName"] = "OTHER^NAME";

  const json answer = transcode_file(*source_of(file), wanted, std::string(test::kExplicitLittle));

  const json after = examined(put_together(answer, file));
  EXPECT_EQ(after["metadata"]["patient"]["PatientName"], "OTHER^NAME");
}

}  // namespace
}  // namespace isthmus::datastore
