#include "http/rules/body_decoder.h"

#include <algorithm>
#include <cstring>

namespace isthmus::http::rules {

BodyDecoder::BodyDecoder(const Framing& framing) : chunked_(framing.chunked) {
  left_ = framing.content_length.value_or(0);
  part_ = chunked_ ? Part::size : Part::data;
  state_ = chunked_ || left_ > 0 ? State::more : State::done;
}

void BodyDecoder::skip(std::uint64_t count) {
  ASSERT(count <= plain_bytes());
  left_ -= count;
  if (left_ > 0 || count == 0) return;
  if (chunked_) {
    part_ = Part::data_cr;
  } else {
    state_ = State::done;
  }
}

BodyDecoder::Step BodyDecoder::decode(ByteSpan in, MutableByteSpan out) {
  Step step;
  while (state_ == State::more && step.consumed < in.size()) {
    if (part_ != Part::data) {
      take(static_cast<char>(in[step.consumed++]));
      continue;
    }
    const std::size_t room = std::min(out.size() - step.produced, in.size() - step.consumed);
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left_, room));
    if (count == 0) break;
    std::memcpy(out.data() + step.produced, in.data() + step.consumed, count);
    step.consumed += count;
    step.produced += count;
    skip(count);
  }
  return step;
}

void BodyDecoder::take(char c) {
  const auto expect = [&](char expected, Part next) {
    if (c == expected) {
      part_ = next;
    } else {
      state_ = State::broken;
    }
  };
  switch (part_) {
    case Part::size:
      return take_size(c);
    case Part::extension:
      if (++line_bytes_ > kChunkLineBytes || (c < ' ' && c != '\t' && c != '\r') || c == 127) {
        state_ = State::broken;
      } else if (c == '\r') {
        part_ = Part::size_lf;
      }
      return;
    case Part::size_lf:
      if (c != '\n') {
        state_ = State::broken;
      } else {
        end_line();
      }
      return;
    case Part::data:
      return;  // not byte by byte
    case Part::data_cr:
      return expect('\r', Part::data_lf);
    case Part::data_lf:
      return expect('\n', Part::size);
    case Part::trailer:
      return take_trailer(c);
    case Part::trailer_lf:
      if (c != '\n') {
        state_ = State::broken;
      } else if (line_bytes_ == 0) {
        state_ = State::done;
      } else {
        line_bytes_ = 0;
        part_ = Part::trailer;
      }
      return;
  }
}

void BodyDecoder::take_size(char c) {
  unsigned digit = 16;
  if (c >= '0' && c <= '9') digit = static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') digit = static_cast<unsigned>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') digit = static_cast<unsigned>(c - 'A' + 10);
  const bool overflows = left_ >> 60 != 0;
  if (digit < 16 && !overflows && ++line_bytes_ <= kChunkLineBytes) {
    left_ = left_ * 16 + digit;
    ++digits_;
  } else if (c == ';' && digits_ > 0) {
    part_ = Part::extension;
  } else if (c == '\r' && digits_ > 0) {
    part_ = Part::size_lf;
  } else {
    state_ = State::broken;
  }
}

void BodyDecoder::take_trailer(char c) {
  if (c == '\r') {
    part_ = Part::trailer_lf;
  } else if (++trailer_bytes_ > kTrailerBytes || (c < ' ' && c >= 0 && c != '\t')) {
    state_ = State::broken;
  } else {
    ++line_bytes_;
  }
}

void BodyDecoder::end_line() {
  line_bytes_ = 0;
  digits_ = 0;
  part_ = left_ > 0 ? Part::data : Part::trailer;
}

}  // namespace isthmus::http::rules
