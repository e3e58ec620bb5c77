#include "support/identity_provider.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/digest.h"
#include "base/result.h"

namespace isthmus::test {
namespace {

std::string base64url(ByteSpan bytes) {
  std::string text = to_base64(bytes);
  while (text.ends_with('=')) text.pop_back();
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

Bytes number(EVP_PKEY* key, const char* name, std::size_t size = 0) {
  BIGNUM* value = nullptr;
  ASSERT(EVP_PKEY_get_bn_param(key, name, &value) == 1);
  Bytes bytes(size > 0 ? size : static_cast<std::size_t>(BN_num_bytes(value)));
  BN_bn2binpad(value, reinterpret_cast<unsigned char*>(bytes.data()),
               static_cast<int>(bytes.size()));
  BN_free(value);
  return bytes;
}

Bytes sign(EVP_PKEY* key, std::string_view text) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ASSERT(EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key) == 1);
  const auto* data = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t size = 0;
  ASSERT(EVP_DigestSign(context, nullptr, &size, data, text.size()) == 1);
  Bytes signature(size);
  ASSERT(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size, data,
                        text.size()) == 1);
  signature.resize(size);
  EVP_MD_CTX_free(context);
  return signature;
}

// r and s, 32 bytes each, of a signature in DER.
Bytes raw_signature(const Bytes& der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
  ASSERT(signature != nullptr);
  Bytes raw(64);
  auto* into = reinterpret_cast<unsigned char*>(raw.data());
  BN_bn2binpad(ECDSA_SIG_get0_r(signature), into, 32);
  BN_bn2binpad(ECDSA_SIG_get0_s(signature), into + 32, 32);
  ECDSA_SIG_free(signature);
  return raw;
}

}  // namespace

struct IdentityProvider::Keys {
  EVP_PKEY* rsa = EVP_RSA_gen(2048);
  EVP_PKEY* p256 = EVP_EC_gen("P-256");
};

IdentityProvider::IdentityProvider() : keys_(std::make_unique<Keys>()) {
  ASSERT(keys_->rsa != nullptr && keys_->p256 != nullptr);
}

IdentityProvider::~IdentityProvider() {
  EVP_PKEY_free(keys_->rsa);
  EVP_PKEY_free(keys_->p256);
}

std::string IdentityProvider::rsa_modulus() const {
  return base64url(number(keys_->rsa, OSSL_PKEY_PARAM_RSA_N));
}

std::string IdentityProvider::rsa_private_key() const {
  BIO* memory = BIO_new(BIO_s_mem());
  ASSERT(PEM_write_bio_PKCS8PrivateKey(memory, keys_->rsa, nullptr, nullptr, 0, nullptr, nullptr) ==
         1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory, &text);
  std::string pem(text, static_cast<std::size_t>(size));
  BIO_free(memory);
  return pem;
}

std::string IdentityProvider::jwks() const {
  return R"({"keys":[{"kty":"RSA","kid":"r1","use":"sig","alg":"RS256","n":")" + rsa_modulus() +
         R"(","e":")" + base64url(number(keys_->rsa, OSSL_PKEY_PARAM_RSA_E)) +
         R"("},{"kty":"EC","kid":"e1","crv":"P-256","x":")" +
         base64url(number(keys_->p256, OSSL_PKEY_PARAM_EC_PUB_X, 32)) + R"(","y":")" +
         base64url(number(keys_->p256, OSSL_PKEY_PARAM_EC_PUB_Y, 32)) + R"("}]})";
}

std::string IdentityProvider::token(std::string_view header, std::string_view claims,
                                    std::string_view alg) const {
  const std::string text = base64url(as_bytes(header)) + "." + base64url(as_bytes(claims));
  const Bytes signature =
      alg == "ES256" ? raw_signature(sign(keys_->p256, text)) : sign(keys_->rsa, text);
  return text + "." + base64url(signature);
}

std::string IdentityProvider::unsigned_token(std::string_view header, std::string_view claims) {
  return base64url(as_bytes(header)) + "." + base64url(as_bytes(claims)) + ".";
}

}  // namespace isthmus::test
