#include "wire/sts.h"

#include "support/matchers.h"

namespace isthmus::wire::sts {
namespace {

using test::FailsWith;

TEST(Sts, RequestsComeBackAsTheyWere) {
  const AssumeRole by_keys{"arn:aws:iam::1:role/a b", "session", "id+/=&", "", 900};
  const AssumeRole by_token{"arn", "session", "", "a.b.c", std::nullopt};
  for (const AssumeRole& request : {by_keys, by_token}) {
    ASSERT_OK_AND_ASSIGN(const AssumeRole back, parse_assume_role(print(request)));
    EXPECT_EQ(back, request);
  }
  EXPECT_EQ(print(by_token),
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn&"
            "RoleSessionName=session&WebIdentityToken=a.b.c");
}

TEST(Sts, AnswersComeBackAsTheyWere) {
  const AssumedRole answer{"id", "se<cr>et", "token", *from_rfc3339("2026-01-31T09:30:00Z")};
  for (const bool by_web_identity : {false, true}) {
    ASSERT_OK_AND_ASSIGN(const AssumedRole back,
                         parse_assumed_role(print(answer, by_web_identity)));
    EXPECT_EQ(back, answer);
  }
}

TEST(Sts, HalfAnAnswerIsNone) {
  AssumedRole answer{"id", "secret", "", *from_rfc3339("2026-01-31T09:30:00Z")};
  EXPECT_THAT(parse_assumed_role(print(answer, false)), FailsWith("sts.malformed"));
  EXPECT_THAT(parse_assumed_role("<AssumeRoleResponse/>"), FailsWith("sts.malformed"));
  EXPECT_THAT(parse_assumed_role("no xml"), FailsWith("sts.malformed"));
  EXPECT_THAT(parse_assume_role("Action=GetCallerIdentity&RoleArn=a&RoleSessionName=b"),
              FailsWith("sts.malformed"));
}

TEST(Sts, ErrorsSayWhy) {
  ASSERT_OK_AND_ASSIGN(const ErrorBody error, parse_error(print(ErrorBody{"AccessDenied", "No."})));

  EXPECT_EQ(error.code, "AccessDenied");
  EXPECT_EQ(error.message, "No.");
}

// The example of the API reference, "GetCallerIdentity", shortened to what is read.
TEST(Sts, AsksWhoTheCallerIs) {
  EXPECT_EQ(print_caller_identity_request(), "Action=GetCallerIdentity&Version=2011-06-15");
  const CallerIdentity alice{"123456789012", "arn:aws:iam::123456789012:user/Alice", "AKIAI"};

  ASSERT_OK_AND_ASSIGN(const CallerIdentity back, parse_caller_identity(print(alice)));
  EXPECT_EQ(back, alice);
  EXPECT_THAT(parse_caller_identity(print(CallerIdentity{})), FailsWith("sts.malformed"));
  EXPECT_THAT(parse_caller_identity("<html/>"), FailsWith("sts.malformed"));
}

}  // namespace
}  // namespace isthmus::wire::sts
