#include "imports/google/changed_file.h"

#include <algorithm>

#include "dicom/dictionary.h"
#include "dicom/part10.h"
#include "dicom/splice.h"
#include "wire/dicom_values.h"

namespace isthmus::google {
namespace {

constexpr std::size_t kHeadBytes = 132 + 64 * KiB;  // as much as read_file_head() looks at
constexpr std::uint32_t kSpecificCharacterSet = 0x00080005;
constexpr std::uint32_t kPixels = 0x7FE00000;

Error unsupported(std::string message) {
  return permanent_error("metadata.unsupported", std::move(message));
}

// Ranges of a file and bytes of its own, one after the other.
class PiecedSource final : public ByteSource {
 public:
  PiecedSource(std::unique_ptr<File> file, std::vector<dicom::Piece> pieces)
      : file_(std::move(file)), pieces_(std::move(pieces)) {
    for (const dicom::Piece& piece : pieces_) size_ += piece.size();
  }
  std::uint64_t size() const override { return size_; }
  Result<std::size_t> read(MutableByteSpan into) override {
    if (into.empty()) return std::size_t{0};
    while (at_ < pieces_.size() && inside_ == pieces_[at_].size()) {
      ++at_;
      inside_ = 0;
    }
    if (at_ == pieces_.size()) return std::size_t{0};
    const dicom::Piece& piece = pieces_[at_];
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), piece.size() - inside_));
    if (!piece.bytes.empty()) {
      const ByteSpan own = as_bytes(piece.bytes).subspan(static_cast<std::size_t>(inside_), count);
      std::copy(own.begin(), own.end(), into.begin());
      inside_ += count;
      return count;
    }
    TRY_ASSIGN(const std::size_t got, file_->read_at(piece.begin + inside_, into.first(count)));
    if (got == 0) return transient_error("metadata.unavailable", "A file of ours was cut short.");
    inside_ += got;
    return got;
  }
  Result<void> rewind() override {
    at_ = 0;
    inside_ = 0;
    return {};
  }

 private:
  const std::unique_ptr<File> file_;
  const std::vector<dicom::Piece> pieces_;
  std::uint64_t size_ = 0;
  std::size_t at_ = 0;
  std::uint64_t inside_ = 0;
};

std::optional<wire::DicomElement> look_up(std::string_view name) {
  const auto known = dicom::find_element(name);
  if (!known) return std::nullopt;
  return wire::DicomElement{dicom::tag_hex(known->tag), known->vr};
}

struct Wanted {
  std::uint32_t tag = 0;
  std::string vr;  // of the dictionary, or of the change
  const AttributeChange* change = nullptr;
};

Result<std::vector<Wanted>> wanted_of(const MetadataChange& change,
                                      const std::string& sop_instance_uid) {
  std::vector<Wanted> wanted;
  for (const AttributeChange& one : change.attributes) {
    const bool of_another =
        one.level == MetadataLevel::instance && one.sop_instance_uid != sop_instance_uid;
    if (of_another || one.action == AttributeAction::remove_instance) continue;
    const auto known = dicom::find_element(one.key);
    const auto tag = known ? known->tag : dicom::tag_from(one.key);
    if (!tag || *tag >= kPixels || (*tag >> 16) <= 0x0002) {
      return unsupported("An attribute is not one that can be changed.");
    }
    wanted.push_back({*tag, one.vr.empty() && known ? known->vr : one.vr, &one});
  }
  return wanted;
}

// Text beyond ASCII: what the data set's own character set has, or UTF-8 where it has none (its
// texts are ASCII then, which UTF-8 contains; PS3.3 section C.12.1.1.2).
struct Characters {
  wire::Repertoire repertoire = wire::Repertoire::ascii;
  bool becomes_utf8 = false;
};
Characters characters_of(const std::string& character_set, const std::vector<Wanted>& wanted) {
  if (character_set == "ISO_IR 192") return {wire::Repertoire::utf8, false};
  if (character_set == "ISO_IR 100") return {wire::Repertoire::latin1, false};
  const bool needed = std::ranges::any_of(wanted, [](const Wanted& one) {
    return one.change->value && !wire::is_ascii(*one.change->value);
  });
  const bool is_default = character_set.empty() || character_set == "ISO_IR 6";
  if (needed && is_default) return {wire::Repertoire::utf8, true};
  return {};
}

