// Every harness over its seeds, and over what a few thousand small changes make of them: quick, in
// the default suite, with any compiler. The long search is run.sh's.
#include <gtest/gtest.h>

#include <random>

#include "fuzz/fuzz.h"

namespace isthmus::fuzz {
namespace {

constexpr int kMutationsPerHarness = 2'000;

class Replay : public ::testing::TestWithParam<Harness> {};

void run_one(const Harness& harness, const std::string& input, const std::string& what) {
  try {
    harness.run(as_bytes(input));
  } catch (const std::exception& finding) {
    ADD_FAILURE() << harness.name << ", " << what << ": " << finding.what();
  }
}

// One to four bytes changed, left out, doubled or put in.
std::string changed(std::string input, std::mt19937_64& random) {
  const auto below = [&random](std::size_t limit) {
    return static_cast<std::size_t>(random() % limit);
  };
  for (std::size_t i = 1 + below(4); i > 0 && !input.empty(); --i) {
    const std::size_t at = below(input.size());
    switch (below(5)) {
      case 0:
        input[at] = static_cast<char>(random());
        break;
      case 1:
        input[at] = static_cast<char>(input[at] ^ (1 << below(8)));
        break;
      case 2:
        input.erase(at, 1 + below(8));
        break;
      case 3:
        input.insert(at, input.substr(below(input.size()), 1 + below(32)));
        break;
      default:
        input.resize(at);
    }
  }
  return input;
}

TEST_P(Replay, OfItsSeedsFindsNothing) {
  const Harness harness = GetParam();
  const std::vector<std::string> seeds = harness.seeds();
  ASSERT_FALSE(seeds.empty());

  run_one(harness, "", "no bytes");
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    run_one(harness, seeds[i].substr(0, harness.max_bytes), "seed " + std::to_string(i));
  }
}

TEST_P(Replay, OfSmallChangesFindsNothing) {
  const Harness harness = GetParam();
  const std::vector<std::string> seeds = harness.seeds();
  ASSERT_FALSE(seeds.empty());
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("random seed " + std::to_string(seed));
  std::mt19937_64 random(seed);

  for (int i = 0; i < kMutationsPerHarness; ++i) {
    const std::string& from = seeds[random() % seeds.size()];
    if (from.size() > 4096) continue;  // libFuzzer's, not this test's
    const std::string input = changed(from, random).substr(0, harness.max_bytes);
    run_one(harness, input, "change " + std::to_string(i));
    if (HasFailure()) break;  // one is enough; its random seed is told
  }
}

INSTANTIATE_TEST_SUITE_P(Fuzz, Replay,
                         ::testing::Values(associate_harness(), command_harness(),
                                           commitment_harness(), connection_harness(),
                                           dataset_harness(), dicom_model_harness(),
                                           google_harness(), gzip_harness(),
                                           healthimaging_harness(), http_body_harness(),
                                           http_head_harness(), multipart_harness(),
                                           part10_harness(), report_harness(), s3_xml_harness(),
                                           segment_harness(), sigv4_harness()),
                         [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace isthmus::fuzz
