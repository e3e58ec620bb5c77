#include "datastore/engine/object_pattern.h"

#include <gmock/gmock.h>

#include "support/matchers.h"

namespace isthmus::datastore {
namespace {

using test::FailsWith;
using test::IsOk;

// The table of contracts/google-healthcare section 2.
std::string matched(const std::string& uri) {
  constexpr const char* kObjects[] = {"in/a.dcm",     "in/b.DCM",      "in/x/c.dcm",
                                      "in/x/y/d.dcm", "in/readme.txt", "inner.dcm"};
  const auto pattern = ObjectPattern::parse(uri);
  if (!pattern) return pattern.error().code;
  std::string names;
  for (const std::string_view object : kObjects) {
    if (!pattern->matches(object)) continue;
    EXPECT_TRUE(object.starts_with(pattern->prefix())) << uri;
    const std::size_t slash = object.rfind('/');
    const std::string_view name =
        slash == std::string_view::npos ? object : object.substr(slash + 1);
    names += std::string(name.substr(0, name.find('.'))) + " ";
  }
  return names;
}

TEST(ObjectPattern, TakesWhatTheContractSays) {
  EXPECT_EQ(matched("gs://b/in/a.dcm"), "a ");
  EXPECT_EQ(matched("gs://b/in/*"), "a b readme ");
  EXPECT_EQ(matched("gs://b/in/*.dcm"), "a ");
  EXPECT_EQ(matched("gs://b/in/?.dcm"), "a ");
  EXPECT_EQ(matched("gs://b/in/*/c.dcm"), "c ");
  EXPECT_EQ(matched("gs://b/in/**"), "a b c d readme ");
  EXPECT_EQ(matched("gs://b/in/**.dcm"), "a c d ");
  EXPECT_EQ(matched("gs://b/**"), "a b c d readme inner ");
}

TEST(ObjectPattern, GoesBackToTheLastStar) {
  EXPECT_EQ(matched("gs://b/i*/*a*e*.t?t"), "readme ");
  EXPECT_EQ(matched("gs://b/in/*e*e*e"), "");
  EXPECT_EQ(matched("gs://b/in?a.dcm"), "");
  EXPECT_EQ(matched("gs://b/*"), "inner ");
}

TEST(ObjectPattern, RefusesEverythingElse) {
  for (const char* uri :
       {"gs://b/*/**", "gs://b/**/c.dcm", "gs://b/in/**c.dcm*", "gs://b*/in/a.dcm", "gs://b",
        "gs://", "s3://b/in/a.dcm", "in/a.dcm", "", "gs://b/", "gs:///a", "gs://b/in/***",
        "gs://b/in/**.", "gs://b/in/**dcm"}) {
    EXPECT_THAT(ObjectPattern::parse(uri), FailsWith("INVALID_ARGUMENT")) << uri;
  }
}

TEST(ObjectPattern, KnowsALiteral) {
  EXPECT_TRUE(ObjectPattern::parse("gs://b/in/a.dcm")->literal());
  EXPECT_FALSE(ObjectPattern::parse("gs://b/in/?.dcm")->literal());
}

}  // namespace
}  // namespace isthmus::datastore
