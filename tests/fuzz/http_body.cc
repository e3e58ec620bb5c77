// The framing of request bodies: however input is cut and however little room there is for output,
// the same bytes come out, the same number of bytes is consumed, and the verdict is the same.
#include "http/rules/body_decoder.h"

#include <algorithm>

#include "fuzz/fuzz.h"

namespace isthmus::fuzz {
namespace {

using http::rules::BodyDecoder;
using http::rules::Framing;

struct Outcome {
  std::string body;
  std::size_t consumed = 0;
  BodyDecoder::State state = BodyDecoder::State::more;

  bool operator==(const Outcome&) const = default;
};

// `skipping`: what is plain body bytes goes past the decoder, as the server does with large ones.
Outcome decoded(const Framing& framing, const std::vector<ByteSpan>& pieces, std::size_t room,
                bool skipping) {
  BodyDecoder decoder(framing);
  Outcome outcome;
  Bytes out(room);
  for (ByteSpan piece : pieces) {
    while (!piece.empty() && decoder.state() == BodyDecoder::State::more) {
      std::size_t count = 0;
      if (skipping && decoder.plain_bytes() > 0) {
        count =
            static_cast<std::size_t>(std::min<std::uint64_t>(decoder.plain_bytes(), piece.size()));
        outcome.body += as_text(piece.first(count));
        decoder.skip(count);
      } else {
        const BodyDecoder::Step step = decoder.decode(piece, out);
        check(step.consumed <= piece.size() && step.produced <= out.size(), "within its spans");
        check(step.consumed > 0 || decoder.state() != BodyDecoder::State::more, "goes on");
        outcome.body += as_text(ByteSpan(out).first(step.produced));
        count = step.consumed;
      }
      outcome.consumed += count;
      piece = piece.subspan(count);
    }
  }
  outcome.state = decoder.state();
  return outcome;
}

void run(ByteSpan input) {
  if (input.size() < 2) return;
  Framing framing;
  framing.chunked = (std::to_integer<unsigned>(input[0]) & 1) != 0;
  if (!framing.chunked) framing.content_length = std::to_integer<std::uint64_t>(input[1]) * 8;
  const Cut cut = read_cut(input.subspan(2));

  const Outcome whole = decoded(framing, {cut.bytes}, 64 * KiB, false);

  check(whole.body.size() <= cut.bytes.size(), "nothing is made up");
  check(decoded(framing, cut.pieces(), 7, false) == whole, "cut anywhere, it is the same body");
  check(decoded(framing, cut.pieces(), 7, true) == whole, "also when plain bytes go past");
  if (cut.bytes.size() <= 512) {
    check(decoded(framing, single_bytes(cut.bytes), 1, false) == whole, "byte by byte as well");
  }
}

std::vector<std::string> seeds() {
  std::vector<std::string> seeds;
  const std::string chunked = std::string("\1\0", 2) + cut_head({2, 5, 1});
  seeds.push_back(chunked + "5\r\nhello\r\n0\r\n\r\n");
  seeds.push_back(chunked + "A;name=value;other=\"x\"\r\n0123456789\r\n00\r\nX-T: 1\r\n\r\nGET /");
  seeds.push_back(chunked + "ffffffffffffffff\r\nx");
  seeds.push_back(chunked + "5\nhello\n0\n\n");
  seeds.push_back(std::string("\0\3", 2) + cut_head({4, 4}) + std::string(30, 'b'));
  return seeds;
}

}  // namespace

Harness http_body_harness() {
  return {"http_body", run, 8 * KiB, seeds};
}

}  // namespace isthmus::fuzz
