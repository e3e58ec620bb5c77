#include "datastore/engine/examined_ahead.h"

#include <gtest/gtest.h>

namespace isthmus::datastore {
namespace {

Examination of(const std::string& sop_instance_uid, std::size_t bytes = 1) {
  Examination examination;
  examination.sop_instance_uid = sop_instance_uid;
  examination.document = Bytes(bytes);
  return examination;
}

std::string taken(ExaminedAhead& ahead, std::string_view blob) {
  const std::optional<Examination> found = ahead.take(sha256(blob));
  return found ? found->sop_instance_uid : "nothing";
}

TEST(ExaminedAhead, GivesWhatWasPutOnce) {
  ExaminedAhead ahead;
  ahead.put(sha256("a"), of("1.1"));
  ahead.put(sha256("b"), of("1.2"));

  EXPECT_EQ(taken(ahead, "b"), "1.2");
  EXPECT_EQ(taken(ahead, "b"), "nothing");
  EXPECT_EQ(taken(ahead, "a"), "1.1");
}

TEST(ExaminedAhead, ForgetsTheFirstWhenItIsFull) {
  ExaminedAhead ahead(10 * KiB);
  ahead.put(sha256("a"), of("1.1", 4 * KiB));
  ahead.put(sha256("b"), of("1.2", 4 * KiB));

  ahead.put(sha256("c"), of("1.3", 2 * KiB));
  ahead.put(sha256("d"), of("1.4", 11 * KiB));

  EXPECT_EQ(taken(ahead, "a"), "nothing");
  EXPECT_EQ(taken(ahead, "b"), "1.2");
  EXPECT_EQ(taken(ahead, "c"), "1.3");
  EXPECT_EQ(taken(ahead, "d"), "nothing");
}

}  // namespace
}  // namespace isthmus::datastore
