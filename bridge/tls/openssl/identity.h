// Who a certificate says its holder is.
#pragma once

#include "tls/openssl/owned.h"
#include "tls/session.h"

namespace isthmus::tls {

PeerIdentity identity_of(X509* certificate);

}  // namespace isthmus::tls
