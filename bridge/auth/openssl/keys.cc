#include "auth/openssl/keys.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <memory>

#include "base/freed.h"

namespace isthmus::auth {
namespace {

using Number = std::unique_ptr<BIGNUM, Freed<BN_free>>;
using Builder = std::unique_ptr<OSSL_PARAM_BLD, Freed<OSSL_PARAM_BLD_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, Freed<OSSL_PARAM_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Freed<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Signature = std::unique_ptr<ECDSA_SIG, Freed<ECDSA_SIG_free>>;

constexpr int kLeastRsaBits = 2048;  // RFC 7518 section 3.3
constexpr int kMostRsaBits = 8192;   // more only costs us time
constexpr std::size_t kP256Bytes = 32;

const unsigned char* raw(ByteSpan bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

Number number_of(ByteSpan bytes) {
  return Number(BN_bin2bn(raw(bytes), static_cast<int>(bytes.size()), nullptr));
}

Key key_from(const char* type, OSSL_PARAM_BLD* builder) {
  const Parameters parameters(OSSL_PARAM_BLD_to_param(builder));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  const bool made =
      parameters && context && EVP_PKEY_fromdata_init(context.get()) == 1 &&
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) == 1;
  Key owned(key);
  ERR_clear_error();
  return made ? std::move(owned) : nullptr;
}

bool verify(EVP_PKEY* key, ByteSpan message, ByteSpan signature) {
  const DigestContext context(EVP_MD_CTX_new());
  const bool good = context &&
                    EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
                    EVP_DigestVerify(context.get(), raw(signature), signature.size(), raw(message),
                                     message.size()) == 1;
  ERR_clear_error();
  return good;
}

// RSASSA-PKCS1-v1_5 with SHA-256: what EVP does by default with such a key.
class RsaKey : public VerificationKey {
 public:
  explicit RsaKey(Key key) : key_(std::move(key)) {}
  SignatureAlgorithm algorithm() const override { return SignatureAlgorithm::rs256; }
  bool verifies(ByteSpan message, ByteSpan signature) const override {
    return verify(key_.get(), message, signature);
  }

 private:
  const Key key_;
};

class P256Key : public VerificationKey {
 public:
  explicit P256Key(Key key) : key_(std::move(key)) {}
  SignatureAlgorithm algorithm() const override { return SignatureAlgorithm::es256; }
  // JWS has r and s side by side (RFC 7518 section 3.4), OpenSSL wants them in DER.
  bool verifies(ByteSpan message, ByteSpan signature) const override {
    if (signature.size() != 2 * kP256Bytes) return false;
    Number r = number_of(signature.first(kP256Bytes));
    Number s = number_of(signature.subspan(kP256Bytes));
    const Signature both(ECDSA_SIG_new());
    if (!r || !s || !both || ECDSA_SIG_set0(both.get(), r.get(), s.get()) != 1) return false;
    static_cast<void>(r.release());  // `both` owns them now
    static_cast<void>(s.release());
    unsigned char* der = nullptr;
    const int size = i2d_ECDSA_SIG(both.get(), &der);
    if (size <= 0) return false;
    const bool good =
        verify(key_.get(), message,
               {reinterpret_cast<const std::byte*>(der), static_cast<std::size_t>(size)});
    OPENSSL_free(der);
    return good;
  }

 private:
  const Key key_;
};

}  // namespace

std::shared_ptr<const VerificationKey> make_rsa_key(ByteSpan modulus, ByteSpan exponent) {
  if (modulus.empty() || modulus.size() > kMostRsaBits / 8 + 1) return nullptr;
  if (exponent.empty() || exponent.size() > 8) return nullptr;
  const Number n = number_of(modulus), e = number_of(exponent);
  const Builder builder(OSSL_PARAM_BLD_new());
  if (!n || !e || !builder || BN_num_bits(n.get()) < kLeastRsaBits) return nullptr;
  if (BN_is_odd(e.get()) == 0 || BN_is_one(e.get()) != 0) return nullptr;
  if (OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return nullptr;
  }
  Key key = key_from("RSA", builder.get());
  return key ? std::make_shared<RsaKey>(std::move(key)) : nullptr;
}

std::shared_ptr<const VerificationKey> make_p256_key(ByteSpan x, ByteSpan y) {
  if (x.size() != kP256Bytes || y.size() != kP256Bytes) return nullptr;
  Bytes point{std::byte{4}};  // uncompressed
  point.insert(point.end(), x.begin(), x.end());
  point.insert(point.end(), y.begin(), y.end());
  const Builder builder(OSSL_PARAM_BLD_new());
  if (!builder ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) !=
          1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()) != 1) {
    return nullptr;
  }
  Key key = key_from("EC", builder.get());  // refuses a point that is not on the curve
  return key ? std::make_shared<P256Key>(std::move(key)) : nullptr;
}

}  // namespace isthmus::auth
