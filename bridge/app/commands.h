// The commands of the program, apart from its command line. Each prints to standard output,
// problems to standard error, and gives the exit status: 0 well, 1 it found something wrong, 2 it
// could not run.
#pragma once

#include <string>

#include "app/config.h"
#include "app/settings.h"

namespace isthmus::app {

struct Invocation {
  Env& env;
  ConfigArguments config;
  FileSystem::Path program_directory;
};

struct StatusOptions {
  bool json = false;
  bool watch = false;  // again every two seconds until interrupted
};

// Until SIGTERM or SIGINT; 70 (sysexits.h EX_SOFTWARE) after a fatal error, so that a supervisor
// starts it again.
int serve(const Invocation& invocation, const std::string& failpoint);
int show_status(const Invocation& invocation, const StatusOptions& options);
int show_history(const Invocation& invocation, const std::string& uid_or_id, bool json);
int show_studies(const Invocation& invocation, bool json);
int order_retry(const Invocation& invocation, const std::string& what);
// What has the UID or id and asks for a person will not be imported.
int order_discard(const Invocation& invocation, const std::string& what, const std::string& reason);
int show_commitments(const Invocation& invocation, bool json);
int resend_commitment(const Invocation& invocation, const std::string& transaction_uid);
struct DrainOptions {
  bool wait = false;  // until all is done
  bool end = false;   // take instances again
};
// No new instances; says what is on its way still. 1 when that is not all done.
int drain(const Invocation& invocation, const DrainOptions& options);
// Has the daemon read its certificates anew.
int reload(const Invocation& invocation);
int check_config(const Invocation& invocation);
int print_config(const Invocation& invocation);
int check_ledger(const Invocation& invocation);

// Reports a fatal error to whoever serves; what Env::on_fatal of the program does.
void report_fatal(const Error& error);

}  // namespace isthmus::app
