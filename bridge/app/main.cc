// The program isthmus: its command line (CLI11) in front of commands.h.
#include <fmt/format.h>

#include <malloc.h>

#include <CLI/CLI.hpp>

#include "app/commands.h"
#include "app/conformance_document.h"
#include "app/datastore_commands.h"
#include "app/doctor.h"
#include "app/sender_commands.h"
#include "app/spool_commands.h"
#include "app/states_document.h"
#include "app/token_commands.h"
#include "app/update_commands.h"

namespace {

using namespace isthmus;       // NOLINT: the one place where everything comes together
using namespace isthmus::app;  // NOLINT

FileSystem::Path own_directory() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? FileSystem::Path("/usr/bin") : self.parent_path();
}

struct CommandLine {
  ConfigArguments config;
  StatusOptions status;
  std::string uid;
  std::string what;
  std::string reason;
  std::string transaction;
  std::string failpoint;
  std::string path;
  bool json = false;
  bool content = false;
  DrainOptions drain;
  GoogleKeyOrder google_key;
  SenderOrder order;
  RouteTrial trial;
  TokenWishes token;
  DoctorWishes doctor;
};

void describe_orders(CLI::App& senders, CommandLine& line) {
  const auto order = [&](const char* name, const char* sentence, SenderOrder::Kind kind) {
    auto* command = senders.add_subcommand(name, sentence);
    command->add_option("who", line.order.who, "Its AE title, or its name")->required();
    command->parse_complete_callback([&line, kind] { line.order.kind = kind; });
    return command;
  };
  SenderOrder& wishes = line.order;
  auto* admit = order("admit", "Let a sender in, from now on", SenderOrder::Kind::admit);
  auto* block =
      order("block", "Refuse a sender, and do not remember it any more", SenderOrder::Kind::block);
  order("remove", "Forget a sender that was admitted, blocked or refused",
        SenderOrder::Kind::remove);
  for (CLI::App* command : {admit, block}) {
    command->add_option("--from", wishes.from,
                        "Address or network it comes from (repeatable), or any; admit: else where "
                        "it was seen");
    command->add_option("--name", wishes.name, "Its name; else made of the AE title");
  }
  admit->add_option("--destination", wishes.destinations, "Where its instances go (repeatable)");
  admit->add_option("--report-to", wishes.report_to, "HOST:PORT for storage commitment reports");
  admit->add_flag("--report-tls", wishes.report_tls, "Reports go by TLS");
  admit->add_option("--report-tls-name", wishes.report_tls_name,
                    "Name that its certificate is for, when it is not the host's");
  admit->add_option("--report-tls-pin", wishes.report_tls_pin,
                    "SHA-256 of the one certificate that it may show then");
  admit->add_option("--associations", wishes.associations,
                    "Associations it may have at once; 0 for no limit of its own");
  admit->add_option("--instances-per-second", wishes.instances_per_second,
                    "How fast its instances are taken; 0 for no limit");
  admit->add_option("--bytes-per-second", wishes.bytes_per_second,
                    "How fast its bytes are taken; 0 for no limit");
  admit->add_option("--called", wishes.called, "AE title by which it may call us (repeatable)");
  admit->add_option("--sop-class", wishes.sop_classes,
                    "UID, name or group of classes it may store (repeatable)");
  admit->add_option("--tls-identity", wishes.tls_identities,
                    "Fingerprint or name of the certificate it must show (repeatable)");
}

void describe_senders(CLI::App& app, CommandLine& line) {
  auto* senders = app.add_subcommand("senders", "Who may send, and who was refused");
  senders->add_flag("--json", line.json, "As JSON");
  senders->require_subcommand(0, 1);
  describe_orders(*senders, line);
  auto* route = senders->add_subcommand("route", "Where an instance would go, and why");
  RouteAttributes& said = line.trial.attributes;
  route->add_option("file", line.trial.file, "A DICOM file whose head is looked at");
  route->add_option("--sender", said.sender, "Name of the sender");
  route->add_option("--calling-ae", said.calling_ae_title, "AE title by which it calls itself");
  route->add_option("--called-ae", said.called_ae_title, "AE title by which it calls us");
  route->add_option("--from", line.trial.from, "Its address");
  route->add_option("--modality", said.modality, "Modality");
  route->add_option("--study-description", said.study_description, "Study Description");
  route->add_option("--institution", said.institution_name, "Institution Name");
}

void describe_tokens(CLI::App& app, CommandLine& line) {
  auto* token = app.add_subcommand("token", "Who may call the HTTP port by a token");
  token->require_subcommand(1);
  auto* add = token->add_subcommand("add", "Make a token; it is shown this once");
  add->add_option("name", line.token.name, "Whose it is: stands in the audit log")->required();
  add->add_option("--scope", line.token.scopes,
                  "store, read, read-phi, operate, update or admin (repeatable)")
      ->expected(1)
      ->take_all()
      ->required();
  add->add_option("--expires-in-days", line.token.expires_in_days, "Else it does not expire");
  add->add_flag("--json", line.json, "As JSON");
  auto* list = token->add_subcommand("list", "All tokens, without their secrets");
  list->add_flag("--json", line.json, "As JSON lines");
  auto* revoke = token->add_subcommand("revoke", "End a token, at once");
  revoke->add_option("token", line.token.name, "Its id or name")->required();
}

