// PEM and DER files of certificates, keys and revocation lists, read through Env.
#pragma once

#include <string>
#include <vector>

#include "base/env.h"
#include "tls/openssl/owned.h"

namespace isthmus::tls {

// Whether every user of the machine may read it. Asked of the real disk: FileSystem knows nothing
// of rights, and no other kind of disk has a key of ours.
bool others_may_read(const FileSystem::Path& path);
// The file's bytes, at most 4 MiB.
Result<std::string> read_small_file(Env& env, const FileSystem::Path& path);
// The files that a CA setting means: itself, or those of the folder it is, sorted by name.
Result<std::vector<FileSystem::Path>> authority_files(Env& env, const FileSystem::Path& path);

// At least one; `code` is that of errors. In the order of the file.
Result<std::vector<OwnedCertificate>> read_certificates(Env& env, const FileSystem::Path& path,
                                                        const char* code);
// "tls.key", "tls.key_readable", "tls.key_passphrase".
Result<OwnedKey> read_key(Env& env, const FileSystem::Path& path, const std::string& passphrase);
// At least one; "tls.crl".
Result<std::vector<OwnedCrl>> read_crls(Env& env, const FileSystem::Path& path);

std::optional<WallTime> wall_time_of(const ASN1_TIME* time);
// SHA-256 of the DER form, 64 lower-case hex digits.
std::string fingerprint_of(X509* certificate);
// Of the thread's error queue, which is empty afterwards: "ee key too small".
std::string openssl_reason();

}  // namespace isthmus::tls
