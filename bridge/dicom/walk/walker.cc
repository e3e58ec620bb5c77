#include "dicom/walk/walker.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace isthmus::dicom {
namespace {

constexpr std::uint32_t kUndefined32 = 0xFFFFFFFFU;

constexpr bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}

constexpr unsigned vr_code(char a, char b) {
  return static_cast<unsigned>(static_cast<unsigned char>(a)) << 8 | static_cast<unsigned char>(b);
}

// VRs with a length of two bytes (PS3.5 Table 7.1-2). Any other pair of capitals has two reserved
// bytes and four of length, those of tomorrow included (Table 7.1-1); what is no pair of capitals
// is a broken VR and read like DCMTK does, with two.
bool has_short_length(char a, char b) {
  if (!is_upper(a) || !is_upper(b)) return true;
  switch (vr_code(a, b)) {
    case vr_code('A', 'E'):
    case vr_code('A', 'S'):
    case vr_code('A', 'T'):
    case vr_code('C', 'S'):
    case vr_code('D', 'A'):
    case vr_code('D', 'S'):
    case vr_code('D', 'T'):
    case vr_code('F', 'D'):
    case vr_code('F', 'L'):
    case vr_code('I', 'S'):
    case vr_code('L', 'O'):
    case vr_code('L', 'T'):
    case vr_code('P', 'N'):
    case vr_code('S', 'H'):
    case vr_code('S', 'L'):
    case vr_code('S', 'S'):
    case vr_code('S', 'T'):
    case vr_code('T', 'M'):
    case vr_code('U', 'I'):
    case vr_code('U', 'L'):
    case vr_code('U', 'S'):
      return true;
    default:
      return false;
  }
}

bool is_vr(const ElementHead& head, const char* vr) {
  return head.vr[0] == vr[0] && head.vr[1] == vr[1];
}

