// The one reader of DICOM structure under probe and scanner: a push parser. Bytes come in pieces of
// any size, element heads and the few values somebody asks for go out. It keeps a stack of what is
// open (at most as deep as the limit) and twelve bytes of a head; it never allocates from a
// declared length and never recurses, so what it has read tells nothing about how much memory it
// uses.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "dicom/walk/tag.h"

namespace isthmus::dicom {

constexpr std::uint64_t kUndefinedLength = std::numeric_limits<std::uint64_t>::max();

struct Encoding {
  bool implicit_vr = false;
  bool big_endian = false;
};

struct ElementHead {
  Tag tag = 0;
  std::array<char, 2> vr{};  // zeros in implicit VR
  std::uint64_t length = 0;  // bytes of the value, or kUndefinedLength
  std::uint64_t offset = 0;  // of the head's first byte in the data set
  std::uint64_t value_offset = 0;
  std::uint32_t nesting = 0;    // open sequences; 0: the data set itself
  bool fragment = false;        // an item of encapsulated pixel data; tag is kItem
  bool opens_sequence = false;  // items follow, not a value

  bool top_level() const { return nesting == 0 && !fragment; }
};

class WalkVisitor {
 public:
  struct Wish {
    std::size_t keep_bytes = 0;  // the first bytes of the value, handed over by value()
    bool stop = false;           // nothing more is wanted, this element's value included
  };

  virtual ~WalkVisitor() = default;
  // For each element and each fragment; not for items of sequences or delimiters.
  virtual Wish element(const ElementHead& head) = 0;
  // An item of a sequence begins; `nesting` sequences are open.
  virtual void item(std::uint32_t nesting) { (void)nesting; }
  // Once per element that asked to keep some: exactly min(keep_bytes, length) bytes.
  virtual void value(const ElementHead& head, std::string_view bytes) = 0;
};

struct WalkLimits {
  std::uint32_t nesting = 64;
  std::uint64_t elements = 1'000'000;  // elements, items and fragments
  std::uint64_t value_bytes = 4 * GiB;
  std::uint64_t head_bytes =
      kUndefinedLength;  // read as heads and kept values; skipped ones are free
  // Of the data set when it is known: a value that goes beyond is then an error at its head.
  std::uint64_t size_bytes = kUndefinedLength;
  // In implicit VR, look into values that begin like a sequence, because a reader with a dictionary
  // will; when they turn out not to be one, they are plain values.
  bool guess_sequences = false;
  bool stop_at_padding = false;  // else checks that zeros are all that follows
};

class Walker {
 public:
  enum class State { more, stopped, failed };

  Walker(Encoding encoding, const WalkLimits& limits, WalkVisitor& visitor);

  State feed(ByteSpan bytes);
  // After the last byte: fails when something is open that cannot end here.
  State finish();

  State state() const { return state_; }
  // Once failed.
  const Error& error() const { return *error_; }

  std::uint64_t position() const { return position_; }
  std::uint64_t elements() const { return elements_; }
  std::uint32_t deepest_nesting() const { return deepest_; }
  // Zero bytes behind the last element (senders pad files to blocks).
  std::uint64_t padding_bytes() const { return in_padding_ ? position_ - padding_from_ : 0; }

 private:
  enum class Kind { dataset, sequence, item, fragments };
  struct Frame {
    Kind kind;
    Encoding encoding;
    std::uint64_t end;  // offset of the first byte behind it, or kUndefinedLength
    std::uint64_t
        limit;     // where it must have ended: its end, or that of the nearest frame with one
    bool guessed;  // a value that may be no sequence at all
  };

  void step(ByteSpan& bytes);
  void take_value(ByteSpan& bytes);
  void take_padding(ByteSpan& bytes);
  bool fill_head(ByteSpan& bytes, std::size_t need);
  void close_ended();
  void begin_padding();
  void process_head();
  void process_delimiter(Tag tag);
  void process_item(std::uint64_t length);
  void process_element();
  std::optional<ElementHead> read_element_head();
  void open_element(const ElementHead& head);
  void open_undefined(const ElementHead& head);
  void open_container(ElementHead head, Kind kind, Encoding encoding, bool guessed);
  bool looks_like_sequence(const ElementHead& head) const;
  void enter(Kind kind, Encoding encoding, std::uint64_t length, bool guessed);
  void leave();
  void begin_value(const ElementHead& head);
  void consume_head(std::size_t count);
  bool wait_for_twelve();
  void no_room();
  bool check_fits(const ElementHead& head);
  bool count_element();
  bool give_up_guess();
  void broken(const char* what, Tag tag = 0);
  void fail(const char* code, const std::string& what, Tag tag, std::uint64_t at);
  std::uint16_t u16(std::size_t at, bool big) const;
  std::uint32_t u32(std::size_t at, bool big) const;
  Tag head_tag(bool big) const;
  std::uint64_t left_in_frame() const;

  const WalkLimits limits_;
  WalkVisitor& visitor_;
  State state_ = State::more;
  std::optional<Error> error_;
  std::vector<Frame> frames_;
  std::uint32_t nesting_ = 0;
  std::uint32_t deepest_ = 0;
  std::uint64_t elements_ = 0;
  std::uint64_t looked_at_ = 0;
  std::uint64_t position_ = 0;  // of the first byte not consumed; head_ holds what was read ahead
  std::array<std::byte, 12> head_{};
  std::size_t head_size_ = 0;
  std::size_t head_need_ = 8;
  std::uint64_t value_left_ = 0;
  std::size_t keep_left_ = 0;
  bool keeping_ = false;
  ElementHead current_;
  std::string kept_;
  bool in_padding_ = false;
  std::uint64_t padding_from_ = 0;
};

}  // namespace isthmus::dicom
