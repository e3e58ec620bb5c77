// Multipart bodies: however they are cut, the same parts come out and the verdict is the same; no
// part holds a delimiter, and nothing is made up.
#include "wire/multipart.h"

#include "fuzz/fuzz.h"

namespace isthmus::fuzz {
namespace {

constexpr std::string_view kBoundary = "b1";

struct Outcome {
  std::vector<std::string> parts;  // fields, an empty line, the body
  std::size_t body_bytes = 0;
  int open = 0;
  std::string verdict;

  bool operator==(const Outcome&) const = default;
};

class Listing : public wire::PartSink {
 public:
  explicit Listing(Outcome& outcome) : outcome_(outcome) {}
  Result<void> begin_part(const http::Headers& headers) override {
    check(outcome_.open++ == 0, "one part at a time");
    std::string& part = outcome_.parts.emplace_back();
    for (const auto& [name, value] : headers.all()) part += name + ":" + value + "\n";
    part += "\n";
    body_.clear();
    return {};
  }
  Result<void> part_bytes(ByteSpan bytes) override {
    check(outcome_.open == 1, "bytes are of a part");
    outcome_.parts.back() += as_text(bytes);
    body_ += as_text(bytes);
    outcome_.body_bytes += bytes.size();
    return {};
  }
  Result<void> end_part() override {
    check(outcome_.open-- == 1, "what ends was begun");
    const std::string delimiter = "\r\n--" + std::string(kBoundary);
    check(body_.find(delimiter + "\r\n") == std::string::npos, "no delimiter in a part");
    check(body_.find(delimiter + "--") == std::string::npos, "no closing delimiter in a part");
    return {};
  }

 private:
  Outcome& outcome_;
  std::string body_;
};

Outcome read(const std::vector<ByteSpan>& pieces, bool lf_in_heads) {
  Outcome outcome;
  Listing listing(outcome);
  wire::MultipartLimits limits;
  limits.head_bytes = 256;
  limits.head_fields = 4;
  limits.preamble_bytes = 64;
  limits.parts = 5;
  limits.lf_in_heads = lf_in_heads;
  wire::MultipartReader reader(kBoundary, listing, limits);
  for (const ByteSpan piece : pieces) {
    if (const auto fed = reader.feed(piece); !fed.ok()) {
      check(fed.error().fate == Fate::permanent, "a body is broken for good");
      outcome.verdict = fed.error().code;
      // What of the broken part was given before is a matter of where the cut was.
      if (outcome.open == 1) {
        outcome.body_bytes = 0;
        outcome.parts.pop_back();
      }
      outcome.body_bytes = 0;
      return outcome;
    }
  }
  const auto whole = reader.finish();
  outcome.verdict = whole.ok() ? "whole" : whole.error().code;
  check(whole.ok() == (outcome.open == 0 && whole.ok()), "what is whole has no part open");
  return outcome;
}

void run(ByteSpan input) {
  if (input.empty()) return;
  const bool lf = (std::to_integer<unsigned>(input[0]) & 1) != 0;
  const Cut cut = read_cut(input.subspan(1));

  const Outcome whole = read({cut.bytes}, lf);

  check(whole.body_bytes <= cut.bytes.size(), "nothing is made up");
  check(whole.parts.size() <= 5, "no more parts than there may be");
  const Outcome pieced = read(cut.pieces(), lf);
  check_equal(pieced.verdict, whole.verdict, "cut anywhere, it is the same verdict");
  if (whole.verdict == "whole") check(pieced == whole, "and the same parts");
  if (cut.bytes.size() > 512) return;
  const Outcome single = read(single_bytes(cut.bytes), lf);
  check_equal(single.verdict, whole.verdict, "byte by byte as well");
  if (whole.verdict == "whole") check(single == whole, "with the same parts");
}

std::vector<std::string> seeds() {
  const std::string strict = std::string("\0", 1) + cut_head({3, 9, 1, 4});
  const std::string lenient = std::string("\1", 1) + cut_head({7, 2, 2, 30});
  return {
      strict + "--b1\r\nContent-Type: application/dicom\r\n\r\nDICM\r\n--b1--\r\n",
      strict + "preamble\r\n--b1\r\n\r\nx\r\n--b1 \r\nA: 1\r\nB: 2\r\n\r\n\r\n--b1--epilogue",
      strict + "--b1\r\n\r\n--b1x\r\n--b\r\n-\r\n\r\n--b1--",
      strict + "--b1\r\n\r\ndata\r\n--b1",
      lenient + "--b1\nContent-Type: a/b\n\ndata\n--b1\r\n--b1--\n",
      lenient + "--b1\r\nA : 1\r\n\r\nx\r\n--b1\r\n",
  };
}

}  // namespace

Harness multipart_harness() {
  return {"multipart", run, 4 * KiB, seeds};
}

}  // namespace isthmus::fuzz
