// Why a handshake or a connection failed, in stable words of ours (tls/session.h).
#pragma once

#include "tls/openssl/owned.h"

namespace isthmus::tls {

// From the result of the verification and the thread's error queue, which is empty afterwards.
const char* failure_reason(const SSL* ssl);

}  // namespace isthmus::tls
