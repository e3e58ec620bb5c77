// Bodies with the content coding gzip: however they are cut, the same bytes come out and the
// verdict is the same; who reads can stop what inflates without end.
#include "wire/gzip.h"

#include "fuzz/fuzz.h"

namespace isthmus::fuzz {
namespace {

constexpr std::size_t kMost = 256 * KiB;

struct Outcome {
  std::string plain;
  std::string verdict;

  bool operator==(const Outcome&) const = default;
};

Outcome inflated(const std::vector<ByteSpan>& pieces) {
  Outcome outcome;
  wire::GzipReader reader;
  const auto sink = [&outcome](ByteSpan plain) -> Result<void> {
    check(!plain.empty() && plain.size() <= 64 * KiB, "pieces of 1 to 64 KiB");
    outcome.plain += as_text(plain);
    if (outcome.plain.size() <= kMost) return {};
    return permanent_error("test.too_large", "");
  };
  for (const ByteSpan piece : pieces) {
    if (const auto fed = reader.feed(piece, sink); !fed.ok()) {
      outcome.verdict = fed.error().code;
      outcome.plain.clear();  // how much came before it broke is a matter of where the cut was
      return outcome;
    }
  }
  const auto whole = reader.finish();
  outcome.verdict = whole.ok() ? "whole" : whole.error().code;
  return outcome;
}

void run(ByteSpan input) {
  const Cut cut = read_cut(input);

  const Outcome whole = inflated({cut.bytes});

  check(inflated(cut.pieces()) == whole, "cut anywhere, it is the same");
  if (cut.bytes.size() <= 512) check(inflated(single_bytes(cut.bytes)) == whole, "byte by byte");
}

std::vector<std::string> seeds() {
  const std::string head = cut_head({5, 8, 1});
  // RFC 1952 section 2.3: "hello" as one stored block, its CRC-32 and length; no flags, no time.
  const std::string begin("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", 10);
  const std::string stored("\x01\x05\x00\xfa\xffhello", 10);
  const std::string end("\x86\xa6\x10\x36\x05\x00\x00\x00", 8);
  const std::string named("\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x03name\x00", 15);
  return {head + begin + stored + end, head + named + stored + end,
          head + begin + stored + end + begin + stored + end, head + begin + stored,
          head + begin + std::string("\x03\x00", 2) + std::string(8, '\0')};
}

}  // namespace

Harness gzip_harness() {
  return {"gzip", run, 4 * KiB, seeds};
}

}  // namespace isthmus::fuzz
