// What the doctor looks at in any cloud, and what each kind adds. Private to the doctor.
#pragma once

#include <optional>
#include <string>

#include "app/destinations.h"
#include "app/doctor.h"

namespace isthmus::app {

// One destination under examination.
struct Patient {
  Env& env;
  const Settings& settings;
  const std::string& name;
  Findings& findings;

  std::string setting(const char* last) const { return "destinations." + name + "." + last; }
  std::string text(const char* last) const { return settings.text(setting(last)); }
  void note(const char* check, Verdict verdict, std::string text) const {
    findings.push_back({check, name, verdict, std::move(text)});
  }
  // "ok" as `well` says, or bad with the error and what to do about it.
  template <typename T>
  bool note_result(const char* check, const Result<T>& result, const std::string& well,
                   const std::string& right) const {
    if (result.ok()) {
      note(check, Verdict::well, well);
    } else {
      note(check, Verdict::bad, with_advice(result.error(), right));
    }
    return result.ok();
  }
  // The error's sentence, and what it asks of somebody who may give rights: `right` is the cloud's
  // own name for what was refused.
  std::string with_advice(const Error& error, const std::string& right) const;
};

// What the cloud calls what we ask of it; goes into advice.
struct Rights {
  const char* list;
  const char* put;
  const char* get;
  const char* remove;
  const char* jobs;    // to list them
  const char* start;   // to start one
  const char* reader;  // who reads the bucket in our stead, and what that takes
};

// "bucket.list", "bucket.put", "bucket.get", "bucket.delete" with an object of its own.
void examine_bucket(const Patient& patient, ConfiguredDestination& made, const Rights& rights);
// "import.list": the service answers, and what we would ask after a crash it tells.
void examine_jobs(const Patient& patient, ConfiguredDestination& made, const Rights& rights);
// "import.start" and "import.end": a job over one object that is no DICOM. What it staged and what
// the job wrote is taken away again.
struct JobTried {
  ImportIntent intent;
  RemoteJob job;
};
std::optional<JobTried> examine_import(const Patient& patient, ConfiguredDestination& made,
                                       const Rights& rights);

void examine_aws(const Patient& patient, bool import);
void examine_google(const Patient& patient, bool import);

}  // namespace isthmus::app
