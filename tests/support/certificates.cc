#include "support/certificates.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <array>
#include <fstream>
#include <vector>

#include "base/digest.h"
#include "base/freed.h"

namespace isthmus::test {
namespace {

using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Crl = std::unique_ptr<X509_CRL, Freed<X509_CRL_free>>;

template <typename Write>
std::string pem_of(Write write) {
  const std::unique_ptr<BIO, Freed<BIO_free_all>> bio(BIO_new(BIO_s_mem()));
  ASSERT(write(bio.get()) == 1);
  char* text = nullptr;
  const long length = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<std::size_t>(length));
}

Key make_key(CertificateRecipe::Key kind) {
  switch (kind) {
    case CertificateRecipe::Key::p256:
      return Key(EVP_EC_gen("P-256"));
    case CertificateRecipe::Key::rsa_2048:
      return Key(EVP_RSA_gen(2048));
    case CertificateRecipe::Key::rsa_1024:
      return Key(EVP_RSA_gen(1024));
  }
  return {};
}

std::time_t seconds_of(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

void add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  ASSERT(extension != nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

Certificate begin_certificate(EVP_PKEY* key, const std::string& name, long serial, WallTime from,
                              WallTime until) {
  Certificate certificate(X509_new());
  X509* x = certificate.get();
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
  ASN1_TIME_set(X509_getm_notBefore(x), seconds_of(from));
  ASN1_TIME_set(X509_getm_notAfter(x), seconds_of(until));
  X509_set_pubkey(x, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return certificate;
}

std::string key_pem(EVP_PKEY* key) {
  return pem_of([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}

}  // namespace

struct TestAuthority::State {
  WallTime now;
  Key key;
  Certificate certificate;
  long next_serial = 100;
  std::vector<long> revoked;
};

TestAuthority::TestAuthority(WallTime now, std::string name) : state_(std::make_unique<State>()) {
  state_->now = now;
  state_->key = make_key(CertificateRecipe::Key::p256);
  state_->certificate =
      begin_certificate(state_->key.get(), name, 1, now - std::chrono::hours(24 * 365),
                        now + std::chrono::hours(24 * 3650));
  X509* x = state_->certificate.get();
  X509_set_issuer_name(x, X509_get_subject_name(x));
  add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(x, x, NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(x, x, NID_subject_key_identifier, "hash");
  X509_sign(x, state_->key.get(), EVP_sha256());
  certificate_pem_ = pem_of([&](BIO* bio) { return PEM_write_bio_X509(bio, x); });
}

TestAuthority::~TestAuthority() = default;

IssuedCertificate TestAuthority::issue(const CertificateRecipe& recipe) {
  const Key key = make_key(recipe.key);
  IssuedCertificate issued;
  issued.serial = state_->next_serial++;
  const Certificate certificate =
      begin_certificate(key.get(), recipe.common_name, issued.serial, state_->now + recipe.from,
                        state_->now + recipe.until);
  X509* x = certificate.get();
  X509* issuer = state_->certificate.get();
  X509_set_issuer_name(x, X509_get_subject_name(issuer));
  add_extension(x, issuer, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(x, issuer, NID_authority_key_identifier, "keyid");
  if (!recipe.subject_names.empty()) {
    add_extension(x, issuer, NID_subject_alt_name, recipe.subject_names);
  }
  if (!recipe.key_usage.empty()) add_extension(x, issuer, NID_ext_key_usage, recipe.key_usage);
  X509_sign(x, state_->key.get(), recipe.sha1_signature ? EVP_sha1() : EVP_sha256());
  issued.certificate_pem = pem_of([&](BIO* bio) { return PEM_write_bio_X509(bio, x); });
  issued.key_pem = key_pem(key.get());
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  X509_digest(x, EVP_sha256(), digest.data(), &length);
  issued.fingerprint_sha256 = to_hex(std::as_bytes(std::span(digest).first(length)));
  return issued;
}

void TestAuthority::revoke(const IssuedCertificate& issued) {
  state_->revoked.push_back(issued.serial);
}

std::string TestAuthority::crl_pem(std::chrono::hours next_update) const {
  const Crl crl(X509_CRL_new());
  X509_CRL_set_version(crl.get(), 1);
  X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(state_->certificate.get()));
  ASN1_TIME* time = ASN1_TIME_set(nullptr, seconds_of(state_->now - std::chrono::hours(48)));
  X509_CRL_set1_lastUpdate(crl.get(), time);
  ASN1_TIME_set(time, seconds_of(state_->now + next_update));
  X509_CRL_set1_nextUpdate(crl.get(), time);
  for (const long serial : state_->revoked) {
    X509_REVOKED* revoked = X509_REVOKED_new();
    ASN1_INTEGER* number = ASN1_INTEGER_new();
    ASN1_INTEGER_set(number, serial);
    X509_REVOKED_set_serialNumber(revoked, number);
    ASN1_TIME_set(time, seconds_of(state_->now - std::chrono::hours(49)));
    X509_REVOKED_set_revocationDate(revoked, time);
    ASN1_INTEGER_free(number);
    X509_CRL_add0_revoked(crl.get(), revoked);
  }
  ASN1_TIME_free(time);
  X509_CRL_sort(crl.get());
  X509_CRL_sign(crl.get(), state_->key.get(), EVP_sha256());
  return pem_of([&](BIO* bio) { return PEM_write_bio_X509_CRL(bio, crl.get()); });
}

std::string IssuedCertificate::encrypted_key_pem(const std::string& passphrase) const {
  const std::unique_ptr<BIO, Freed<BIO_free_all>> bio(
      BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size())));
  const Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  return pem_of([&](BIO* out) {
    return PEM_write_bio_PrivateKey(out, key.get(), EVP_aes_256_cbc(),
                                    reinterpret_cast<const unsigned char*>(passphrase.data()),
                                    static_cast<int>(passphrase.size()), nullptr, nullptr);
  });
}

void write_private_file(const std::filesystem::path& path, const std::string& text) {
  const std::filesystem::path part = path.string() + ".part";
  std::ofstream(part, std::ios::binary) << text;
  std::filesystem::permissions(
      part, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  std::filesystem::rename(part, path);
}

}  // namespace isthmus::test
