// Files with bytes changed, moved and cut at random: whatever comes in, an answer comes out, and
// the scan lets nothing through that DCMTK would die of. The first lines print the seed.
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <iostream>
#include <random>

#include "datastore/engine/examine.h"
#include "support/dicom_factory.h"

namespace isthmus::datastore {
namespace {

using test::DicomRecipe;
using test::DicomWriter;

std::string mutated(std::string file, std::mt19937_64& random) {
  const auto below = [&random](std::size_t limit) {
    return random() % std::max<std::size_t>(limit, 1);
  };
  const std::size_t times = 1 + below(4);
  for (std::size_t i = 0; i < times && file.size() > 140; ++i) {
    const std::size_t at = 132 + below(file.size() - 132);
    switch (below(6)) {
      case 0:
        file[at] = static_cast<char>(random());
        break;
      case 1:
        file[at] = static_cast<char>(0xFF);
        break;
      case 2:
        file.erase(at, 1 + below(9));
        break;
      case 3:
        file.insert(at, file.substr(132 + below(file.size() - 132), 1 + below(200)));
        break;
      case 4:
        file.insert(at, std::string("\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF", 8));
        break;
      default:
        file.resize(at);
    }
  }
  return file;
}

TEST(Mutations, AlwaysComeToAnAnswer) {
  const auto seed = static_cast<std::uint64_t>(std::time(nullptr));
  std::cout << "seed " << seed << "\n";
  std::mt19937_64 random(seed);
  ASSERT_TRUE(prepare_examiner().ok());
  int accepted = 0;
  int refused = 0;
  for (const auto syntax : {test::kImplicitLittle, test::kExplicitLittle, test::kExplicitBig,
                            test::kDeflated, test::kJpegBaseline, test::kHtj2kLossless}) {
    DicomRecipe recipe{.transfer_syntax_uid = std::string(syntax)};
    recipe.more = [](DicomWriter& w) {
      const std::string inner =
          DicomWriter(w.syntax()).element(0x00081030, "LO", "x").us(0x00280010, 3).bytes();
      const std::string outer =
          DicomWriter(w.syntax()).sequence(0x00081140, {inner, inner}, false).bytes();
      w.sequence(0x00400275, {outer, outer}, true).element(0x00291010, "UN", "private");
    };
    const std::string file = test::make_part10(recipe);
    for (int i = 0; i < 400; ++i) {
      const nlohmann::json answer = examine(*source_of(mutated(file, random)));
      ASSERT_TRUE(answer.contains("ok"));
      ++(answer["ok"].get<bool>() ? accepted : refused);
      ASSERT_NO_THROW(answer.dump());
    }
  }
  EXPECT_GT(accepted, 50);
  EXPECT_GT(refused, 500);
}

}  // namespace
}  // namespace isthmus::datastore
