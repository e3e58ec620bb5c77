// The four symbols that Orthanc looks for, and its callbacks. No exception leaves any of them, and
// the pointer below is the only state of this library outside of objects.
#include <orthanc/OrthancCPlugin.h>

#include "app/config.h"
#include "plugin/panel.h"
#include "plugin/plugin.h"
#include "plugin/routes.h"

namespace {

using isthmus::plugin::CommitmentHandler;
using isthmus::plugin::Plugin;
using isthmus::plugin::Standing;

struct State {
  explicit State(OrthancPluginContext* given) : context(given), plugin(given) {}
  OrthancPluginContext* const context;
  Plugin plugin;
};
State* state = nullptr;

// DIMSE status "Refused: Out of resources" (PS3.4 table B.2-1, A7xx).
constexpr std::uint16_t kOutOfResources = 0xA700;

template <typename Answer, typename Body>
Answer guarded(Answer when_it_throws, Body&& body) noexcept {
  if (state == nullptr) return when_it_throws;
  try {
    return body(state->plugin);
  } catch (...) {
    OrthancPluginLogError(state->context, "isthmus: a callback failed with an exception");
  }
  return when_it_throws;
}

// Only C-STORE can be answered with a status that makes the sender try again. What comes by REST
// or STOW while admission is closed is stored by Orthanc, and fetched when there is space.
std::int32_t filter_c_store(std::uint16_t* dimse_status, const OrthancPluginDicomInstance*) {
  return guarded(std::int32_t{1}, [&](Plugin& plugin) {
    if (plugin.takes_instances()) return std::int32_t{1};
    *dimse_status = kOutOfResources;
    return std::int32_t{0};
  });
}

// What is wanted is not ours to say here; it is where our part of storing begins.
std::int32_t on_arriving(const OrthancPluginDicomInstance* instance) {
  return guarded(std::int32_t{1}, [&](Plugin& plugin) {
    plugin.arriving(instance);
    return std::int32_t{1};
  });
}

OrthancPluginErrorCode on_stored(const OrthancPluginDicomInstance* instance,
                                 const char* instance_id) {
  return guarded(OrthancPluginErrorCode_Plugin, [&](Plugin& plugin) {
    const bool taken = plugin.stored(instance, instance_id);
    return taken ? OrthancPluginErrorCode_Success : OrthancPluginErrorCode_Plugin;
  });
}

OrthancPluginErrorCode on_rest(OrthancPluginRestOutput* output, const char* url,
                               const OrthancPluginHttpRequest* request) {
  return guarded(OrthancPluginErrorCode_InternalError,
                 [&](Plugin& plugin) { return plugin.serve(output, url, request); });
}

OrthancPluginErrorCode on_change(OrthancPluginChangeType change, OrthancPluginResourceType,
                                 const char*) {
  return guarded(OrthancPluginErrorCode_Success, [&](Plugin& plugin) {
    if (change == OrthancPluginChangeType_OrthancStarted) plugin.orthanc_started();
    if (change == OrthancPluginChangeType_OrthancStopped) plugin.orthanc_stops();
    return OrthancPluginErrorCode_Success;
  });
}

OrthancPluginErrorCode begin_commitment(void** handler, const char* /*job*/,
                                        const char* /*transaction*/, const char* const* /*classes*/,
                                        const char* const* /*instances*/, std::uint32_t /*count*/,
                                        const char* remote_aet, const char* /*called_aet*/) {
  return guarded(OrthancPluginErrorCode_InternalError, [&](Plugin& plugin) {
    auto made = plugin.commitment(remote_aet == nullptr ? "" : remote_aet);
    if (made == nullptr) return OrthancPluginErrorCode_InternalError;
    *handler = made.release();  // end_commitment() takes it back
    return OrthancPluginErrorCode_Success;
  });
}

void end_commitment(void* handler) {
  delete static_cast<CommitmentHandler*>(handler);
}

OrthancPluginStorageCommitmentFailureReason reason_of(Standing standing) {
  switch (standing) {
    case Standing::committed:
      return OrthancPluginStorageCommitmentFailureReason_Success;
    case Standing::unknown:
      return OrthancPluginStorageCommitmentFailureReason_NoSuchObjectInstance;
    case Standing::not_storage:
      return OrthancPluginStorageCommitmentFailureReason_ReferencedSOPClassNotSupported;
    case Standing::other_class:
      return OrthancPluginStorageCommitmentFailureReason_ClassInstanceConflict;
    case Standing::homeless:
      return OrthancPluginStorageCommitmentFailureReason_ResourceLimitation;
    case Standing::failing:
    case Standing::on_way:
      break;
  }
  return OrthancPluginStorageCommitmentFailureReason_ProcessingFailure;
}

OrthancPluginErrorCode look_up(OrthancPluginStorageCommitmentFailureReason* target, void* handler,
                               const char* sop_class_uid, const char* sop_instance_uid) {
  return guarded(OrthancPluginErrorCode_InternalError, [&](Plugin&) {
    const auto standing =
        static_cast<CommitmentHandler*>(handler)->look_up(sop_class_uid, sop_instance_uid);
    // Never "committed" for want of an answer.
    *target = standing.ok() ? reason_of(*standing)
                            : OrthancPluginStorageCommitmentFailureReason_ProcessingFailure;
    return OrthancPluginErrorCode_Success;
  });
}

// False when Orthanc does not take one that a promise rests on.
bool register_callbacks(OrthancPluginContext* context) {
  const OrthancPluginErrorCode codes[] = {
      OrthancPluginRegisterIncomingDicomInstanceFilter(context, on_arriving),
      OrthancPluginRegisterIncomingCStoreInstanceFilter(context, filter_c_store),
      OrthancPluginRegisterStorageCommitmentScpCallback(context, begin_commitment, end_commitment,
                                                        look_up)};
  for (const OrthancPluginErrorCode code : codes) {
    if (code != OrthancPluginErrorCode_Success) return false;
  }
  OrthancPluginRegisterOnStoredInstanceCallback(context, on_stored);
  OrthancPluginRegisterOnChangeCallback(context, on_change);
  OrthancPluginExtendOrthancExplorer(context, isthmus::plugin::explorer_script());
  OrthancPluginRegisterRestCallbackNoLock(context, "/isthmus", on_rest);
  OrthancPluginRegisterRestCallbackNoLock(context, "/isthmus/.*", on_rest);
  return true;
}

void end() noexcept {
  State* const ended = state;
  if (ended == nullptr) return;
  try {
    ended->plugin.stop();
  } catch (...) {
    OrthancPluginLogError(ended->context, "isthmus: stopping failed with an exception");
  }
  state = nullptr;
  delete ended;
}

}  // namespace

