// ImportService over the Cloud Healthcare API (contracts/google-healthcare).
//
// dicomStores.import takes no token and writes no output: it counts. So which operation belongs to
// which intent is written into the bucket beside the batch, and what became of an instance is found
// by comparison: what was expected against what the store holds.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/tokens.h"
#include "http/http.h"
#include "http/retrying.h"
#include "imports/import_service.h"
#include "model/instance.h"
#include "storage/object_store.h"

namespace isthmus {

// The instance whose bytes were staged under a key; nothing when it is not known.
using InstanceLookup = std::function<Result<std::optional<Instance>>(const ObjectKey&)>;

struct GoogleImportOptions {
  std::string endpoint = "https://healthcare.googleapis.com";
  std::string dicom_store;  // "projects/p/locations/l/datasets/d/dicomStores/s"
  std::string bucket;       // of `staging`
  // Where notes of operations are kept in the bucket: "<prefix>/operations/". They are needed for
  // as long as operations are listed (30 days); a lifecycle rule of the bucket may remove them
  // then.
  std::string notes_prefix = "operations/";
  std::string storage_class = {};  // blobStorageClass; empty: the service's default
  // Cloud Logging, which says why a file was refused; empty: it is not asked.
  std::string logging_endpoint = {};
  // Of each job so many instances are fetched and held against the digest of what was received;
  // those whose UID came with other bytes before are, in any case.
  std::int64_t verified_instances = 0;
  // An operation's time and ours may be this far apart when one is looked for.
  Milliseconds clock_skew{10 * 60'000};
  ImportLimits limits = google_limits();
  http::RetryPolicy retry = {};

  // "run few at once (about 5)"; starts are not limited by documents: one in four seconds is ours.
  static ImportLimits google_limits();
};

// `transport`, `tokens` and `staging` (the bucket) must outlive it. `instances` says where in the
// store what was staged belongs, and of which bytes it is.
//
// start() notes the operation beside its intent; find() knows it by that note, or else takes the
// one operation that was started since, that no note names, and that counts as many files as the
// batch has. The service ignores what it has already, so that a job started twice does no harm.
//
// outcomes(): an instance is imported when a search of the store finds it, and (of those verified)
// when its bytes are the ones that were received; another one's bytes under its UID are
// "import.duplicate" (rejected): the service keeps what it had first. One that is missing is
// rejected with the reason that the log has; without one it is unaccounted at first, and rejected
// ("import.refused") once the service counted a failure for it again. While the store's metrics
// count more instances than a search finds, the index is late: "import.output_missing".
std::unique_ptr<ImportService> make_google_import(Env& env, http::Transport& transport,
                                                  TokenSource& tokens, ObjectStore& staging,
                                                  InstanceLookup instances,
                                                  GoogleImportOptions options);

// The objects in which start() notes an operation; for who takes them away when nobody will ask.
std::vector<ObjectKey> google_notes_of(const std::string& notes_prefix, const ImportIntent& intent,
                                       const RemoteJob& job);

// The same store by STOW-RS: each instance in a request of its own, whose answer says what became
// of it (contracts/dicomweb-stow.md). Nothing of it is an operation of the service: a job is a note
// in the bucket, status() sends for a while and writes down what was answered, and what was sent
// and not written down when the process died is sent again, and then found to be there with the
// same bytes. Slower than an import, and says more.
struct GoogleStowOptions {
  std::string endpoint = "https://healthcare.googleapis.com";
  std::string dicom_store;
  std::string notes_prefix = "operations/";
  Milliseconds work_at_once{20'000};  // of one status()
  ImportLimits limits = GoogleImportOptions::google_limits();
  http::RetryPolicy retry = {};
};

// "import.duplicate" (rejected) is another's instance under the UID. References as above.
std::unique_ptr<ImportService> make_google_stow(Env& env, http::Transport& transport,
                                                TokenSource& tokens, ObjectStore& staging,
                                                InstanceLookup instances,
                                                GoogleStowOptions options);

}  // namespace isthmus
