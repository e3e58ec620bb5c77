#include "plugin/configuration.h"

#include <gmock/gmock.h>

#include "support/test_env.h"

namespace isthmus::test {
namespace {

using plugin::read_configuration;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class PluginConfiguration : public testing::Test {
 protected:
  TestEnv env_;
};

TEST_F(PluginConfiguration, StaysOutWithoutASection) {
  EXPECT_EQ(read_configuration(env_, R"({"Name": "orthanc"})"), std::nullopt);
}

TEST_F(PluginConfiguration, OpensNoPortUnlessItIsTold) {
  const auto plain = read_configuration(env_, R"({"Isthmus": {"data_dir": "/tmp/x"}})");
  const auto told = read_configuration(
      env_, R"({"Isthmus": {"http": {"listen": true}, "datastore": {"listen": true}}})");

  ASSERT_TRUE(plain && told);
  EXPECT_THAT(plain->problems, IsEmpty());
  EXPECT_FALSE(plain->settings.flag("dimse.enabled"));
  EXPECT_FALSE(plain->settings.flag("http.listen"));
  EXPECT_FALSE(plain->settings.flag("datastore.listen"));
  EXPECT_EQ(plain->settings.text("data_dir"), "/tmp/x");
  EXPECT_TRUE(told->settings.flag("http.listen"));
  EXPECT_TRUE(told->settings.flag("datastore.listen"));
}

TEST_F(PluginConfiguration, NamesTheKeyOfEachProblem) {
  const auto parsed = read_configuration(
      env_, R"({"Isthmus": {"batch": {"quite_s": 1}, "spool": {"kind": "tape"}}})");

  ASSERT_TRUE(parsed.has_value());
  EXPECT_THAT(parsed->problems,
              testing::UnorderedElementsAre(HasSubstr("batch.quite_s"), HasSubstr("spool.kind")));
}

TEST_F(PluginConfiguration, RefusesWhatWouldBeSilentlyWrong) {
  const auto misspelled = read_configuration(env_, R"({"isthmus": {}})");
  const auto no_object = read_configuration(env_, R"({"Isthmus": true})");
  const auto second_scp = read_configuration(env_, R"({"Isthmus": {"dimse": {"enabled": true}}})");
  const auto no_day =
      read_configuration(env_, R"({"Isthmus": {"orthanc": {"import_existing": "since"}}})");

  ASSERT_TRUE(misspelled && no_object && second_scp && no_day);
  EXPECT_THAT(misspelled->problems, ElementsAre(HasSubstr("\"Isthmus\"")));
  EXPECT_THAT(no_object->problems, ElementsAre(HasSubstr("JSON object")));
  EXPECT_THAT(second_scp->problems, ElementsAre(HasSubstr("dimse.enabled")));
  EXPECT_THAT(no_day->problems, ElementsAre(HasSubstr("orthanc.import_existing_since")));
}

TEST(PluginAuthentication, IsOnWhenItIsSaidOrRemoteAccessIsAllowed) {
  using plugin::asks_for_passwords;

  EXPECT_TRUE(asks_for_passwords(R"({"AuthenticationEnabled": true})"));
  EXPECT_TRUE(asks_for_passwords(R"({"RemoteAccessAllowed": true})"));
  EXPECT_FALSE(
      asks_for_passwords(R"({"RemoteAccessAllowed": true, "AuthenticationEnabled": false})"));
  EXPECT_FALSE(asks_for_passwords("{}"));
}

}  // namespace
}  // namespace isthmus::test
