// An identity provider for tests: keys made when it is made, its JWK set, and tokens as asked for,
// right ones and wrong ones.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace isthmus::test {

class IdentityProvider {
 public:
  IdentityProvider();
  ~IdentityProvider();

  // {"keys": [an RSA key "r1", a P-256 key "e1"]}
  std::string jwks() const;
  // Header and claims as they are given, signed by the key that `alg` ("RS256", "ES256") names.
  std::string token(std::string_view header, std::string_view claims, std::string_view alg) const;
  // Signed by nobody: the third part is empty.
  static std::string unsigned_token(std::string_view header, std::string_view claims);
  // The modulus of the RSA key, as it stands in the set: for whoever takes it for a shared secret.
  std::string rsa_modulus() const;
  // The RSA key's private half in PEM (PKCS #8): for whoever signs in by it.
  std::string rsa_private_key() const;

 private:
  struct Keys;
  const std::unique_ptr<Keys> keys_;
};

}  // namespace isthmus::test