extern "C" {

ORTHANC_PLUGINS_API std::int32_t OrthancPluginInitialize(OrthancPluginContext* context) {
  if (state != nullptr || OrthancPluginCheckVersion(context) == 0) {
    OrthancPluginLogError(context, "isthmus needs Orthanc 1.10.1 or newer, and to be loaded once");
    return -1;
  }
  OrthancPluginSetDescription(context, "Isthmus: a gateway to cloud imaging stores.");
  try {
    state = new State(context);
    Plugin::Opened opened = state->plugin.open();
    if (opened == Plugin::Opened::yes) {
      if (register_callbacks(context)) return 0;
      OrthancPluginLogError(context, "isthmus cannot start: Orthanc refused a callback");
      opened = Plugin::Opened::failed;
    }
    end();
    return opened == Plugin::Opened::stays_out ? 0 : -1;
  } catch (...) {
    OrthancPluginLogError(context, "isthmus cannot start: an exception");
    end();
    return -1;
  }
}

ORTHANC_PLUGINS_API void OrthancPluginFinalize() {
  end();
}

ORTHANC_PLUGINS_API const char* OrthancPluginGetName() {
  return "isthmus";
}

ORTHANC_PLUGINS_API const char* OrthancPluginGetVersion() {
  return isthmus::app::version().data();
}

}  // extern "C"
