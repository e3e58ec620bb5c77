#include "wire/multipart.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "wire/text.h"

namespace isthmus::wire {
namespace {

// RFC 2046 section 5.1.1 has 70; Orthanc 1.10 sends 73 (two UUIDs).
constexpr std::size_t kMostBoundaryBytes = 200;

// What is not plain body is gathered in pieces of this size, so that moving the rest stays cheap.
constexpr std::size_t kPieceBytes = 8 * KiB;

Error malformed(const char* what) {
  return permanent_error("multipart.malformed",
                         std::string("The multipart body cannot be read: ") + what + ".");
}
Error too_large(const char* what) {
  return permanent_error("multipart.too_large",
                         std::string("The multipart body has ") + what + ".");
}

// RFC 9110 section 5.6.2.
bool is_token_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, is_token_character);
}

// Takes a parameter's value off the front: a quoted string, or everything up to a ';'. Values
// unquoted have more characters than tokens in the field ('/' and '=' among them).
std::optional<std::string> take_value(std::string_view& rest) {
  if (!rest.starts_with('"')) {
    const std::string_view value = trimmed(rest.substr(0, rest.find(';')));
    rest.remove_prefix(std::min(rest.find(';'), rest.size()));
    if (value.empty() || value.find_first_of(" \t\"") != std::string_view::npos) return {};
    return std::string(value);
  }
  std::string value;
  for (std::size_t i = 1; i < rest.size(); ++i) {
    if (rest[i] == '"') {
      rest = trimmed(rest.substr(i + 1));
      if (!rest.empty() && rest.front() != ';') return {};
      return value;
    }
    if (rest[i] == '\\' && ++i == rest.size()) return {};
    value += rest[i];
  }
  return {};
}

// Splits at commas outside quotes.
std::vector<std::string_view> split_list(std::string_view text) {
  std::vector<std::string_view> entries;
  bool quoted = false;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] == '"') quoted = !quoted;
    if (i < text.size() && (quoted || text[i] != ',')) continue;
    entries.push_back(trimmed(text.substr(begin, i - begin)));
    begin = i + 1;
  }
  return entries;
}

}  // namespace

std::string_view MediaType::parameter(std::string_view name, std::string_view otherwise) const {
  for (const auto& [known, value] : parameters) {
    if (known == name) return value;
  }
  return otherwise;
}

std::optional<MediaType> parse_media_type(std::string_view text) {
  text = trimmed(text);
  MediaType media;
  media.type = lower_case(trimmed(text.substr(0, text.find(';'))));
  const std::size_t slash = media.type.find('/');
  if (slash == std::string::npos || !is_token(std::string_view(media.type).substr(0, slash)) ||
      !is_token(std::string_view(media.type).substr(slash + 1))) {
    return std::nullopt;
  }
  text.remove_prefix(std::min(text.find(';'), text.size()));
  while (!text.empty()) {
    text = trimmed(text.substr(1));  // the ';'
    if (text.empty()) break;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view name = trimmed(text.substr(0, equals));
    if (!is_token(name)) return std::nullopt;
    text = trimmed(text.substr(equals + 1));
    std::optional<std::string> value = take_value(text);
    if (!value) return std::nullopt;
    media.parameters.emplace_back(lower_case(name), std::move(*value));
  }
  return media;
}

std::vector<AcceptedType> parse_accept(std::string_view text) {
  std::vector<AcceptedType> accepted;
  for (const std::string_view entry : split_list(text)) {
    std::optional<MediaType> media = parse_media_type(entry);
    if (!media) continue;
    double quality = 1;
    const std::string said(media->parameter("q", "1"));
    const auto [end, failure] = std::from_chars(said.data(), said.data() + said.size(), quality);
    if (failure != std::errc{} || end != said.data() + said.size() || !(quality >= 0)) continue;
    std::erase_if(media->parameters, [](const auto& parameter) { return parameter.first == "q"; });
    accepted.push_back({std::move(*media), std::min(quality, 1.0)});
  }
  std::ranges::stable_sort(
      accepted, [](const AcceptedType& a, const AcceptedType& b) { return a.quality > b.quality; });
  return accepted;
}

std::optional<std::string> boundary_of(const MediaType& media) {
  const std::string_view text = media.parameter("boundary");
  const bool fits = !text.empty() && text.size() <= kMostBoundaryBytes && text.back() != ' ' &&
                    std::ranges::all_of(text, [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                             (c >= '0' && c <= '9') ||
                             std::string_view("'()+_,-./:=? ").find(c) != std::string_view::npos;
                    });
  if (!fits) return std::nullopt;
  return std::string(text);
}

// --- reading

MultipartReader::MultipartReader(std::string_view boundary, PartSink& sink, MultipartLimits limits)
    : delimiter_("\r\n--" + std::string(boundary)),
      sink_(sink),
      limits_(limits),
      buffer_("\r\n") {}  // the first delimiter may stand at the very beginning

