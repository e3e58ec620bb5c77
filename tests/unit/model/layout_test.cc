#include "model/layout.h"

#include <gtest/gtest.h>

#include <set>

#include "support/test_env.h"

namespace isthmus {
namespace {

TEST(Layout, ObjectKeysGoBothWays) {
  test::TestEnv env;
  const auto batch = BatchId::make(env);
  const auto instance = InstanceId::make(env);

  for (const auto* prefix : {"", "site-a", "site-a/"}) {
    const ObjectKey key = layout::staged_object(prefix, batch, instance);
    EXPECT_EQ(layout::instance_of(key), instance);
    EXPECT_TRUE(key.text.starts_with(layout::batch_prefix(prefix, batch)));
    EXPECT_EQ(key.text.find("//"), std::string::npos);
    EXPECT_FALSE(key.text.starts_with("/"));
  }
}

TEST(Layout, OtherKeysNameNoInstance) {
  for (const auto* key : {"", "a/readme.txt", "a/123.dcm", "in/"}) {
    EXPECT_EQ(layout::instance_of(ObjectKey{key}), std::nullopt);
  }
}

TEST(Layout, InstancesThatArriveTogetherShareASpoolFolder) {
  test::TestEnv env;
  const auto folder_now = [&] { return layout::spool_file(InstanceId::make(env)).substr(0, 3); };
  std::set<std::string> together, over_time, all;

  for (int i = 0; i < 100; ++i) together.insert(folder_now());
  for (std::size_t i = 0; i < layout::kSpoolFolders; ++i) {
    over_time.insert(folder_now());
    env.clock.advance(Milliseconds(4096));
    all.insert(layout::spool_folder(i) + "/");
  }

  EXPECT_EQ(together.size(), 1u);
  EXPECT_EQ(over_time, all);
}

TEST(Layout, SpoolNamesGoBothWays) {
  test::TestEnv env;
  const auto instance = InstanceId::make(env);
  const std::string name = layout::spool_file(instance);

  EXPECT_EQ(layout::instance_of_spool_name(name.substr(name.find('/') + 1)), instance);
  const std::string part = layout::spool_part(instance);
  EXPECT_EQ(layout::instance_of_spool_name(part.substr(part.find('/') + 1)), instance);
  EXPECT_EQ(layout::instance_of_spool_name("lost+found"), std::nullopt);
}

}  // namespace
}  // namespace isthmus
