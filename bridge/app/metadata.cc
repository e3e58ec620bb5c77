#include "app/metadata.h"

#include "pipeline/metadata.h"

namespace isthmus::app {

api::MetadataServices add_metadata_steps(
    Env& env, const Settings& settings, Runner& runner, Ledger& ledger, const PauseBoard& pauses,
    const std::vector<std::unique_ptr<ConfiguredDestination>>& destinations) {
  UpdaterOptions options;
  options.attempts = settings.integer("updates.attempts");
  options.poll = settings.duration("updates.poll_ms");
  options.busy = settings.duration("updates.busy_s");
  options.backoff = {settings.duration("retry.first_backoff_ms"),
                     settings.duration("retry.longest_backoff_ms")};
  api::MetadataServices services;
  for (const auto& destination : destinations) {
    const std::string& name = destination->destination->name;
    services.emplace(name, destination->metadata.get());
    runner.add(make_pausable(
        make_updater(env, *ledger.metadata_updates(), name, *destination->metadata, options),
        pauses, name));
  }
  return services;
}

}  // namespace isthmus::app