int run_token(const CLI::App& token, const Invocation& invocation, const CommandLine& line) {
  const std::string command = token.get_subcommands().front()->get_name();
  if (command == "add") return add_token(invocation, line.token, line.json);
  if (command == "revoke") return revoke_token(invocation, line.token.name);
  return list_tokens(invocation, line.json);
}

void describe_datastore(CLI::App& app, CommandLine& line) {
  auto* store = app.add_subcommand("datastore", "The embedded data store");
  store->require_subcommand(1);
  auto* verify = store->add_subcommand("verify", "Its blobs against its catalogue");
  verify->add_flag("--content", line.content, "Read every blob and check its bytes");
  auto* key = store->add_subcommand("key", "Keys of its service account, for Google's clients");
  key->require_subcommand(1);
  auto* add = key->add_subcommand("add", "Print a key file (GOOGLE_APPLICATION_CREDENTIALS)");
  add->add_option("--url", line.google_key.url, "What its callers know the data store by");
  add->add_option("--universe", line.google_key.universe_domain,
                  "universe_domain: other than googleapis.com, clients sign for themselves");
  key->add_subcommand("list", "The ids of the keys");
  key->add_subcommand("remove", "Whoever has this key is let in no longer")
      ->add_option("id", line.what, "private_key_id of the key file")
      ->required();
}

void describe_commands(CLI::App& app, CommandLine& line) {
  app.description(
      "Isthmus: the gateway between a hospital's DICOM world and cloud imaging stores.");
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("-c,--config", line.config.file, "Configuration file (JSON, comments allowed)");
  app.add_option("--set", line.config.overrides, "name=value, before file and environment")
      ->expected(1)
      ->take_all();
  auto* serve = app.add_subcommand("serve", "Run the gateway until SIGTERM");
  serve->add_option("--failpoint", line.failpoint, "name[:nth]: die there, for crash tests")
      ->group("");
  auto* status =
      app.add_subcommand("status", "Counts by state, oldest ages, what asks for a person");
  status->add_flag("--json", line.status.json, "As JSON");
  status->add_flag("--watch", line.status.watch, "Again every two seconds");
  auto* history = app.add_subcommand("history", "The timeline of an instance, series or study");
  history->add_option("uid", line.uid, "SOP, series or study instance UID, or one of our ids")
      ->required();
  history->add_flag("--json", line.json, "As JSON lines");
  auto* studies = app.add_subcommand("studies", "What became of each study");
  studies->add_flag("--json", line.json, "As JSON lines");
  auto* retry = app.add_subcommand("retry", "Try again what was rejected, quarantined or is stuck");
  retry->add_option("what", line.what, "A UID, one of our ids, or all")->required();
  auto* discard =
      app.add_subcommand("discard", "Give up what was rejected or quarantined, and keep why");
  discard->add_option("what", line.what, "A UID or one of our ids")->required();
  discard->add_option("--reason", line.reason, "One line, without patient data; it is kept")
      ->required();
  auto* drain = app.add_subcommand("drain", "Take no new instances, finish what is under way");
  drain->add_flag("--wait", line.drain.wait, "Until all is done");
  drain->add_flag("--end", line.drain.end, "Take instances again");
  auto* commitments = app.add_subcommand(
      "commitments", "Storage commitment requests: states, ages, what keeps them");
  commitments->add_flag("--json", line.json, "As JSON lines");
  auto* resend = commitments->add_subcommand("resend", "Evaluate and report once more");
  resend->add_option("transaction", line.transaction, "The Transaction UID")->required();
  auto* updates = app.add_subcommand("updates", "Updates of imported metadata, without values");
  updates->add_flag("--json", line.json, "As JSON lines");
  for (const auto& [name, sentence] :
       {std::pair{"show", "One of them, with its image sets and its history"},
        std::pair{"retry", "Plan it anew, from what is stored now"}}) {
    updates->add_subcommand(name, sentence)
        ->add_option("id", line.what, "The id of an update")
        ->required();
  }
  app.add_subcommand("reload", "Take new certificates, keys and revocation lists into force");
  describe_senders(app, line);
  describe_tokens(app, line);
  auto* doctor =
      app.add_subcommand("doctor", "Looks at machine, network and destinations: ok, or what to do");
  doctor->add_option("destination", line.doctor.destination, "Its name; else all, and the machine");
  doctor->add_flag("--import", line.doctor.import, "Have a job started over an object of no use");
  doctor->add_flag("--json", line.doctor.json, "As JSON");
  app.add_subcommand("check-config", "Report every problem of the configuration");
  app.add_subcommand("print-config", "The configuration in force, secrets as [secret]");
  app.add_subcommand("check-ledger", "Integrity of the ledger and its invariants");
  describe_datastore(app, line);
  auto* spool = app.add_subcommand("spool", "The bytes of instances that are held");
  spool->require_subcommand(1);
  spool->add_subcommand("verify", "Reads them all and compares them with their rows");
  auto* exporting = spool->add_subcommand("export", "One instance as a Part 10 file");
  exporting->add_option("id", line.uid, "Our id, or its SOP Instance UID")->required();
  exporting->add_option("--to", line.path, "A file to be made; standard output without it");
  app.add_subcommand("version", "The version of this program");
  app.add_subcommand("print-reference", "config/REFERENCE.md")->group("");
  app.add_subcommand("print-schema", "config/isthmus.schema.json")->group("");
  app.add_subcommand("print-states", "bridge/docs/STATES.md")->group("");
  app.add_subcommand("print-conformance", "The tables of bridge/docs/CONFORMANCE.md")->group("");
}

