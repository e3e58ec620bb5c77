// An authority of a test's own, and certificates of every fault: made when they are needed, never
// stored in the repository.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/env.h"

namespace isthmus::test {

struct CertificateRecipe {
  std::string common_name = "ct1";
  std::string subject_names = {};  // "DNS:ct1.example,IP:127.0.0.1"
  std::string key_usage = {};      // extended: "clientAuth"; empty: for everything
  enum class Key { p256, rsa_2048, rsa_1024 } key = Key::p256;
  bool sha1_signature = false;
  std::chrono::hours from{-1};  // of the authority's now
  std::chrono::hours until{24 * 365};
};

struct IssuedCertificate {
  std::string certificate_pem;
  std::string key_pem;
  std::string fingerprint_sha256;
  long serial = 0;

  // key_pem, encrypted.
  std::string encrypted_key_pem(const std::string& passphrase) const;
};

class TestAuthority {
 public:
  // Certificates' dates are counted from `now`.
  explicit TestAuthority(WallTime now, std::string name = "Test Authority");
  ~TestAuthority();

  IssuedCertificate issue(const CertificateRecipe& recipe = {});
  const std::string& certificate_pem() const { return certificate_pem_; }
  void revoke(const IssuedCertificate& issued);
  // What was revoked until now.
  std::string crl_pem(std::chrono::hours next_update = std::chrono::hours(24)) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::string certificate_pem_;
};

// Replaces what is there at once, and is readable by its owner alone.
void write_private_file(const std::filesystem::path& path, const std::string& text);

}  // namespace isthmus::test
