// STOW-RS into a data store (contracts/dicomweb-stow.md): parts go to blobs as they come, are
// examined one by one, and what can be taken is imported by a job of its own, as if it had been in
// a bucket. Answered after that job has ended: stored means visible and durable.
#pragma once

#include <atomic>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "datastore/api/gate.h"
#include "datastore/engine/blobs.h"
#include "datastore/engine/dicom_index.h"
#include "datastore/engine/examined_ahead.h"
#include "datastore/engine/examiner.h"
#include "datastore/engine/import_jobs.h"
#include "datastore/engine/objects.h"
#include "http/http.h"
#include "wire/multipart.h"

namespace isthmus::datastore {

class Stow {
 public:
  struct Parts {
    Blobs& blobs;
    Objects& objects;
    ImportJobs& import_jobs;
    Examiner& examiner;
    ExaminedAhead& ahead;  // what the import finds here is not examined again
    DicomIndex& index;
    std::function<void()> job_accepted;
    // Requests that may wait for their import at once; each holds a thread of the server.
    std::size_t at_once = 3;
  };
  struct Order {
    std::string data_store;
    std::string study;      // every instance must be of it; empty: of any
    std::string base_url;   // what addresses of studies begin with
    bool admitted = false;  // the caller was let in already: the request is not signed
    bool google = false;    // Google's rules and answers (contracts/google-healthcare section 6)
    bool json = true;       // of Google's answers: else XML
    // Of the body; beyond, "RequestEntityTooLargeException". As HealthImaging's quotas.json says
    // it.
    std::uint64_t most_bytes = 1'000'000'000;
  };

  Stow(Env& env, const Gate& gate, Parts parts);
  // The signature covers the hash that x-amz-content-sha256 says, so that a body can be taken as it
  // comes; without that header it is gathered first, up to 64 MiB.
  std::unique_ptr<http::Exchange> open(const http::Head& head, Order order,
                                       std::function<http::Response(const Error&)> refuse);
  // Removes what a killed process left of unanswered requests.
  Result<void> sweep();

 private:
  friend class StowExchange;
  struct Outcome {
    std::string sop_class_uid;  // empty where nobody could tell
    std::string sop_instance_uid;
    std::string study_instance_uid;
    std::string series_instance_uid;
    Digest blob;
    int failure = 0;  // 0: stored
    std::string detail;
  };
  // A part of the request: a file, or what is to be said of one that could not be made.
  struct Incoming {
    std::optional<BlobPin> file;
    Outcome refused;
  };
  enum class There { nothing, same, other };
  // "ThrottlingException" when too many wait already.
  Result<http::Response> store(const Order& order, std::vector<Incoming>& parts);
  Result<http::Response> store_now(const Order& order, std::vector<Incoming>& parts);
  http::Response answer(const Order& order, const std::vector<Outcome>& outcomes) const;
  static Result<Outcome> outcome_of(const Examination& examination,
                                    const std::string& wanted_study);
  static nlohmann::json answer_body(const Order& order, const std::vector<Outcome>& outcomes);
  // What is in the data store under the three UIDs.
  Result<There> look(const Order& order, const Outcome& outcome);
  // Google: what is there already is refused, unless it is the same; true: nothing is to be done.
  Result<bool> settled(const Order& order, Outcome& outcome);
  Result<std::vector<std::string>> failures_of(const ImportJobRecord& job, std::size_t count);
  // Runs the import of these files and gives the failure of each; empty where it was imported.
  Result<std::vector<std::string>> import(const Order& order, const std::string& folder,
                                          std::size_t count);

  Env& env_;
  const Gate& gate_;
  Parts parts_;
  std::atomic<std::size_t> storing_{0};
};

}  // namespace isthmus::datastore