Result<void> MultipartReader::feed(ByteSpan bytes) {
  while (!bytes.empty()) {
    if (state_ == State::body && buffer_.empty()) {
      TRY_ASSIGN(const std::size_t passed, pass_body(as_text(bytes)));
      bytes = bytes.subspan(passed);
    }
    const ByteSpan piece = bytes.first(std::min(bytes.size(), kPieceBytes));
    bytes = bytes.subspan(piece.size());
    TRY(feed_buffered(piece));
  }
  return {};
}

Result<void> MultipartReader::feed_buffered(ByteSpan piece) {
  if (state_ == State::epilogue) {
    skipped_ += piece.size();
    if (skipped_ > limits_.preamble_bytes) return too_large("too much behind its last part");
    return {};
  }
  buffer_ += as_text(piece);
  while (true) {
    TRY_ASSIGN(const bool more, step());
    if (!more) return {};
  }
}

// A part's bytes go on from where they came, up to what is, or may become, a delimiter.
Result<std::size_t> MultipartReader::pass_body(std::string_view bytes) {
  bool found = false;
  const std::size_t count = clear_of_delimiter(bytes, found);
  if (count > 0) TRY(sink_.part_bytes(as_bytes(bytes.substr(0, count))));
  return count;
}

// How many bytes in front are certainly none of a delimiter; `found`: one stands behind them.
std::size_t MultipartReader::clear_of_delimiter(std::string_view bytes, bool& found) const {
  const void* const at = ::memmem(bytes.data(), bytes.size(), delimiter_.data(), delimiter_.size());
  found = at != nullptr;
  if (found) return static_cast<std::size_t>(static_cast<const char*>(at) - bytes.data());
  std::size_t kept = std::min(bytes.size(), delimiter_.size() - 1);
  while (kept > 0 && !std::string_view(delimiter_).starts_with(bytes.substr(bytes.size() - kept))) {
    --kept;
  }
  return bytes.size() - kept;
}

Result<void> MultipartReader::finish() {
  if (state_ == State::epilogue) return {};
  return permanent_error("multipart.truncated",
                         "The multipart body ends before its closing delimiter.");
}

Result<bool> MultipartReader::step() {
  switch (state_) {
    case State::preamble:
      return skip_preamble();
    case State::delimiter:
      return after_delimiter();
    case State::head:
      return take_head();
    case State::body:
      return take_body();
    case State::epilogue:
      skipped_ = buffer_.size();
      buffer_.clear();
      if (skipped_ > limits_.preamble_bytes) return too_large("too much behind its last part");
      return false;
  }
  ASSERT(false);
  return false;
}

Result<bool> MultipartReader::skip_preamble() {
  const std::size_t at = buffer_.find(delimiter_);
  const std::size_t passed =
      at != std::string::npos ? at : buffer_.size() - std::min(buffer_.size(), delimiter_.size());
  skipped_ += passed;
  if (skipped_ > limits_.preamble_bytes) return too_large("too much before its first part");
  buffer_.erase(0, passed);
  if (at == std::string::npos) return false;
  state_ = State::delimiter;
  return true;
}

// Behind a delimiter's text: the end of all, the end of the line, or it was none.
Result<bool> MultipartReader::after_delimiter() {
  const std::string_view rest = std::string_view(buffer_).substr(delimiter_.size());
  if (rest.size() < 2) return false;
  const bool closing = rest.starts_with("--");
  const std::size_t padding = std::min(rest.find_first_not_of(" \t"), rest.size());
  const std::string_view line = rest.substr(padding);
  if (!closing && line.size() < 2 && padding < 64 && (line.empty() || line == "\r")) return false;
  const bool lf_alone = line.starts_with('\n');
  if (!closing && !line.starts_with("\r\n") && !(lf_alone && limits_.lf_in_heads)) {
    if (lf_alone) return malformed("a line ends in LF alone");
    if (!in_part_) {
      state_ = State::preamble;
      buffer_.erase(0, 1);
      return true;
    }
    state_ = State::body;
    const std::size_t borrowed = std::exchange(borrowed_, false) ? 2 : 0;
    buffer_.erase(0, borrowed);
    TRY(emit(delimiter_.size() - borrowed));
    return true;
  }
  borrowed_ = false;
  if (in_part_) TRY(sink_.end_part());
  in_part_ = false;
  buffer_.erase(0, delimiter_.size() + (closing ? 2 : padding));
  if (!closing && lf_alone) buffer_.insert(0, "\r");
  state_ = closing ? State::epilogue : State::head;
  return true;
}

// Where the empty line ends that ends a head; npos while it is not there.
std::size_t MultipartReader::end_of_head() const {
  const std::size_t strict = buffer_.find(limits_.lf_in_heads ? "\n\r\n" : "\r\n\r\n");
  const std::size_t end =
      strict == std::string::npos ? strict : strict + (limits_.lf_in_heads ? 3 : 4);
  if (!limits_.lf_in_heads) return end;
  const std::size_t bare = buffer_.find("\n\n");
  return bare == std::string::npos ? end : std::min(end, bare + 2);
}

