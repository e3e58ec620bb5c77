#include "auth/jwt.h"

#include <gmock/gmock.h>

#include "base/digest.h"
#include "support/identity_provider.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::auth {
namespace {

using test::FailsWith;
using test::IsOk;
using testing::ElementsAre;

class FixedKeys : public KeySource {
 public:
  explicit FixedKeys(std::string_view jwks)
      : keys_(std::make_shared<const std::vector<NamedKey>>(parse_jwks(jwks).value())) {}
  Result<Keys> keys(bool unknown) override {
    asked_for_newer += unknown ? 1 : 0;
    return keys_;
  }
  int asked_for_newer = 0;

 private:
  const Keys keys_;
};

// The clock of the tests starts there: 2026-01-31T09:30:00Z.
constexpr std::int64_t kNow = 1'769'851'800;

std::string claims(std::int64_t exp = kNow + 300, const std::string& more = "") {
  return R"({"iss":"https://id.example","aud":"isthmus","sub":"desk","scope":"read operate",)"
         R"("exp":)" +
         std::to_string(exp) + more + "}";
}

constexpr const char* kRsa = R"({"alg":"RS256","kid":"r1"})";
constexpr const char* kEc = R"({"alg":"ES256","kid":"e1"})";

// Keys take time to make: one provider for all.
const test::IdentityProvider& provider() {
  static const test::IdentityProvider one;
  return one;
}

class Jwt : public testing::Test {
 protected:
  JwtRules rules() const { return {"https://id.example", "isthmus", "scope"}; }
  Result<JwtClaims> verify(const std::string& token) {
    return JwtVerifier(env_, keys_, rules()).verify(token);
  }
  Result<JwtClaims> verify_claims(const std::string& text) {
    return verify(provider().token(kRsa, text, "RS256"));
  }

