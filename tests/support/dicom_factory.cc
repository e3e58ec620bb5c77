#include "support/dicom_factory.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <random>

namespace isthmus::test {
namespace {

constexpr std::uint32_t kItem = 0xFFFEE000;
constexpr std::uint32_t kItemEnd = 0xFFFEE00D;
constexpr std::uint32_t kSequenceEnd = 0xFFFEE0DD;
constexpr std::size_t kPieceBytes = 64 * KiB;

bool has_long_head(std::string_view vr) {
  constexpr std::string_view kLong = "OB OD OF OL OV OW SQ SV UC UN UR UT UV";
  return vr.size() == 2 && kLong.find(vr) != std::string_view::npos;
}

bool padded_with_nul(std::string_view vr) {
  return vr == "UI" || vr == "OB" || vr == "OW" || vr == "UN";
}

// Pixels: 12 bits of noise in 16, little or big endian.
class Pixels {
 public:
  Pixels(std::uint64_t seed, bool big_endian) : engine_(seed), big_endian_(big_endian) {}

  void write(std::uint64_t bytes, const DicomSink& sink) {
    std::string piece;
    while (bytes > 0) {
      piece.resize(static_cast<std::size_t>(std::min<std::uint64_t>(bytes, kPieceBytes)));
      for (std::size_t i = 0; i + 1 < piece.size(); i += 8) {
        std::uint64_t noise = engine_();
        for (std::size_t j = i; j < i + 8 && j + 1 < piece.size(); j += 2, noise >>= 16) {
          piece[j + (big_endian_ ? 1 : 0)] = static_cast<char>(noise & 0xFF);
          piece[j + (big_endian_ ? 0 : 1)] = static_cast<char>(noise >> 8 & 0x0F);
        }
      }
      sink(piece);
      bytes -= piece.size();
    }
  }

