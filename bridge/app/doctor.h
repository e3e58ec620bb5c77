// `isthmus doctor`: looks at what the gateway needs of this machine, of the network and of a cloud
// before a person has to, one line each: well, or what to do. It never prints a secret, and leaves
// nothing behind.
#pragma once

#include <string>
#include <vector>

#include "app/commands.h"

namespace isthmus::app {

struct DoctorWishes {
  std::string destination;  // empty: all of them
  // Has each import service start a job over one small object that is no DICOM: it imports nothing,
  // and shows that jobs may be started and that the service may read the bucket.
  bool import = false;
  bool json = false;
};

// 0: all is well (warnings are); 1: something is not; 2: the configuration cannot be used.
int examine_site(const Invocation& invocation, const DoctorWishes& wishes);

enum class Verdict { well, warn, bad, skipped };
std::string_view to_string(Verdict verdict);  // "ok", "warn", "bad", "skipped"

struct Finding {
  std::string check;    // stable: "tls", "bucket.put"
  std::string subject;  // of what: a host, a folder, a destination's name
  Verdict verdict = Verdict::well;
  std::string text;  // what was found, or what to do
};
using Findings = std::vector<Finding>;

// --- what it looks at; each appends to the findings
// Free space, how fast the disk syncs ("disk.spool", "disk.ledger") and whether the ports of the
// configuration can be listened on ("port.dimse", …).
void examine_machine(Env& env, const Settings& settings, Findings& findings);
// Name, port, certificate and clock of a server: "dns", "tcp", "tls", "clock". By a proxy only the
// proxy's name and port are looked at.
struct ServerToVisit {
  std::string url;
  std::string ca_file = {};  // trusted besides the system's
  std::string proxy_url = {};
};
void examine_server(Env& env, const ServerToVisit& server, Findings& findings);
// "dns" to "clock" of its hosts, "credentials", "identity", "bucket.list" to "bucket.delete", and
// "import.start", "import.end" when wished for.
void examine_destination(Env& env, const Settings& settings, const std::string& name, bool import,
                         Findings& findings);

}  // namespace isthmus::app