// Header fields up to the empty line; the CRLF that ended the delimiter is still in front.
Result<bool> MultipartReader::take_head() {
  const std::size_t end = end_of_head();
  if (std::min(end, buffer_.size()) > limits_.head_bytes + 4) {
    return too_large("a part with a head beyond the limit");
  }
  if (end == std::string::npos) return false;
  const std::string head = buffer_.substr(2, end - 2);
  buffer_.erase(0, end);
  TRY(begin_part(head));
  // The delimiter behind an empty part may begin with the CRLF that ended the head.
  buffer_.insert(0, "\r\n");
  borrowed_ = true;
  state_ = State::body;
  return true;
}

Result<void> MultipartReader::begin_part(std::string_view head) {
  if (++parts_ > limits_.parts) return too_large("too many parts");
  http::Headers headers;
  const std::string_view line_end = limits_.lf_in_heads ? "\n" : "\r\n";
  while (!head.empty()) {
    const std::size_t end = std::min(head.find(line_end), head.size());
    std::string_view line = head.substr(0, end);
    head.remove_prefix(std::min(end + line_end.size(), head.size()));
    if (limits_.lf_in_heads && line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;  // the one that ends the head
    const std::size_t colon = line.find(':');
    const bool fits = colon != std::string_view::npos && is_token(line.substr(0, colon)) &&
                      std::ranges::none_of(line, [](char c) {
                        return (c >= 0 && c < ' ' && c != '\t') || c == 0x7F;
                      });
    if (!fits) return malformed("a header field of a part is none");
    if (headers.all().size() >= limits_.head_fields) return too_large("too many header fields");
    headers.add(line.substr(0, colon), std::string(trimmed(line.substr(colon + 1))));
  }
  in_part_ = true;
  return sink_.begin_part(headers);
}

Result<bool> MultipartReader::take_body() {
  if (borrowed_ && !buffer_.starts_with(delimiter_)) {
    if (std::string_view(delimiter_).starts_with(buffer_)) return false;
    buffer_.erase(0, 2);
    borrowed_ = false;
  }
  bool found = false;
  const std::size_t count = clear_of_delimiter(buffer_, found);
  TRY(emit(count));
  if (found) state_ = State::delimiter;
  return found;
}

Result<void> MultipartReader::emit(std::size_t count) {
  if (count > 0) TRY(sink_.part_bytes(as_bytes(std::string_view(buffer_).substr(0, count))));
  buffer_.erase(0, count);
  return {};
}

// --- writing

namespace {

class MultipartSource : public ByteSource {
 public:
  MultipartSource(std::string boundary, std::vector<OutgoingPart> parts)
      : boundary_(std::move(boundary)), parts_(std::move(parts)) {
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      size_ += head_of(i).size() + parts_[i].size_bytes;
    }
    size_ += closing().size();
    text_ = text_before(0);
  }

  std::uint64_t size() const override { return size_; }

  Result<std::size_t> read(MutableByteSpan into) override {
    while (true) {
      if (at_ < text_.size()) {
        const std::size_t count = std::min(into.size(), text_.size() - at_);
        std::ranges::copy(as_bytes(text_).subspan(at_, count), into.begin());
        at_ += count;
        return count;
      }
      if (next_ == parts_.size()) return std::size_t{0};
      if (!body_) {
        TRY_ASSIGN(body_, parts_[next_].open());
      }
      TRY_ASSIGN(const std::size_t count, body_->read(into));
      if (count > 0 || into.empty()) return count;
      body_.reset();
      text_ = text_before(++next_);
      at_ = 0;
    }
  }

  Result<void> rewind() override {
    body_.reset();
    next_ = at_ = 0;
    text_ = text_before(0);
    return {};
  }

 private:
  std::string head_of(std::size_t index) const {
    std::string text = (index == 0 ? "--" : "\r\n--") + boundary_ + "\r\n";
    for (const auto& [name, value] : parts_[index].headers.all()) {
      text += name + ": " + value + "\r\n";
    }
    return text + "\r\n";
  }
  std::string closing() const { return (parts_.empty() ? "--" : "\r\n--") + boundary_ + "--\r\n"; }
  std::string text_before(std::size_t index) const {
    return index < parts_.size() ? head_of(index) : closing();
  }

  const std::string boundary_;
  const std::vector<OutgoingPart> parts_;
  std::uint64_t size_ = 0;
  std::size_t next_ = 0;
  std::string text_;
  std::size_t at_ = 0;
  std::unique_ptr<ByteSource> body_;
};

}  // namespace

std::unique_ptr<ByteSource> multipart_body(std::string boundary, std::vector<OutgoingPart> parts) {
  return std::make_unique<MultipartSource>(std::move(boundary), std::move(parts));
}

}  // namespace isthmus::wire