Result<std::vector<dicom::NewElement>> elements_of(const dicom::TopLevel& top,
                                                   const std::vector<Wanted>& wanted) {
  const Characters characters = characters_of(top.character_set, wanted);
  const wire::ElementEncoding encoding{top.implicit_vr, top.big_endian, characters.repertoire};
  std::vector<dicom::NewElement> elements;
  for (const Wanted& one : wanted) {
    dicom::NewElement element{one.tag, std::nullopt};
    if (one.change->action == AttributeAction::set) {
      const dicom::TopElement* there = top.find(one.tag);
      const bool has_vr = there != nullptr && !there->vr.empty() && there->vr != "UN";
      const std::string vr = has_vr ? there->vr : one.vr;
      if (vr.empty()) return unsupported("The VR of an attribute is not known.");
      TRY_ASSIGN(element.bytes, wire::print_element(one.tag, vr, one.change->value.value_or("null"),
                                                    encoding, look_up));
    }
    elements.push_back(std::move(element));
  }
  if (characters.becomes_utf8) {
    TRY_ASSIGN(std::string bytes, wire::print_element(kSpecificCharacterSet, "CS", "\"ISO_IR 192\"",
                                                      encoding, look_up));
    elements.push_back({kSpecificCharacterSet, std::move(bytes)});
  }
  return elements;
}

}  // namespace

Result<std::unique_ptr<ByteSource>> changed_file(Env& env, const FileSystem::Path& path,
                                                 const std::string& sop_instance_uid,
                                                 const MetadataChange& change) {
  TRY_ASSIGN(const std::vector<Wanted> wanted, wanted_of(change, sop_instance_uid));
  std::uint32_t last = kSpecificCharacterSet;
  for (const Wanted& one : wanted) last = std::max(last, one.tag);

  TRY_ASSIGN(auto file, env.files.open(path, FileSystem::Mode::read_only));
  TRY_ASSIGN(const std::uint64_t size, file->size());
  Bytes head(static_cast<std::size_t>(std::min<std::uint64_t>(size, kHeadBytes)));
  TRY_ASSIGN(const std::size_t got, file->read_at(0, head));
  TRY_ASSIGN(const dicom::FileHead meta, dicom::read_file_head(ByteSpan(head).first(got)));
  const std::uint64_t offset = meta.dataset_offset_bytes;

  TRY_ASSIGN(auto walked, env.files.open(path, FileSystem::Mode::read_only));
  const auto dataset = source_of_file(std::move(walked), offset, size - offset);
  auto top = dicom::read_top_level(*dataset, meta.transfer_syntax_uid, last);
  if (!top.ok() && top.error().fate == Fate::permanent) return unsupported(top.error().message);
  TRY(top);
  TRY_ASSIGN(auto elements, elements_of(*top, wanted));
  std::vector<dicom::Piece> pieces{{0, offset, {}}};
  for (dicom::Piece& piece : dicom::splice(*top, std::move(elements))) {
    if (piece.bytes.empty()) {
      piece.begin += offset;
      piece.end += offset;
    }
    pieces.push_back(std::move(piece));
  }
  return std::unique_ptr<ByteSource>(
      std::make_unique<PiecedSource>(std::move(file), std::move(pieces)));
}

bool removes(const MetadataChange& change, const std::string& sop_instance_uid) {
  return std::ranges::any_of(change.attributes, [&](const AttributeChange& one) {
    return one.action == AttributeAction::remove_instance &&
           one.sop_instance_uid == sop_instance_uid;
  });
}

}  // namespace isthmus::google
