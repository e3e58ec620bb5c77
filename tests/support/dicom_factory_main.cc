// isthmus-dicom-factory: synthetic studies on disk, for the demo and the benches.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "support/dicom_factory.h"

namespace isthmus::test {
namespace {

struct Wishes {
  std::string out;
  int series = 1;
  int instances = 10;
  std::uint16_t rows = 64;
  std::uint16_t columns = 64;
  std::string modality = "CT";
  std::string sop_class;
  std::string institution;
  std::string study_description;
  std::string patient_id;
  std::string transfer_syntax{kExplicitLittle};
  std::uint64_t seed = 1;
  std::uint64_t size_kb = 0;
  std::uint64_t big_mb = 0;
};

// Rows and columns, or frames, so that the pixels come close to the size asked for.
DicomRecipe shaped(const Wishes& wishes) {
  DicomRecipe like;
  like.modality = wishes.modality;
  like.transfer_syntax_uid = wishes.transfer_syntax;
  like.rows = wishes.rows;
  like.columns = wishes.columns;
  if (wishes.modality != "CT") like.sop_class_uid = kSecondaryCapture;
  if (!wishes.sop_class.empty()) like.sop_class_uid = wishes.sop_class;
  like.institution_name = wishes.institution;
  if (!wishes.study_description.empty()) like.study_description = wishes.study_description;
  if (wishes.size_kb > 0) {
    constexpr std::uint64_t kHeadBytes = 1200;
    like.columns = wishes.size_kb >= 128 ? 512 : 128;
    const std::uint64_t bytes = std::max<std::uint64_t>(wishes.size_kb * KiB, 2 * kHeadBytes);
    like.rows = static_cast<std::uint16_t>(
        std::min<std::uint64_t>((bytes - kHeadBytes) / (2U * like.columns), 65535));
  }
  if (wishes.big_mb > 0) {
    like.rows = like.columns = 1024;
    // A length is 32 bits, and even: the pixels of one instance stay below 4 GiB.
    like.frames = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(wishes.big_mb / 2, 1, 2047));
    like.sop_class_uid = "1.2.840.10008.5.1.4.1.1.7.3";  // multi-frame grayscale word SC
  }
  return like;
}

int make_study(const Wishes& wishes) {
  const std::filesystem::path folder = wishes.out;
  std::filesystem::create_directories(folder);
  std::uint64_t bytes = 0;
  int files = 0;
  for (DicomRecipe recipe :
       study_recipes(wishes.seed, wishes.series, wishes.instances, shaped(wishes))) {
    if (!wishes.patient_id.empty()) recipe.patient_id = wishes.patient_id;
    const auto path =
        folder / fmt::format("s{:02}-i{:04}.dcm", recipe.series_number, recipe.instance_number);
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    write_part10(recipe, [&file, &bytes](std::string_view piece) {
      file.write(piece.data(), static_cast<std::streamsize>(piece.size()));
      bytes += piece.size();
    });
    if (!file.flush()) {
      fmt::print(stderr, "isthmus-dicom-factory: {} cannot be written\n", path.string());
      return 1;
    }
    ++files;
  }
  fmt::print("study {} files {} bytes {}\n",
             study_recipes(wishes.seed, 1, 1, {}).front().study_instance_uid, files, bytes);
  return 0;
}

int run(int argc, char** argv) {
  Wishes wishes;
  CLI::App app("Makes synthetic DICOM studies: nobody is in them.");
  app.require_subcommand(1);
  CLI::App* study = app.add_subcommand("make-study", "One study, a file per instance");
  study->add_option("--out", wishes.out, "Folder, made when it is not there")->required();
  study->add_option("--series", wishes.series, "Series")->check(CLI::Range(1, 1000));
  study->add_option("--instances", wishes.instances, "Instances of a series")
      ->check(CLI::Range(1, 1'000'000));
  study->add_option("--rows", wishes.rows, "Rows");
  study->add_option("--cols", wishes.columns, "Columns");
  study->add_option("--modality", wishes.modality, "Modality");
  study->add_option("--sop-class", wishes.sop_class, "SOP Class UID, not by modality");
  study->add_option("--institution", wishes.institution, "Institution Name");
  study->add_option("--study-description", wishes.study_description, "Study Description");
  study->add_option("--patient-id", wishes.patient_id, "Patient ID, not by seed");
  study->add_option("--transfer-syntax", wishes.transfer_syntax, "Transfer syntax UID");
  study->add_option("--seed", wishes.seed, "Another seed is another study");
  study->add_option("--size-kb", wishes.size_kb, "About this size per instance, not by rows");
  study->add_option("--big-mb", wishes.big_mb, "A multi-frame instance of about this size");
  CLI11_PARSE(app, argc, argv);
  return make_study(wishes);
}

}  // namespace
}  // namespace isthmus::test

int main(int argc, char** argv) {
  return isthmus::test::run(argc, argv);
}
