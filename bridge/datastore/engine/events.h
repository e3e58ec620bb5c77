// What has happened to data stores, import jobs and image sets, in the form that HealthImaging
// sends to Amazon EventBridge (developer guide, "Using Amazon EventBridge with HealthImaging"). The
// rows are written by triggers of the catalogue, in the transaction that makes them true: an event
// that is there happened, and none is lost.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/thread.h"
#include "datastore/engine/catalogue.h"

namespace isthmus::datastore {

struct Event {
  std::int64_t id = 0;  // counts up
  std::string json;     // one line
};

struct EventSettings {
  std::string region;
  std::string account_id;
  FileSystem::Path file;        // a line is appended for each; empty: no file
  std::int64_t kept = 100'000;  // rows, for those who ask by the API
};

// Any thread.
class Events {
 public:
  Events(Env& env, Catalogue& catalogue, EventSettings settings);
  ~Events() { stop(); }

  // In order, those behind `after`.
  Result<std::vector<Event>> list(std::int64_t after, std::size_t limit);

  // The file is written from here on.
  void start();
  // Safe twice and before start().
  void stop();
  // Appends what is not in the file yet, each event once, whatever was killed where; false when
  // there is none. A file that is shorter than what was written (moved away) is begun again.
  Result<bool> write_some();

 private:
  void work();
  Result<std::string> print(sql::Statement& row) const;

  Env& env_;
  Catalogue& catalogue_;
  const EventSettings settings_;
  std::atomic<bool> stopping_{false};
  Wakeup wakeup_;
  Thread thread_;
};

}  // namespace isthmus::datastore
