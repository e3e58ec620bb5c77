// ObjectStore over the Cloud Storage JSON API (contracts/google-storage).
#pragma once

#include <memory>
#include <string>

#include "auth/tokens.h"
#include "http/http.h"
#include "http/retrying.h"
#include "storage/object_store.h"
#include "storage/upload_sessions.h"

namespace isthmus {

struct GcsOptions {
  std::string endpoint = "https://storage.googleapis.com";
  std::string bucket;
  std::string content_type = "application/dicom";
  std::string user_project = {};  // that is billed for requests; empty: the bucket's own
  // Larger objects go up in a session, which is gone on with after a cut or a crash. 8 MiB is what
  // the documentation recommends.
  std::uint64_t resumable_threshold_bytes = 8 * MiB;
  // In one request of a session; a multiple of 256 KiB.
  std::uint64_t piece_bytes = 64 * MiB;
  // Requests of a session in a row that got no further, before put() fails. The session is kept:
  // the next put() goes on with it.
  int cuts_without_progress = 5;
  int list_page_objects = 1000;  // at most 1000 (objects.list)
  http::RetryPolicy retry;
};

// Bytes are held against `expected` here before they go up, and the store holds what it got against
// their CRC-32C. An object is only made where there is none (ifGenerationMatch=0): a repeat after a
// lost answer finds the one that the first try made; another's bytes under the key are replaced
// only in the generation that was looked at.
// `transport`, `tokens` and `sessions` (null: sessions do not outlive put()) must outlive it.
std::unique_ptr<ObjectStore> make_gcs_store(Env& env, http::Transport& transport,
                                            TokenSource& tokens, UploadSessions* sessions,
                                            GcsOptions options);

}  // namespace isthmus
