// Synthetic DICOM by recipe, written by a small writer of its own: what reads it shares no code
// with it. Nobody is in it: names are made up and say so.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace isthmus::test {

constexpr std::string_view kImplicitLittle = "1.2.840.10008.1.2";
constexpr std::string_view kExplicitLittle = "1.2.840.10008.1.2.1";
constexpr std::string_view kDeflated = "1.2.840.10008.1.2.1.99";
constexpr std::string_view kExplicitBig = "1.2.840.10008.1.2.2";
constexpr std::string_view kJpegBaseline = "1.2.840.10008.1.2.4.50";
constexpr std::string_view kJpegLossless = "1.2.840.10008.1.2.4.70";
constexpr std::string_view kHtj2kLossless = "1.2.840.10008.1.2.4.201";
constexpr std::string_view kRle = "1.2.840.10008.1.2.5";

constexpr std::string_view kCtImageStorage = "1.2.840.10008.5.1.4.1.1.2";
constexpr std::string_view kSecondaryCapture = "1.2.840.10008.5.1.4.1.1.7";

// Elements one after the other, as told: it keeps no order and checks nothing, so that broken data
// sets can be made too.
class DicomWriter {
 public:
  enum class Syntax { explicit_little, implicit_little, explicit_big };
  static constexpr std::uint32_t kUndefined = 0xFFFFFFFFU;

  explicit DicomWriter(Syntax syntax = Syntax::explicit_little) : syntax_(syntax) {}

  // A value as it is, padded to even length (NUL for UI and binary VRs, else space).
  DicomWriter& element(std::uint32_t tag, std::string_view vr, std::string_view value);
  // A value as it is, odd or not, behind a head that says `length`.
  DicomWriter& element_with_length(std::uint32_t tag, std::string_view vr, std::uint32_t length,
                                   std::string_view value);
  DicomWriter& us(std::uint32_t tag, std::uint16_t value);
  DicomWriter& ul(std::uint32_t tag, std::uint32_t value);
  // Items are data sets in the same syntax; undefined: lengths are left open and delimiters
  // written.
  DicomWriter& sequence(std::uint32_t tag, const std::vector<std::string>& items, bool undefined,
                        std::string_view vr = "SQ");
  // Pixel data in fragments behind an offset table of these bytes.
  DicomWriter& fragments(const std::vector<std::string>& fragments, std::string_view offset_table);
  DicomWriter& raw(std::string_view bytes);
  // Only the head: tag, VR, length.
  DicomWriter& head(std::uint32_t tag, std::string_view vr, std::uint32_t length);
  DicomWriter& item_head(std::uint32_t tag, std::uint32_t length);

  Syntax syntax() const { return syntax_; }
  const std::string& bytes() const { return bytes_; }

 private:
  void u16(std::uint32_t value);
  void u32(std::uint32_t value);

  Syntax syntax_;
  std::string bytes_;
};

struct DicomRecipe {
  std::string sop_class_uid{kCtImageStorage};
  std::string sop_instance_uid = "2.25.1001.1.1";
  std::string series_instance_uid = "2.25.1001.1";
  std::string study_instance_uid = "2.25.1001";
  std::string transfer_syntax_uid{kExplicitLittle};
  std::string patient_id = "SYNTHETIC-1";
  std::string patient_name = "Synthetic^Nobody";
  std::string modality = "CT";
  std::string institution_name = "";  // empty: without the element
  std::string study_description = "Synthetic study";
  std::string accession_number = "ACC1";
  int series_number = 1;
  int instance_number = 1;
  std::uint16_t rows = 8;
  std::uint16_t columns = 8;
  std::uint32_t frames = 1;
  std::uint64_t seed = 1;               // of the pixels
  std::size_t fragments_per_frame = 1;  // in encapsulated syntaxes
  bool offset_table = true;
  // Written, in the data set's syntax, behind group 0028 and before the pixel data.
  std::function<void(DicomWriter&)> more = {};
};

DicomWriter::Syntax syntax_of(std::string_view transfer_syntax_uid);
bool is_encapsulated(std::string_view transfer_syntax_uid);

// Gives the bytes piece by piece: a large instance never is in memory as a whole (deflated ones
// are).
using DicomSink = std::function<void(std::string_view)>;
void write_dataset(const DicomRecipe& recipe, const DicomSink& sink);
void write_part10(const DicomRecipe& recipe, const DicomSink& sink);

// The same as one string: the data set in its transfer syntax, and the Part 10 file around it.
std::string make_dataset(const DicomRecipe& recipe);
std::string make_part10(const DicomRecipe& recipe);
// Preamble, "DICM" and group 0002 in front of any bytes.
std::string part10_around(std::string_view dataset, std::string_view transfer_syntax_uid,
                          std::string_view sop_class_uid = kCtImageStorage,
                          std::string_view sop_instance_uid = "2.25.1001.1.1");
// Raw DEFLATE, as deflated data sets have it.
std::string deflated(std::string_view bytes);

// The recipes of a study: `series` × `instances`, UIDs and pixels from the seed.
std::vector<DicomRecipe> study_recipes(std::uint64_t seed, int series, int instances,
                                       const DicomRecipe& like);

}  // namespace isthmus::test