 private:
  std::mt19937_64 engine_;
  bool big_endian_;
};

void write_identity(DicomWriter& w, const DicomRecipe& r) {
  w.element(0x00080005, "CS", "ISO_IR 100")
      .element(0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL")
      .element(0x00080016, "UI", r.sop_class_uid)
      .element(0x00080018, "UI", r.sop_instance_uid)
      .element(0x00080020, "DA", "20260131")
      .element(0x00080030, "TM", "093000")
      .element(0x00080050, "SH", r.accession_number)
      .element(0x00080060, "CS", r.modality)
      .element(0x00080070, "LO", "Isthmus");
  if (!r.institution_name.empty()) w.element(0x00080080, "LO", r.institution_name);
  w.element(0x00080090, "PN", "")
      .element(0x00081030, "LO", r.study_description)
      .element(0x0008103E, "LO", fmt::format("Series {}", r.series_number))
      .element(0x00100010, "PN", r.patient_name)
      .element(0x00100020, "LO", r.patient_id)
      .element(0x00100030, "DA", "19700101")
      .element(0x00100040, "CS", "O")
      .element(0x00180015, "CS", "CHEST")
      .element(0x00180050, "DS", "1.25")
      .element(0x0020000D, "UI", r.study_instance_uid)
      .element(0x0020000E, "UI", r.series_instance_uid)
      .element(0x00200010, "SH", "1")
      .element(0x00200011, "IS", std::to_string(r.series_number))
      .element(0x00200013, "IS", std::to_string(r.instance_number))
      .element(0x00200032, "DS", fmt::format("0\\0\\{}", r.instance_number))
      .element(0x00200037, "DS", "1\\0\\0\\0\\1\\0")
      .element(0x00200052, "UI", r.study_instance_uid + ".9");
}

void write_image(DicomWriter& w, const DicomRecipe& r) {
  w.us(0x00280002, 1).element(0x00280004, "CS", "MONOCHROME2");
  if (r.frames > 1) w.element(0x00280008, "IS", std::to_string(r.frames));
  w.us(0x00280010, r.rows)
      .us(0x00280011, r.columns)
      .element(0x00280030, "DS", "0.5\\0.5")
      .us(0x00280100, 16)
      .us(0x00280101, 12)
      .us(0x00280102, 11)
      .us(0x00280103, 0)
      .element(0x00281050, "DS", "40")
      .element(0x00281051, "DS", "400")
      .element(0x00281052, "DS", "-1024")
      .element(0x00281053, "DS", "1");
  if (r.more) r.more(w);
}

void write_encapsulated(DicomWriter& w, const DicomRecipe& r) {
  std::vector<std::string> fragments;
  DicomWriter table;  // offsets are little endian whatever else
  std::uint32_t offset = 0;
  for (std::uint32_t frame = 0; frame < r.frames; ++frame) {
    table.raw(std::string{static_cast<char>(offset & 0xFF), static_cast<char>(offset >> 8 & 0xFF),
                          static_cast<char>(offset >> 16 & 0xFF), static_cast<char>(offset >> 24)});
    for (std::size_t part = 0; part < std::max<std::size_t>(r.fragments_per_frame, 1); ++part) {
      std::string stream = part == 0 ? "\xFF\xD8" : "";
      Pixels(r.seed + frame, false).write(64 + 2 * part, [&stream](std::string_view piece) {
        stream += piece;
      });
      stream += "\xFF\xD9";
      offset += static_cast<std::uint32_t>(stream.size()) + 8;
      fragments.push_back(std::move(stream));
    }
  }
  w.fragments(fragments, r.offset_table ? table.bytes() : std::string());
}

void write_plain(const DicomRecipe& r, const DicomSink& sink) {
  DicomWriter w(syntax_of(r.transfer_syntax_uid));
  write_identity(w, r);
  write_image(w, r);
  if (is_encapsulated(r.transfer_syntax_uid)) {
    write_encapsulated(w, r);
    return sink(w.bytes());
  }
  const std::uint64_t pixels = std::uint64_t{2} * r.rows * r.columns * r.frames;
  w.head(0x7FE00010, "OW", static_cast<std::uint32_t>(pixels));
  sink(w.bytes());
  const bool big = syntax_of(r.transfer_syntax_uid) == DicomWriter::Syntax::explicit_big;
  Pixels(r.seed, big).write(pixels, sink);
}

}  // namespace

void DicomWriter::u16(std::uint32_t value) {
  const char low = static_cast<char>(value & 0xFF);
  const char high = static_cast<char>(value >> 8 & 0xFF);
  bytes_ += syntax_ == Syntax::explicit_big ? high : low;
  bytes_ += syntax_ == Syntax::explicit_big ? low : high;
}

void DicomWriter::u32(std::uint32_t value) {
  const bool big = syntax_ == Syntax::explicit_big;
  u16(big ? value >> 16 : value & 0xFFFF);
  u16(big ? value & 0xFFFF : value >> 16);
}

DicomWriter& DicomWriter::head(std::uint32_t tag, std::string_view vr, std::uint32_t length) {
  u16(tag >> 16);
  u16(tag & 0xFFFF);
  if (syntax_ == Syntax::implicit_little) {
    u32(length);
    return *this;
  }
  bytes_ += vr;
  if (has_long_head(vr)) {
    u16(0);
    u32(length);
  } else {
    u16(length);
  }
  return *this;
}

DicomWriter& DicomWriter::item_head(std::uint32_t tag, std::uint32_t length) {
  u16(tag >> 16);
  u16(tag & 0xFFFF);
  u32(length);
  return *this;
}

DicomWriter& DicomWriter::element(std::uint32_t tag, std::string_view vr, std::string_view value) {
  head(tag, vr, static_cast<std::uint32_t>(value.size() + value.size() % 2));
  bytes_ += value;
  if (value.size() % 2 != 0) bytes_ += padded_with_nul(vr) ? '\0' : ' ';
  return *this;
}

DicomWriter& DicomWriter::element_with_length(std::uint32_t tag, std::string_view vr,
                                              std::uint32_t length, std::string_view value) {
  head(tag, vr, length);
  return raw(value);
}

DicomWriter& DicomWriter::us(std::uint32_t tag, std::uint16_t value) {
  head(tag, "US", 2);
  u16(value);
  return *this;
}

DicomWriter& DicomWriter::ul(std::uint32_t tag, std::uint32_t value) {
  head(tag, "UL", 4);
  u32(value);
  return *this;
}

DicomWriter& DicomWriter::sequence(std::uint32_t tag, const std::vector<std::string>& items,
                                   bool undefined, std::string_view vr) {
  std::uint32_t length = 0;
  for (const std::string& item : items) length += static_cast<std::uint32_t>(item.size()) + 8;
  head(tag, vr, undefined ? kUndefined : length);
  for (const std::string& item : items) {
    item_head(kItem, undefined ? kUndefined : static_cast<std::uint32_t>(item.size()));
    bytes_ += item;
    if (undefined) item_head(kItemEnd, 0);
  }
  if (undefined) item_head(kSequenceEnd, 0);
  return *this;
}

DicomWriter& DicomWriter::fragments(const std::vector<std::string>& fragments,
                                    std::string_view offset_table) {
  head(0x7FE00010, "OB", kUndefined);
  item_head(kItem, static_cast<std::uint32_t>(offset_table.size()));
  bytes_ += offset_table;
  for (const std::string& fragment : fragments) {
    item_head(kItem, static_cast<std::uint32_t>(fragment.size()));
    bytes_ += fragment;
  }
  return item_head(kSequenceEnd, 0);
}

DicomWriter& DicomWriter::raw(std::string_view bytes) {
  bytes_ += bytes;
  return *this;
}

DicomWriter::Syntax syntax_of(std::string_view transfer_syntax_uid) {
  if (transfer_syntax_uid == kImplicitLittle) return DicomWriter::Syntax::implicit_little;
  if (transfer_syntax_uid == kExplicitBig) return DicomWriter::Syntax::explicit_big;
  return DicomWriter::Syntax::explicit_little;
}

bool is_encapsulated(std::string_view transfer_syntax_uid) {
  return transfer_syntax_uid != kImplicitLittle && transfer_syntax_uid != kExplicitLittle &&
         transfer_syntax_uid != kDeflated && transfer_syntax_uid != kExplicitBig;
}

void write_dataset(const DicomRecipe& recipe, const DicomSink& sink) {
  if (recipe.transfer_syntax_uid != kDeflated) return write_plain(recipe, sink);
  std::string plain;
  write_plain(recipe, [&plain](std::string_view piece) { plain += piece; });
  sink(deflated(plain));
}

void write_part10(const DicomRecipe& recipe, const DicomSink& sink) {
  sink(
      part10_around("", recipe.transfer_syntax_uid, recipe.sop_class_uid, recipe.sop_instance_uid));
  write_dataset(recipe, sink);
}

std::string make_dataset(const DicomRecipe& recipe) {
  std::string bytes;
  write_dataset(recipe, [&bytes](std::string_view piece) { bytes += piece; });
  return bytes;
}

std::string make_part10(const DicomRecipe& recipe) {
  std::string bytes;
  write_part10(recipe, [&bytes](std::string_view piece) { bytes += piece; });
  return bytes;
}

std::string part10_around(std::string_view dataset, std::string_view transfer_syntax_uid,
                          std::string_view sop_class_uid, std::string_view sop_instance_uid) {
  DicomWriter meta;
  meta.element(0x00020001, "OB", std::string_view("\0\1", 2))
      .element(0x00020002, "UI", sop_class_uid)
      .element(0x00020003, "UI", sop_instance_uid)
      .element(0x00020010, "UI", transfer_syntax_uid)
      .element(0x00020012, "UI", "2.25.1")
      .element(0x00020013, "SH", "TESTKIT");
  DicomWriter file;
  file.raw(std::string(128, '\0'))
      .raw("DICM")
      .ul(0x00020000, static_cast<std::uint32_t>(meta.bytes().size()))
      .raw(meta.bytes())
      .raw(dataset);
  return file.bytes();
}

std::string deflated(std::string_view bytes) {
  z_stream z{};
  if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) !=
      Z_OK) {
    return {};
  }
  std::string out(deflateBound(&z, bytes.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  if (out.size() % 2 != 0) out += '\0';
  return out;
}

std::vector<DicomRecipe> study_recipes(std::uint64_t seed, int series, int instances,
                                       const DicomRecipe& like) {
  std::vector<DicomRecipe> recipes;
  const std::string study = fmt::format("2.25.{}", 7'000'000'000'000ULL + seed);
  for (int s = 1; s <= series; ++s) {
    for (int i = 1; i <= instances; ++i) {
      DicomRecipe recipe = like;
      recipe.study_instance_uid = study;
      recipe.series_instance_uid = fmt::format("{}.{}", study, s);
      recipe.sop_instance_uid = fmt::format("{}.{}.{}", study, s, i);
      recipe.patient_id = fmt::format("SYNTHETIC-{}", seed);
      recipe.patient_name = fmt::format("Synthetic^Number {}", seed);
      recipe.accession_number = fmt::format("A{}", seed);
      recipe.series_number = s;
      recipe.instance_number = i;
      recipe.seed = seed * 1'000'003 + static_cast<std::uint64_t>(s) * 100'003 +
                    static_cast<std::uint64_t>(i);
      recipes.push_back(std::move(recipe));
    }
  }
  return recipes;
}

}  // namespace isthmus::test
