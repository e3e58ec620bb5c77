// What receiving costs in memory: nothing that grows with an instance.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "support/matchers.h"
#include "support/receiver_under_test.h"

namespace isthmus::test {
namespace {

// 31 associations in the middle of an instance each, and one that sends 2 GB. Senders live in this
// process too, so the bound holds for both sides together.
TEST(Memory, IsBoundedForThirtyTwoAssociationsAndTwoGigabytes) {
  const std::string ct(kCtImageStorage);
  ReceiverUnderTest under_test;
  under_test.spool.forget_bytes();
  DicomRecipe recipe;
  const std::string head = make_dataset(recipe);
  const std::size_t pixels = head.rfind(std::string("\xe0\x7f\x10\x00", 4));
  ASSERT_NE(pixels, std::string::npos);
  ASSERT_THAT(under_test.echo(), IsOk());
  const std::uint64_t before = resident_bytes();

  const std::string piece(131066, 'p');
  std::vector<std::unique_ptr<RawScu>> others;
  for (int i = 0; i < 31; ++i) {
    ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(ct, kExplicitLittle)));
    ASSERT_THAT(scu->send_command(3, c_store_command(1, ct, recipe.sop_instance_uid)), IsOk());
    ASSERT_THAT(scu->send_data(3, head.substr(0, pixels), false), IsOk());
    for (int k = 0; k < 8; ++k) ASSERT_THAT(scu->send_data(3, piece, false), IsOk());
    others.push_back(std::move(scu));
  }
  ASSERT_OK_AND_ASSIGN(auto big, under_test.associate(request_for(ct, kExplicitLittle)));
  ASSERT_THAT(big->send_command(3, c_store_command(1, ct, recipe.sop_instance_uid)), IsOk());
  ASSERT_THAT(big->send_data(3, head.substr(0, pixels), false), IsOk());
  // (7FE0,0010) OW with the length that follows.
  const std::uint64_t wanted = kSanitized ? 20'000'000 : 2'000'000'000;
  const std::uint64_t pieces = wanted / piece.size();
  DicomWriter pixel_head;
  pixel_head.head(0x7FE00010, "OW", static_cast<std::uint32_t>(pieces * piece.size()));
  ASSERT_THAT(big->send_data(3, pixel_head.bytes(), false), IsOk());
  std::uint64_t peak = 0;
  for (std::uint64_t i = 0; i < pieces; ++i) {
    ASSERT_THAT(big->send_data(3, piece, i + 1 == pieces), IsOk());
    if (i % 256 == 0) peak = std::max(peak, resident_bytes());
  }
  ASSERT_OK_AND_ASSIGN(const auto response, big->receive_response());

  EXPECT_EQ(response.status, 0);
  EXPECT_EQ(under_test.receiver->associations(), 32U);
  EXPECT_GT(under_test.spool.instances().at(0).size_bytes, pieces * piece.size());
  EXPECT_TRUE(kSanitized || peak < before + 32 * MiB) << peak - before;
  RecordProperty("growth_kib", std::to_string((peak - before) / 1024));
}

}  // namespace
}  // namespace isthmus::test
