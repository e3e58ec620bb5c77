#include "dicom/splice.h"

#include <algorithm>

#include "dicom/transfer_syntax.h"
#include "dicom/walk/walker.h"

namespace isthmus::dicom {
namespace {

constexpr std::size_t kReadBytes = 64 * KiB;
constexpr std::size_t kMostCharacterSet = 256;
constexpr Tag kSpecificCharacterSet = make_tag(0x0008, 0x0005);

std::string without_padding(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\0')) text.remove_suffix(1);
  return std::string(text);
}

class TopVisitor final : public WalkVisitor {
 public:
  explicit TopVisitor(Tag last) : last_(last) {}

  Wish element(const ElementHead& head) override {
    if (!head.top_level()) return {};
    close(head.offset);
    if (head.tag > last_) return {.stop = true};
    top.elements.push_back({head.tag,
                            head.vr[0] == '\0' ? std::string() : std::string(head.vr.data(), 2),
                            head.offset, head.offset});
    is_open_ = true;
    return {.keep_bytes = head.tag == kSpecificCharacterSet ? kMostCharacterSet : 0};
  }
  void value(const ElementHead&, std::string_view bytes) override {
    top.character_set = without_padding(bytes);
  }
  void close(std::uint64_t at) {
    if (is_open_) top.elements.back().end = at;
    is_open_ = false;
    top.end = at;
  }

  TopLevel top;

 private:
  const Tag last_;
  bool is_open_ = false;
};

}  // namespace

const TopElement* TopLevel::find(std::uint32_t tag) const {
  const auto found = std::ranges::find(elements, tag, &TopElement::tag);
  return found == elements.end() ? nullptr : &*found;
}

Result<TopLevel> read_top_level(ByteSource& dataset, std::string_view transfer_syntax_uid,
                                std::uint32_t last) {
  ASSERT(last < kFloatPixelData);
  const TransferSyntax& syntax = transfer_syntax_or_default(transfer_syntax_uid);
  if (syntax.deflated) {
    return permanent_error("dicom.unsupported", "The data set is deflated.");
  }
  TopVisitor visitor(last);
  Walker walker({.implicit_vr = syntax.implicit_vr, .big_endian = syntax.big_endian},
                {.size_bytes = dataset.size()}, visitor);
  std::vector<std::byte> buffer(kReadBytes);
  while (walker.state() == Walker::State::more) {
    TRY_ASSIGN(const std::size_t count, dataset.read(buffer));
    if (count == 0) break;
    walker.feed(ByteSpan(buffer).first(count));
  }
  if (walker.state() == Walker::State::more) walker.finish();
  if (walker.state() == Walker::State::failed) return walker.error();
  if (walker.state() != Walker::State::stopped) {
    visitor.close(walker.position() - walker.padding_bytes());
  }
  visitor.top.implicit_vr = syntax.implicit_vr;
  visitor.top.big_endian = syntax.big_endian;
  visitor.top.dataset_bytes = dataset.size();
  return std::move(visitor.top);
}

std::vector<Piece> splice(const TopLevel& old, std::vector<NewElement> elements) {
  std::ranges::sort(elements, {}, &NewElement::tag);
  std::vector<Piece> pieces;
  std::uint64_t at = 0;
  const auto take_until = [&](std::uint64_t end) {
    if (end > at) pieces.push_back({at, end, {}});
    at = std::max(at, end);
  };
  for (NewElement& one : elements) {
    const auto next = std::ranges::find_if(
        old.elements, [&](const TopElement& element) { return element.tag >= one.tag; });
    take_until(next == old.elements.end() ? old.end : next->begin);
    if (one.bytes) pieces.push_back({0, 0, std::move(*one.bytes)});
    const bool is_there = next != old.elements.end() && next->tag == one.tag;
    if (is_there) at = next->end;
  }
  take_until(old.dataset_bytes);
  return pieces;
}

}  // namespace isthmus::dicom
