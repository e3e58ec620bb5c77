// Tells a program of the site that a study is imported: one POST to orthanc.notify_url.
//
// Reads the ledger's news (ledger/receiver_rows.h) with a mark of its own. A study is told of when
// the last thing that was on its way is imported, or was discarded by a person beside what is
// imported; images that come later are told of again. At least once: after a restart, or an answer
// that was lost, the same is told again, with the same Idempotency-Key. The mark goes on when it
// was told, so that nothing is left out however long the program is away; what it refuses (4xx) is
// not told again.
//
//   {"event": "StudyImported", "study_instance_uid": "1.2.4", "orthanc_study": "<its id>",
//    "instances": 3, "image_sets": ["<id>"], "at": "2026-01-31T09:30:00.000Z"}
//
// No patient data.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>

#include "base/thread.h"
#include "http/http.h"
#include "ledger/ledger.h"
#include "ledger/receiver_rows.h"
#include "plugin/archive.h"

namespace isthmus::plugin {

struct NotifierOptions {
  std::string url;           // empty: nobody is told
  std::string bearer_token;  // sent with it; empty: none
  Milliseconds poll{2'000};
};

// Metrics: orthanc_notified_total{result}: told, refused.
class Notifier {
 public:
  // References must outlive it.
  Notifier(Env& env, Archive& archive, Ledger& ledger, http::Transport& transport,
           NotifierOptions options);
  ~Notifier() { stop(); }

  // As Feed.
  void start();
  void stop();
  void begin_to_stop();

  // One bounded piece of work; gives how long nothing is to be done.
  Milliseconds run_once();

 private:
  struct LastNews {
    std::int64_t position = 0;
    WallTime at{};
  };
  Result<bool> announce();
  Result<void> announce_study(const std::string& study, const LastNews& last);
  Result<void> tell(const std::string& body, const std::string& key);

  Env& env_;
  Archive& archive_;
  Ledger& ledger_;
  http::Transport& transport_;
  const NotifierOptions options_;
  Counter& told_;
  Counter& refused_;
  int waits_ = 0;  // in a row, after errors

  std::atomic<bool> stopping_{false};
  Wakeup wakeup_;
  Thread thread_;
};

}  // namespace isthmus::plugin
