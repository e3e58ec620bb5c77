#include "app/datastore_commands.h"

#include <nlohmann/json.hpp>

#include "app/command_line.h"
#include "app/config.h"
#include "datastore/google_keys.h"
#include "datastore/verify.h"

namespace isthmus::app {

using nlohmann::ordered_json;

int verify_datastore(const Invocation& invocation, bool content) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  const auto report = datastore::verify_data_store(
      invocation.env, {datastore_directory(*settings), content}, complain);
  if (!report.ok()) return failed(report.error());
  say(ordered_json{{"sound", report->sound()},
                   {"named_blobs", report->named_blobs},
                   {"missing_blobs", report->missing_blobs},
                   {"damaged_blobs", report->damaged_blobs},
                   {"content_checked", content},
                   {"unnamed_blobs", report->unnamed_blobs},
                   {"catalogue_faults", report->catalogue_faults}}
          .dump());
  return report->sound() ? kWell : kWrong;
}

int add_google_key(const Invocation& invocation, const GoogleKeyOrder& order) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  datastore::GoogleKeyWishes wishes;
  wishes.project = settings->text("datastore.google_project");
  wishes.universe_domain = order.universe_domain;
  wishes.url = order.url.empty() ? "http://" + settings->text("datastore.address") + ":" +
                                       std::to_string(settings->integer("datastore.port"))
                                 : order.url;
  const auto file =
      datastore::add_google_key(invocation.env, datastore_directory(*settings), wishes);
  if (!file.ok()) return failed(file.error());
  say(*file);
  complain("This is the only time that the private key is shown.");
  return kWell;
}

int list_google_keys(const Invocation& invocation) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  const auto ids = datastore::google_key_ids(invocation.env, datastore_directory(*settings));
  if (!ids.ok()) return failed(ids.error());
  for (const std::string& id : *ids) say(id);
  return kWell;
}

int remove_google_key(const Invocation& invocation, const std::string& id) {
  const auto settings = settings_or_complain(invocation);
  if (!settings) return kCannot;
  const auto done =
      datastore::remove_google_key(invocation.env, datastore_directory(*settings), id);
  if (!done.ok()) return failed(done.error());
  say(id + " is removed");
  return kWell;
}

}  // namespace isthmus::app
