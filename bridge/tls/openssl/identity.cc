#include "tls/openssl/identity.h"

#include <openssl/x509v3.h>

#include <array>

#include "tls/openssl/files.h"

namespace isthmus::tls {
namespace {

// Empty for a text with a NUL in it: "ct1.example\0.attacker" is nobody's name.
std::string text_of(const ASN1_STRING* string) {
  unsigned char* utf8 = nullptr;
  const int length = ASN1_STRING_to_UTF8(&utf8, string);
  if (length < 0) return {};
  std::string text(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(length));
  OPENSSL_free(utf8);
  return text.find('\0') == std::string::npos ? text : std::string();
}

// Several common names: nobody can tell which one is meant, so none is.
std::string common_name_of(X509* certificate) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int first = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (first < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, first) >= 0) return {};
  return text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, first)));
}

std::string address_text(const ASN1_OCTET_STRING* address) {
  const unsigned char* bytes = ASN1_STRING_get0_data(address);
  const int length = ASN1_STRING_length(address);
  std::string text;
  if (length == 4) {
    for (int i = 0; i < 4; ++i) {
      text += (i == 0 ? "" : ".") + std::to_string(static_cast<int>(bytes[i]));
    }
  } else if (length == 16) {
    constexpr char kDigits[] = "0123456789abcdef";
    for (int i = 0; i < 16; ++i) {
      if (i > 0 && i % 2 == 0) text += ':';
      text += kDigits[bytes[i] >> 4];
      text += kDigits[bytes[i] & 0xf];
    }
  }
  return text;
}

std::string subject_name(const GENERAL_NAME* name) {
  int type = 0;
  const void* value = GENERAL_NAME_get0_value(name, &type);
  switch (type) {
    case GEN_DNS:
    case GEN_URI:
    case GEN_EMAIL:
      return text_of(static_cast<const ASN1_STRING*>(value));
    case GEN_IPADD:
      return address_text(static_cast<const ASN1_OCTET_STRING*>(value));
    default:
      return {};
  }
}

}  // namespace

PeerIdentity identity_of(X509* certificate) {
  PeerIdentity identity;
  if (certificate == nullptr) return identity;
  identity.fingerprint_sha256 = fingerprint_of(certificate);
  identity.common_name = common_name_of(certificate);
  identity.valid_until = wall_time_of(X509_get0_notAfter(certificate));
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    std::string name = subject_name(sk_GENERAL_NAME_value(names, i));
    if (!name.empty()) identity.subject_names.push_back(std::move(name));
  }
  GENERAL_NAMES_free(names);
  return identity;
}

}  // namespace isthmus::tls
