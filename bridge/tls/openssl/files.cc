#include "tls/openssl/files.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>

#include "base/digest.h"

namespace isthmus::tls {
namespace {

constexpr std::uint64_t kMaxFileBytes = 4 * MiB;

Error file_error(const char* code, const FileSystem::Path& path, const std::string& what) {
  return permanent_error(code, path.string() + ": " + what + ".");
}

OwnedBio bio_of(const std::string& text) {
  return OwnedBio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

struct Passphrase {
  const std::string* text = nullptr;
  bool was_asked = false;
};

int give_passphrase(char* into, int size, int /*for_writing*/, void* from) {
  auto& passphrase = *static_cast<Passphrase*>(from);
  passphrase.was_asked = true;
  const int length = std::min(size, static_cast<int>(passphrase.text->size()));
  std::memcpy(into, passphrase.text->data(), static_cast<std::size_t>(length));
  return length;
}

// Whether reading stopped because nothing more of the kind is in the file, not because of damage.
bool is_at_end() {
  const unsigned long error = ERR_peek_last_error();
  return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

bool is_certificate_name(std::string_view name) {
  return name.ends_with(".pem") || name.ends_with(".crt") || name.ends_with(".cer");
}

}  // namespace

bool others_may_read(const FileSystem::Path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  using std::filesystem::perms;
  return !error && (status.permissions() & perms::others_read) != perms::none;
}

Result<std::string> read_small_file(Env& env, const FileSystem::Path& path) {
  TRY_ASSIGN(auto file, env.files.open(path, FileSystem::Mode::read_only));
  TRY_ASSIGN(const std::uint64_t size, file->size());
  const auto source = source_of_file(std::move(file), 0, size);
  return read_all(*source, kMaxFileBytes);
}

Result<std::vector<FileSystem::Path>> authority_files(Env& env, const FileSystem::Path& path) {
  auto names = env.files.list(path);
  if (!names.ok()) return std::vector{path};  // no folder; whoever reads it finds out what it is
  std::vector<FileSystem::Path> files;
  for (const std::string& name : *names) {
    if (is_certificate_name(name)) files.push_back(path / name);
  }
  std::sort(files.begin(), files.end());
  return files;
}

Result<std::vector<OwnedCertificate>> read_certificates(Env& env, const FileSystem::Path& path,
                                                        const char* code) {
  const auto text = read_small_file(env, path);
  if (!text.ok()) return file_error(code, path, "cannot be read (" + text.error().message + ")");
  ERR_clear_error();
  const OwnedBio bio = bio_of(*text);
  std::vector<OwnedCertificate> certificates;
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    certificates.emplace_back(next);
  }
  if (!is_at_end()) return file_error(code, path, "is damaged (" + openssl_reason() + ")");
  ERR_clear_error();
  if (certificates.empty()) return file_error(code, path, "holds no certificate in PEM form");
  return certificates;
}

Result<OwnedKey> read_key(Env& env, const FileSystem::Path& path, const std::string& passphrase) {
  const auto text = read_small_file(env, path);
  if (!text.ok()) {
    return file_error("tls.key", path, "cannot be read (" + text.error().message + ")");
  }
  if (others_may_read(path)) {
    return file_error("tls.key_readable", path,
                      "may be read by every user of this machine; take that right away (chmod o=)");
  }
  ERR_clear_error();
  const OwnedBio bio = bio_of(*text);
  Passphrase asked{&passphrase};
  OwnedKey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, give_passphrase, &asked));
  if (key != nullptr) return key;
  const std::string reason = openssl_reason();
  if (!asked.was_asked) return file_error("tls.key", path, "holds no private key (" + reason + ")");
  return file_error("tls.key_passphrase", path,
                    passphrase.empty() ? "is encrypted, and no passphrase is given"
                                       : "does not open with the passphrase given");
}

Result<std::vector<OwnedCrl>> read_crls(Env& env, const FileSystem::Path& path) {
  const auto text = read_small_file(env, path);
  if (!text.ok()) {
    return file_error("tls.crl", path, "cannot be read (" + text.error().message + ")");
  }
  ERR_clear_error();
  const OwnedBio bio = bio_of(*text);
  std::vector<OwnedCrl> crls;
  while (X509_CRL* next = PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr)) {
    crls.emplace_back(next);
  }
  if (!is_at_end()) return file_error("tls.crl", path, "is damaged (" + openssl_reason() + ")");
  ERR_clear_error();
  if (crls.empty()) {
    const OwnedBio der = bio_of(*text);
    if (X509_CRL* only = d2i_X509_CRL_bio(der.get(), nullptr)) crls.emplace_back(only);
    ERR_clear_error();
  }
  if (crls.empty()) return file_error("tls.crl", path, "holds no revocation list");
  return crls;
}

std::optional<WallTime> wall_time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return std::nullopt;
  return WallTime(std::chrono::seconds(::timegm(&parts)));
}

std::string fingerprint_of(X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &length) != 1) return {};
  return to_hex(ByteSpan(reinterpret_cast<const std::byte*>(digest.data()), length));
}

std::string openssl_reason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason == nullptr ? "unknown reason" : reason;
}

}  // namespace isthmus::tls