  test::TestEnv env_;
  FixedKeys keys_{provider().jwks()};
};

TEST_F(Jwt, TellsTheClaimsOfAGoodToken) {
  for (const auto& [header, alg] : {std::pair{kRsa, "RS256"}, std::pair{kEc, "ES256"}}) {
    ASSERT_OK_AND_ASSIGN(const JwtClaims told, verify(provider().token(header, claims(), alg)));

    EXPECT_EQ(told.subject, "desk");
    EXPECT_THAT(told.words, ElementsAre("read", "operate"));
    EXPECT_EQ(told.expires_at, WallTime(Milliseconds((kNow + 300) * 1000)));
  }
}

TEST_F(Jwt, AGrantSpeaksForItsIssuerWhateverItsAudience) {
  JwtRules grant;
  grant.issuer = "https://id.example";
  grant.subject_claim = "iss";
  grant.any_audience = true;
  const std::string text =
      R"({"iss":"https://id.example","aud":["a","b"],"exp":)" + std::to_string(kNow + 300) + "}";
  const std::string token = provider().token(kRsa, text, "RS256");

  ASSERT_OK_AND_ASSIGN(const JwtClaims told, JwtVerifier(env_, keys_, grant).verify(token));

  EXPECT_EQ(told.subject, "https://id.example");
  EXPECT_THAT(told.audiences, ElementsAre("a", "b"));
  EXPECT_THAT(verify(token), FailsWith("auth.jwt_audience"));
}

TEST_F(Jwt, WithoutAKeyIdTheOnlyKeyOfThatKindIsMeant) {
  EXPECT_THAT(verify(provider().token(R"({"alg":"ES256"})", claims(), "ES256")), IsOk());
}

TEST_F(Jwt, NoneIsNoAlgorithm) {
  for (const char* alg : {"none", "None", "NONE", "", "HS256", "RS512", "PS256", "ES384"}) {
    const std::string header = R"({"alg":")" + std::string(alg) + R"("})";
    EXPECT_THAT(verify(test::IdentityProvider::unsigned_token(header, claims())),
                FailsWith("auth.jwt_algorithm"))
        << alg;
    EXPECT_THAT(verify(provider().token(header, claims(), "RS256")),
                FailsWith("auth.jwt_algorithm"));
  }
  EXPECT_THAT(verify(test::IdentityProvider::unsigned_token(kRsa, claims())),
              FailsWith("auth.jwt_signature"));
  EXPECT_THAT(verify(test::IdentityProvider::unsigned_token(kEc, claims())),
              FailsWith("auth.jwt_signature"));
}

TEST_F(Jwt, TheModulusIsNoSharedSecret) {
  const std::string head = R"({"alg":"HS256","kid":"r1"})";
  std::string token = test::IdentityProvider::unsigned_token(head, claims());
  token.pop_back();
  const Digest mac = hmac_sha256(as_bytes(provider().rsa_modulus()), as_bytes(token));

  EXPECT_THAT(verify(token + "." + to_base64url(mac.raw())), FailsWith("auth.jwt_algorithm"));
}

TEST_F(Jwt, AKeyVerifiesByItsOwnAlgorithmOnly) {
  EXPECT_THAT(verify(provider().token(R"({"alg":"ES256","kid":"r1"})", claims(), "RS256")),
              FailsWith("auth.jwt_key"));
  EXPECT_THAT(verify(provider().token(R"({"alg":"RS256","kid":"e1"})", claims(), "ES256")),
              FailsWith("auth.jwt_key"));
  EXPECT_THAT(verify(provider().token(kEc, claims(), "RS256")), FailsWith("auth.jwt_signature"));
}

TEST_F(Jwt, AnUnknownKeyIsLookedForOnce) {
  EXPECT_THAT(verify(provider().token(R"({"alg":"RS256","kid":"r2"})", claims(), "RS256")),
              FailsWith("auth.jwt_key"));

  EXPECT_EQ(keys_.asked_for_newer, 1);
}

TEST_F(Jwt, AnotherProvidersSignatureIsNone) {
  const test::IdentityProvider other;

  EXPECT_THAT(verify(other.token(kRsa, claims(), "RS256")), FailsWith("auth.jwt_signature"));
  EXPECT_THAT(verify(other.token(kEc, claims(), "ES256")), FailsWith("auth.jwt_signature"));
}

TEST_F(Jwt, AnythingChangedBreaksTheSignature) {
  for (const auto& [header, alg] : {std::pair{kRsa, "RS256"}, std::pair{kEc, "ES256"}}) {
    const std::string token = provider().token(header, claims(), alg);
    const std::string forged = provider().token(header, claims(kNow + 9999), alg);
    const std::size_t end = token.rfind('.');
    EXPECT_THAT(verify(forged.substr(0, forged.rfind('.')) + token.substr(end)),
                FailsWith("auth.jwt_signature"));
    EXPECT_THAT(verify(token.substr(0, end) + ".AAAA"), FailsWith("auth.jwt_signature"));
  }
}

TEST_F(Jwt, IssuerAndAudienceAreOurs) {
  EXPECT_THAT(
      verify_claims(R"({"iss":"https://id.example/","aud":"isthmus","sub":"a","exp":1e10})"),
      FailsWith("auth.jwt_issuer"));
  EXPECT_THAT(verify_claims(R"({"aud":"isthmus","sub":"a","exp":1e10})"),
              FailsWith("auth.jwt_issuer"));
  for (const char* audience : {R"("other")", R"(["other"])", "[]", "1", R"("isthmus2")", "null"}) {
    EXPECT_THAT(verify_claims(R"({"iss":"https://id.example","sub":"a","exp":1e10,"aud":)" +
                              std::string(audience) + "}"),
                FailsWith("auth.jwt_audience"))
        << audience;
  }
  EXPECT_THAT(
      verify_claims(R"({"iss":"https://id.example","sub":"a","exp":1e10,"aud":["x","isthmus"]})"),
      IsOk());
}

TEST_F(Jwt, DatesHoldWithinTheSkew) {
  EXPECT_THAT(verify_claims(claims(kNow - 59)), IsOk());
  EXPECT_THAT(verify_claims(claims(kNow - 60)), FailsWith("auth.jwt_expired"));
  EXPECT_THAT(verify_claims(claims(kNow + 9, ",\"nbf\":" + std::to_string(kNow + 60))), IsOk());
  EXPECT_THAT(verify_claims(claims(kNow + 9, ",\"nbf\":" + std::to_string(kNow + 61))),
              FailsWith("auth.jwt_not_yet"));
  EXPECT_THAT(verify_claims(claims(kNow + 9, ",\"iat\":" + std::to_string(kNow + 61))),
              FailsWith("auth.jwt_not_yet"));
}

TEST_F(Jwt, ClaimsAreThereAndOfTheirKind) {
  for (const char* text :
       {R"({"iss":"https://id.example","aud":"isthmus","sub":"a"})",
        R"({"iss":"https://id.example","aud":"isthmus","sub":"a","exp":"1e10"})",
        R"({"iss":"https://id.example","aud":"isthmus","sub":"a","exp":-1})",
        R"({"iss":"https://id.example","aud":"isthmus","sub":"a","exp":1e10,"nbf":"x"})",
        R"({"iss":"https://id.example","aud":"isthmus","exp":1e10})",
        R"({"iss":"https://id.example","aud":"isthmus","sub":"","exp":1e10})",
        R"({"iss":"https://id.example","aud":"isthmus","sub":"a\nb","exp":1e10})",
        R"({"iss":"https://id.example","aud":"isthmus","sub":7,"exp":1e10})"}) {
    EXPECT_THAT(verify_claims(text), FailsWith("auth.jwt_claims")) << text;
  }
}

TEST_F(Jwt, WhatIsNoTokenIsRefused) {
  const std::string good = provider().token(kRsa, claims(), "RS256");
  for (const std::string& text :
       {std::string(), std::string("."), std::string(".."), std::string("a.b"), good + ".x",
        "x" + good, good + "=", " " + good, std::string(20'000, 'a'), std::string("e30.e30.!")}) {
    EXPECT_THAT(verify(text), FailsWith("auth.jwt_malformed")) << text.substr(0, 40);
  }
  EXPECT_THAT(verify(provider().token("[]", claims(), "RS256")), FailsWith("auth.jwt_malformed"));
  EXPECT_THAT(verify(provider().token(kRsa, "[]", "RS256")), FailsWith("auth.jwt_malformed"));
  const char* with_crit = R"({"alg":"RS256","crit":["b64"],"b64":false})";
  EXPECT_THAT(verify(provider().token(with_crit, claims(), "RS256")),
              FailsWith("auth.jwt_malformed"));
}

TEST_F(Jwt, ATokenIsAcceptedOnceWhereThatIsDemanded) {
  JwtRules once = rules();
  once.once = true;
  JwtVerifier verifier(env_, keys_, once);
  const std::string first = provider().token(kRsa, claims(kNow + 300, R"(,"jti":"1")"), "RS256");
  const std::string second = provider().token(kRsa, claims(kNow + 300, R"(,"jti":"2")"), "RS256");

  EXPECT_THAT(verifier.verify(first), IsOk());
  EXPECT_THAT(verifier.verify(first), FailsWith("auth.jwt_replayed"));
  EXPECT_THAT(verifier.verify(second), IsOk());
  EXPECT_THAT(verifier.verify(provider().token(kRsa, claims(), "RS256")),
              FailsWith("auth.jwt_claims"));
}

// RFC 7515 appendices A.2 and A.3.
constexpr std::string_view kPublishedClaims =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl"
    "fQ";

TEST(PublishedSignatures, AreVerified) {
  const std::string set =
      R"({"keys":[{"kty":"RSA","kid":"a2","e":"AQAB","n":")"
      "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4"
      "d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5re"
      "xMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxX"
      "FvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
      R"("},{"kty":"EC","kid":"a3","crv":"P-256",)"
      R"("x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
      R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]})";
  ASSERT_OK_AND_ASSIGN(const auto keys, parse_jwks(set));
  ASSERT_EQ(keys.size(), 2u);
  const auto verifies = [&](std::size_t key, std::string_view header, std::string_view signature) {
    const std::string text = std::string(header) + "." + std::string(kPublishedClaims);
    return keys[key].key->verifies(as_bytes(text), from_base64url(signature).value());
  };

  EXPECT_TRUE(verifies(
      0, "eyJhbGciOiJSUzI1NiJ9",
      "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5"
      "jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb"
      "1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QO"
      "YEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"));
  EXPECT_TRUE(verifies(
      1, "eyJhbGciOiJFUzI1NiJ9",
      "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"));
  EXPECT_FALSE(verifies(
      1, "eyJhbGciOiJFUzI1NiJ8",
      "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"));
}

TEST(Base64url, IsStrict) {
  EXPECT_EQ(to_base64url(as_bytes("\xfb\xff\xfe")), "-__-");
  EXPECT_EQ(from_base64url("-__-").value(),
            Bytes({std::byte{0xfb}, std::byte{0xff}, std::byte{0xfe}}));
  EXPECT_TRUE(from_base64url("").value().empty());
  for (const char* text : {"a", "a+==", "YQ==", "YQ=", "Y Q", "+/+/"}) {
    EXPECT_EQ(from_base64url(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace isthmus::auth
