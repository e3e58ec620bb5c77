#include "auth/key_pair.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <memory>

#include "base/freed.h"

namespace isthmus::auth {
namespace {

using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Memory = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Number = std::unique_ptr<BIGNUM, Freed<BN_free>>;

Error no_key() {
  ERR_clear_error();
  return transient_error("auth.no_key", "No key pair could be made: try again.");
}

Bytes number_of(EVP_PKEY* key, const char* name) {
  BIGNUM* raw = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &raw) != 1) return {};
  const Number number(raw);
  Bytes bytes(static_cast<std::size_t>(BN_num_bytes(number.get())));
  BN_bn2bin(number.get(), reinterpret_cast<unsigned char*>(bytes.data()));
  return bytes;
}

}  // namespace

Result<RsaKeyPair> make_rsa_key_pair() {
  const Key key(EVP_RSA_gen(2048));
  const Memory memory(BIO_new(BIO_s_mem()));
  if (!key || !memory ||
      PEM_write_bio_PKCS8PrivateKey(memory.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                    nullptr) != 1) {
    return no_key();
  }
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &text);
  RsaKeyPair pair{std::string(text, static_cast<std::size_t>(size)),
                  number_of(key.get(), OSSL_PKEY_PARAM_RSA_N),
                  number_of(key.get(), OSSL_PKEY_PARAM_RSA_E)};
  if (pair.modulus.empty() || pair.exponent.empty()) return no_key();
  return pair;
}

}  // namespace isthmus::auth