int run_senders(const CLI::App& senders, const Invocation& invocation, const CommandLine& line) {
  const auto chosen = senders.get_subcommands();
  if (chosen.empty()) return show_senders(invocation, line.json);
  if (chosen.front()->get_name() == "route") return try_route(invocation, line.trial);
  return order_sender(invocation, line.order);
}

int run_updates(const CLI::App& updates, const Invocation& invocation, const CommandLine& line) {
  const auto chosen = updates.get_subcommands();
  if (chosen.empty()) return show_updates(invocation, line.json);
  return chosen.front()->get_name() == "show" ? show_update(invocation, line.what)
                                              : retry_update(invocation, line.what);
}

int run_datastore(const CLI::App& store, const Invocation& invocation, const CommandLine& line) {
  if (store.got_subcommand("verify")) return verify_datastore(invocation, line.content);
  const CLI::App* key = store.get_subcommand("key");
  if (key->got_subcommand("add")) return add_google_key(invocation, line.google_key);
  if (key->got_subcommand("list")) return list_google_keys(invocation);
  return remove_google_key(invocation, line.what);
}

int run(const std::string& command, const Invocation& invocation, const CommandLine& line) {
  if (command == "serve") return serve(invocation, line.failpoint);
  if (command == "status") return show_status(invocation, line.status);
  if (command == "history") return show_history(invocation, line.uid, line.json);
  if (command == "studies") return show_studies(invocation, line.json);
  if (command == "retry") return order_retry(invocation, line.what);
  if (command == "discard") return order_discard(invocation, line.what, line.reason);
  if (command == "drain") return drain(invocation, line.drain);
  if (command == "commitments") {
    return line.transaction.empty() ? show_commitments(invocation, line.json)
                                    : resend_commitment(invocation, line.transaction);
  }
  if (command == "reload") return reload(invocation);
  if (command == "doctor") return examine_site(invocation, line.doctor);
  if (command == "check-config") return check_config(invocation);
  if (command == "print-config") return print_config(invocation);
  if (command == "check-ledger") return check_ledger(invocation);
  if (command == "spool") {
    return line.uid.empty() ? verify_spool_bytes(invocation)
                            : export_instance(invocation, line.uid, line.path);
  }
  if (command == "version") fmt::print("isthmus {}\n", version());
  if (command == "print-reference") fmt::print("{}", settings_reference_markdown());
  if (command == "print-schema") fmt::print("{}", settings_json_schema());
  if (command == "print-states") fmt::print("{}", states_markdown());
  if (command == "print-conformance") fmt::print("{}", conformance_tables_markdown());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  // Every association has a thread: with the allocator's eight arenas a processor, what each of
  // them keeps for itself adds up.
  (void)::mallopt(M_ARENA_MAX, 2);
  CommandLine line;
  CLI::App app;
  describe_commands(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const auto metrics = make_metrics();
  Env bare{system_clock(), posix_files(), system_entropy(), null_log(), *metrics, report_fatal};
  // The level is a setting, so the log is made after a first look at the configuration.
  const ParsedSettings parsed = load_settings(bare, line.config);
  const auto log =
      make_stderr_log(parsed.problems.empty() ? log_level(parsed.settings) : LogLevel::info);
  Env env{system_clock(), posix_files(), system_entropy(), *log, *metrics, report_fatal};
  const Invocation invocation{env, line.config, own_directory()};
  const CLI::App& command = *app.get_subcommands().front();
  if (command.get_name() == "datastore") return run_datastore(command, invocation, line);
  if (command.get_name() == "senders") return run_senders(command, invocation, line);
  if (command.get_name() == "token") return run_token(command, invocation, line);
  if (command.get_name() == "updates") return run_updates(command, invocation, line);
  return run(app.get_subcommands().front()->get_name(), invocation, line);
}
