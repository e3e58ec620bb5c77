// OpenSSL's objects, freed when nobody wants them any more.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>

#include "base/freed.h"

namespace isthmus::tls {

using OwnedBio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using OwnedCertificate = std::unique_ptr<X509, Freed<X509_free>>;
using OwnedCrl = std::unique_ptr<X509_CRL, Freed<X509_CRL_free>>;
using OwnedKey = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using OwnedSsl = std::unique_ptr<SSL, Freed<SSL_free>>;

}  // namespace isthmus::tls
