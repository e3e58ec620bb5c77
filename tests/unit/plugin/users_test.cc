#include "plugin/users.h"

#include <gmock/gmock.h>

#include "base/digest.h"

namespace isthmus::test {
namespace {

using api::Scope;
using api::Scopes;
using plugin::Users;

std::string basic(const std::string& name_and_password) {
  return "Basic " + to_base64(as_bytes(name_and_password));
}

class PluginUsers : public testing::Test {
 protected:
  const Users users_{{{"jane", Scopes{Scope::read}}, {"nobody", Scopes{}}},
                     Scopes{Scope::read, Scope::operate}};
};

TEST_F(PluginUsers, WhoIsNamedMayDoWhatIsSaid) {
  const api::Caller jane = users_.of(basic("jane:secret"));

  EXPECT_EQ(jane.name, "orthanc/jane");
  EXPECT_EQ(jane.scopes, Scopes{Scope::read});
  EXPECT_TRUE(users_.of(basic("nobody:x")).scopes.empty());
}

TEST_F(PluginUsers, EverybodyElseIsOneOfTheOthers) {
  const Scopes others{Scope::read, Scope::operate};

  EXPECT_EQ(users_.of(basic("john:secret")).name, "orthanc/john");
  for (const std::string& said : {basic("john:secret"), basic("Jane:secret"), std::string(),
                                  std::string("Bearer of-a-plugin"), std::string("Basic !!")}) {
    EXPECT_EQ(users_.of(said).scopes, others) << said;
  }
  EXPECT_EQ(users_.of("").name, "orthanc");
}

// Without AuthenticationEnabled Orthanc looks at no password: a name in the header is anybody's.
TEST_F(PluginUsers, NobodyIsBelievedWhereOrthancAsksForNoPassword) {
  const Users unchecked({{"boss", Scopes{Scope::admin}}}, Scopes{Scope::read}, false);

  const api::Caller caller = unchecked.of(basic("boss:whatever"));

  EXPECT_EQ(caller.scopes, Scopes{Scope::read});
  EXPECT_EQ(caller.name, "orthanc");
}

TEST_F(PluginUsers, TheSchemeMayBeInEitherCaseAndAPasswordMayHaveColons) {
  EXPECT_EQ(users_.of("bAsIc " + to_base64(as_bytes(std::string("jane:a:b")))).scopes,
            Scopes{Scope::read});
}

TEST_F(PluginUsers, ANameCannotSayMoreThanAName) {
  const api::Caller caller = users_.of(basic("a;b\r\nc d\xc3\xa4" + std::string(300, 'x') + ":p"));

  EXPECT_TRUE(caller.name.starts_with("orthanc/a_b__c_d__xxx")) << caller.name;
  EXPECT_LE(caller.name.size(), 128U);
}

}  // namespace
}  // namespace isthmus::test