bool all_zero(ByteSpan bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

std::string tag_text(Tag tag) {
  return fmt::format("({:04X},{:04X})", tag >> 16, tag & 0xFFFF);
}

Walker::Walker(Encoding encoding, const WalkLimits& limits, WalkVisitor& visitor)
    : limits_(limits), visitor_(visitor) {
  frames_.reserve(16);
  frames_.push_back({Kind::dataset, encoding, limits.size_bytes, limits.size_bytes, false});
}

Walker::State Walker::feed(ByteSpan bytes) {
  while (state_ == State::more && !bytes.empty()) step(bytes);
  return state_;
}

Walker::State Walker::finish() {
  if (state_ != State::more) return state_;
  close_ended();
  const bool pieces_of_zero = all_zero(ByteSpan(head_).first(head_size_));
  if (value_left_ > 0) {
    fail("dicom.truncated", "The data set ends within a value", current_.tag, position_);
  } else if (frames_.size() > 1) {
    fail("dicom.truncated", "The data set ends within a sequence", 0, position_);
  } else if (head_size_ > 0 && !pieces_of_zero) {
    fail("dicom.truncated", "The data set ends within an element", 0, position_);
  }
  return state_;
}

// One piece of progress: a part of a value, of padding, or of a head.
void Walker::step(ByteSpan& bytes) {
  if (value_left_ > 0) return take_value(bytes);
  if (in_padding_) return take_padding(bytes);
  close_ended();
  if (state_ != State::more) return;
  const std::uint64_t left = left_in_frame();
  if (left < 8) {
    // Behind the last element of the whole there may be a few zeros; elsewhere nothing fits.
    if (frames_.size() == 1) return begin_padding();
    return no_room();
  }
  if (!fill_head(bytes, head_need_)) return;
  process_head();
}

void Walker::take_value(ByteSpan& bytes) {
  if (keep_left_ > 0) {
    const std::size_t count = std::min(keep_left_, bytes.size());
    kept_.append(as_text(bytes.first(count)));
    keep_left_ -= count;
    value_left_ -= count;
    position_ += count;
    looked_at_ += count;
    bytes = bytes.subspan(count);
  }
  if (keep_left_ == 0 && keeping_) {
    keeping_ = false;
    visitor_.value(current_, kept_);
  }
  const auto skip = static_cast<std::size_t>(std::min<std::uint64_t>(value_left_, bytes.size()));
  value_left_ -= skip;
  position_ += skip;
  bytes = bytes.subspan(skip);
}

void Walker::take_padding(ByteSpan& bytes) {
  const auto first =
      std::find_if(bytes.begin(), bytes.end(), [](std::byte b) { return b != std::byte{0}; });
  position_ += static_cast<std::uint64_t>(first - bytes.begin());
  if (first != bytes.end()) {
    const bool cut = padding_from_ + 8 > limits_.size_bytes;
    return fail(cut ? "dicom.truncated" : "dicom.unreadable",
                cut ? "The data set ends within an element"
                    : "Bytes that are no element follow the data set",
                0, position_);
  }
  bytes = {};
}

// True when head_ holds `need` bytes.
bool Walker::fill_head(ByteSpan& bytes, std::size_t need) {
  if (head_size_ < need) {
    const std::size_t count = std::min(need - head_size_, bytes.size());
    std::memcpy(head_.data() + head_size_, bytes.data(), count);
    head_size_ += count;
    bytes = bytes.subspan(count);
  }
  return head_size_ >= need;
}

void Walker::begin_padding() {
  in_padding_ = true;
  padding_from_ = position_;
  position_ += head_size_;
  head_size_ = 0;
  if (limits_.stop_at_padding) state_ = State::stopped;
}

void Walker::close_ended() {
  while (frames_.size() > 1 && frames_.back().end == position_) leave();
}

std::uint64_t Walker::left_in_frame() const {
  const std::uint64_t limit = frames_.back().limit;
  return limit == kUndefinedLength ? kUndefinedLength : limit - position_;
}

std::uint16_t Walker::u16(std::size_t at, bool big) const {
  const auto a = std::to_integer<unsigned>(head_[at]);
  const auto b = std::to_integer<unsigned>(head_[at + 1]);
  return static_cast<std::uint16_t>(big ? (a << 8 | b) : (b << 8 | a));
}

std::uint32_t Walker::u32(std::size_t at, bool big) const {
  const std::uint32_t first = u16(at, big);
  const std::uint32_t second = u16(at + 2, big);
  return big ? (first << 16 | second) : (second << 16 | first);
}

Tag Walker::head_tag(bool big) const {
  return make_tag(u16(0, big), u16(2, big));
}

void Walker::process_head() {
  const Frame& frame = frames_.back();
  const Tag tag = head_tag(frame.encoding.big_endian);
  if (frame.kind == Kind::dataset && all_zero(ByteSpan(head_).first(8))) {
    return begin_padding();
  }
  switch (tag) {
    case kItem:
      return process_item(u32(4, frame.encoding.big_endian));
    case kItemEnd:
    case kSequenceEnd:
      return process_delimiter(tag);
    default:
      return process_element();
  }
}

// The length of a delimiter is to be zero and is ignored when it is not.
void Walker::process_delimiter(Tag tag) {
  const Frame frame = frames_.back();
  const bool ends_item = tag == kItemEnd && frame.kind == Kind::item;
  const bool ends_sequence =
      tag == kSequenceEnd && (frame.kind == Kind::sequence || frame.kind == Kind::fragments);
  if (!ends_item && !ends_sequence) return broken("A delimiter is where nothing ends", tag);
  if (frame.end != kUndefinedLength && frame.end - position_ != 8) {
    return broken("A delimiter is inside something of defined length", tag);
  }
  consume_head(8);
  leave();
}

void Walker::process_item(std::uint64_t length) {
  const Frame& frame = frames_.back();
  if (frame.kind != Kind::sequence && frame.kind != Kind::fragments) {
    return broken("An item is outside a sequence", kItem);
  }
  ElementHead head;
  head.tag = kItem;
  head.offset = position_;
  head.value_offset = position_ + 8;
  head.nesting = nesting_;
  head.length = length == kUndefined32 ? kUndefinedLength : length;
  head.fragment = frame.kind == Kind::fragments;
  if (head.fragment && head.length == kUndefinedLength) {
    return broken("A fragment has no length", kPixelData);
  }
  if (!check_fits(head) || !count_element()) return;
  consume_head(8);
  if (state_ != State::more) return;
  if (head.fragment) return begin_value(head);
  visitor_.item(nesting_);
  enter(Kind::item, frame.encoding, head.length, false);
}

void Walker::process_element() {
  const Frame& frame = frames_.back();
  if (frame.kind == Kind::sequence || frame.kind == Kind::fragments) {
    return broken("A sequence holds something that is no item",
                  head_tag(frame.encoding.big_endian));
  }
  // Nothing to do before all of the head is here: step() comes again with more bytes.
  if (const std::optional<ElementHead> head = read_element_head()) open_element(*head);
}

// The head of an element in explicit or implicit VR; nothing when more bytes are needed or it
// failed.
std::optional<ElementHead> Walker::read_element_head() {
  const Encoding encoding = frames_.back().encoding;
  ElementHead head;
  head.tag = head_tag(encoding.big_endian);
  head.offset = position_;
  head.nesting = nesting_;
  std::uint32_t length = 0;
  if (encoding.implicit_vr) {
    length = u32(4, encoding.big_endian);
    head.value_offset = position_ + 8;
  } else {
    head.vr = {static_cast<char>(head_[4]), static_cast<char>(head_[5])};
    if (has_short_length(head.vr[0], head.vr[1])) {
      head.length = u16(6, encoding.big_endian);
      head.value_offset = position_ + 8;
      return head;
    }
    if (left_in_frame() < 12) {
      no_room();
      return std::nullopt;
    }
    if (wait_for_twelve()) return std::nullopt;
    length = u32(8, encoding.big_endian);
    head.value_offset = position_ + 12;
  }
  head.length = length == kUndefined32 ? kUndefinedLength : length;
  return head;
}

// Less is left than the head of an element takes.
void Walker::no_room() {
  if (frames_.back().limit == frames_.front().end) {
    fail("dicom.truncated", "The data set ends within an element or sequence", 0, position_);
  } else {
    broken("There is no room for an element");
  }
}

// True when step() has to come again with more bytes of the head.
bool Walker::wait_for_twelve() {
  head_need_ = 12;
  return head_size_ < 12;
}

void Walker::open_element(const ElementHead& head) {
  if (!check_fits(head)) return;
  const Encoding encoding = frames_.back().encoding;
  const bool may_be_sequence = limits_.guess_sequences && encoding.implicit_vr &&
                               head.length != kUndefinedLength && head.length >= 8;
  if (may_be_sequence && wait_for_twelve()) return;
  const bool guessed = may_be_sequence && looks_like_sequence(head);
  if (!count_element()) return;
  consume_head(static_cast<std::size_t>(head.value_offset - head.offset));
  if (state_ != State::more) return;
  if (head.length == kUndefinedLength) return open_undefined(head);
  if (!encoding.implicit_vr && is_vr(head, "SQ")) {
    return open_container(head, Kind::sequence, encoding, false);
  }
  if (guessed) return open_container(head, Kind::sequence, encoding, true);
  begin_value(head);
}

// The first four bytes of the value, read ahead behind the eight of the head.
bool Walker::looks_like_sequence(const ElementHead&) const {
  const bool big = frames_.back().encoding.big_endian;
  return make_tag(u16(8, big), u16(10, big)) == kItem;
}

void Walker::open_undefined(const ElementHead& head) {
  const Encoding encoding = frames_.back().encoding;
  const bool sequence = !encoding.implicit_vr && is_vr(head, "SQ");
  if (head.tag == kPixelData && !sequence) {
    return open_container(head, Kind::fragments, encoding, false);
  }
  if (sequence || encoding.implicit_vr) {
    return open_container(head, Kind::sequence, encoding, false);
  }
  // A sequence whose VR the sender did not know: its items are in Implicit VR Little Endian,
  // whatever is around it (PS3.5 section 6.2.2, note 2; CP-246).
  if (is_vr(head, "UN")) {
    return open_container(head, Kind::sequence, {.implicit_vr = true, .big_endian = false}, false);
  }
  fail("dicom.unreadable", "A value that must have a length has none", head.tag, head.offset);
}

void Walker::open_container(ElementHead head, Kind kind, Encoding encoding, bool guessed) {
  head.opens_sequence = kind == Kind::sequence;
  if (visitor_.element(head).stop) {
    state_ = State::stopped;
    return;
  }
  enter(kind, encoding, head.length, guessed);
}

void Walker::enter(Kind kind, Encoding encoding, std::uint64_t length, bool guessed) {
  if (kind == Kind::sequence || kind == Kind::fragments) {
    if (nesting_ >= limits_.nesting) {
      return fail("dicom.too_deep", "Sequences are nested too deep", 0, position_);
    }
    deepest_ = std::max(deepest_, ++nesting_);
  }
  const std::uint64_t end = length == kUndefinedLength ? kUndefinedLength : position_ + length;
  frames_.push_back(
      {kind, encoding, end, end == kUndefinedLength ? frames_.back().limit : end, guessed});
}

void Walker::leave() {
  const Kind kind = frames_.back().kind;
  if (kind == Kind::sequence || kind == Kind::fragments) --nesting_;
  frames_.pop_back();
}

void Walker::begin_value(const ElementHead& head) {
  const WalkVisitor::Wish wish = visitor_.element(head);
  if (wish.stop) {
    state_ = State::stopped;
    return;
  }
  // In guessing mode the first four bytes of the value may be in head_ already: they are part of
  // it.
  value_left_ = head.length;
  kept_.clear();
  current_ = head;
  keep_left_ = static_cast<std::size_t>(std::min<std::uint64_t>(wish.keep_bytes, head.length));
  keeping_ = wish.keep_bytes > 0;
  if (head_size_ > 0) {
    const std::array<std::byte, 12> ahead = head_;
    ByteSpan rest = ByteSpan(ahead).first(head_size_);
    head_size_ = 0;
    take_value(rest);
  } else if (keeping_ && keep_left_ == 0) {
    keeping_ = false;
    visitor_.value(current_, kept_);
  }
}

void Walker::consume_head(std::size_t count) {
  std::memmove(head_.data(), head_.data() + count, head_.size() - count);
  head_size_ -= count;
  head_need_ = 8;
  position_ += count;
  looked_at_ += count;
  if (looked_at_ > limits_.head_bytes) {
    fail("dicom.unreadable", "The head of the data set is too long", 0, position_);
  }
}

// A value must end within what holds it, at its head, before anything is skipped or reserved.
bool Walker::check_fits(const ElementHead& head) {
  if (head.length == kUndefinedLength) return true;
  if (head.length > limits_.value_bytes) {
    fail("dicom.unreadable", "A value is too long", head.tag, head.offset);
    return false;
  }
  const std::uint64_t limit = frames_.back().limit;
  if (limit == kUndefinedLength || head.length <= limit - head.value_offset) return true;
  if (limit == frames_.front().end) {
    fail("dicom.truncated", "The data set ends before a value does", head.tag, head.offset);
  } else {
    broken("A value is longer than the sequence that holds it", head.tag);
  }
  return false;
}

bool Walker::count_element() {
  if (++elements_ <= limits_.elements) return true;
  fail("dicom.too_many_elements", "The data set has too many elements", 0, position_);
  return false;
}

// What looked like a sequence was a plain value: goes on behind it. False when nothing was guessed.
bool Walker::give_up_guess() {
  const auto guess = std::find_if(frames_.rbegin(), frames_.rend(),
                                  [](const Frame& frame) { return frame.guessed; });
  if (guess == frames_.rend()) return false;
  const std::uint64_t end = guess->end;
  const auto keep = static_cast<std::size_t>(std::distance(guess, frames_.rend())) - 1;
  while (frames_.size() > keep) leave();
  value_left_ = end - position_;
  keep_left_ = 0;
  keeping_ = false;
  const std::array<std::byte, 12> ahead = head_;
  ByteSpan rest = ByteSpan(ahead).first(head_size_);
  head_size_ = 0;
  head_need_ = 8;
  take_value(rest);
  ASSERT(rest.empty());  // heads are read ahead only as far as what holds them reaches
  return true;
}

void Walker::broken(const char* what, Tag tag) {
  if (!give_up_guess()) fail("dicom.unreadable", what, tag, position_);
}

void Walker::fail(const char* code, const std::string& what, Tag tag, std::uint64_t at) {
  state_ = State::failed;
  error_ = permanent_error(
      code, tag == 0 ? fmt::format("{}, at byte {}.", what, at)
                     : fmt::format("{}, at byte {}, element {}.", what, at, tag_text(tag)));
}

}  // namespace isthmus::dicom
