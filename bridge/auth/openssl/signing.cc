#include "auth/openssl/signing.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <memory>

#include "base/freed.h"

namespace isthmus::auth {
namespace {

using Memory = std::unique_ptr<BIO, Freed<BIO_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;

// Nobody is there who could be asked for a passphrase.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

Key read_key(std::string_view pem) {
  const Memory memory(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return Key(memory ? PEM_read_bio_PrivateKey(memory.get(), nullptr, &no_passphrase, nullptr)
                    : nullptr);
}

}  // namespace

Result<Bytes> sign_rs256(std::string_view private_key_pem, ByteSpan message) {
  const Key key = read_key(private_key_pem);
  const DigestContext context(EVP_MD_CTX_new());
  const auto* bytes = reinterpret_cast<const unsigned char*>(message.data());
  std::size_t size = 0;
  Bytes signature;
  bool signed_now =
      key && context && EVP_PKEY_get_base_id(key.get()) == EVP_PKEY_RSA &&
      EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
      EVP_DigestSign(context.get(), nullptr, &size, bytes, message.size()) == 1;
  if (signed_now) {
    signature.resize(size);
    signed_now = EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()),
                                &size, bytes, message.size()) == 1;
    signature.resize(size);
  }
  ERR_clear_error();
  if (signed_now) return signature;
  return permanent_error("auth.bad_key", "The private key is no RSA key in PEM.");
}

}  // namespace isthmus::auth
